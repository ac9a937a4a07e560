#!/usr/bin/env bash
# bench.sh [ARGS of the bench program]: release builds of what is measured, then the measurement.
# Functions are built as for deployment.
# Copy the tables to docs/performance.md; the plots in docs/performance/ are drawn.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/redis.sh
names="hello-world $(functions)"
# shellcheck disable=SC2086 # names have no blanks
build_functions_to_run $names
cargo build --release -p local
cargo build --release -p bench
cargo run --release -p bench -- "$@"
# The cost of pure functions.
[ $# -gt 0 ] || cargo bench -p bench --bench '*'
