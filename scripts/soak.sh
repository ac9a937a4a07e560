#!/usr/bin/env bash
# Tests in their long form: failures of Redis last ten times as long as in `make test`, and a user has
# ten thousand sessions to end.
# Prints the figures of docs/resilience.md.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/redis.sh
cargo build --workspace --bins
SOAK=1 cargo test -p e2e --test redis faults -- --nocapture --test-threads 1
SOAK=1 cargo test -p e2e --test http many_sessions::
