#!/usr/bin/env bash
# Runs all functions as Lambda does: `cargo lambda watch`, with settings under which each of them starts,
# and with the local gateway's DynamoDB and WeChat simulator. All data is deleted at the end.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source=watch-lib.sh
. "$root/scripts/watch-lib.sh"

port="${INVOKE_PORT:-9001}"
if port_open "$port"; then die "port $port is in use; choose another one: INVOKE_PORT=$((port + 1)) make watch"; fi
scripts/tools/install.sh test
have curl || install_package curl curl
say "building the gateway and the functions"
cargo build --quiet --workspace --bins
start_gateway
say "functions on port $port; in another terminal: make invoke ARGS=\"health --data-file events/health/health.json\""
# In the background, so that a signal reaches this script, which then ends all that it has started.
start /dev/stderr watch "$port"
wait
