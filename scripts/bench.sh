#!/usr/bin/env bash
# bench.sh [ARGS of the bench program]: release builds of what is measured, then the measurement.
# Each function is built alone, as for deployment: built together, all would get the dependency
# features that any of them needs. Copy the tables to docs/performance.md; the plots in docs/performance/ are drawn.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/redis.sh
for function in $(functions); do cargo build --release -p "$function"; done
cargo build --release -p local
cargo build --release -p bench
cargo run --release -p bench -- "$@"
# The cost of pure functions.
[ $# -gt 0 ] || cargo bench -p bench --bench '*'
