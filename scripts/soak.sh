#!/usr/bin/env bash
# The tests of Redis failures in their long form: failures last ten times as long as in `make test`.
# Prints the figures of docs/resilience.md.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/redis.sh
cargo build --workspace --bins
SOAK=1 cargo test -p e2e --test redis faults -- --nocapture --test-threads 1
