#!/usr/bin/env bash
# bench.sh [ARGS of the bench program]: release builds of what is measured, then the measurement.
# Each function is built alone, as for deployment: built together, the features that one asks for
# would end up in all.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/redis.sh
for function in $(functions); do cargo build --release -p "$function"; done
cargo build --release -p local
cargo build --release -p bench
cargo run --release -p bench -- "$@"
# What pure functions cost.
[ $# -gt 0 ] || cargo bench -p bench --bench '*'
