#!/usr/bin/env bash
# load.sh [short]: release builds, then a mix of requests in an open loop against `server` and the
# functions' binaries; the report is target/load/index.html. With LOAD_URL=http://… against that
# running server only.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

if [ -n "${LOAD_URL:-}" ]; then
  cargo build --release -p bench
  exec cargo run --release -p bench -- load "$@" --url "$LOAD_URL"
fi
scripts/tools/redis.sh
build_functions_to_run login user-info token account
cargo build --release -p server
cargo build --release -p local
cargo build --release -p bench
exec cargo run --release -p bench -- load "$@"
