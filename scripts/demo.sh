#!/usr/bin/env bash
# demo.sh check|test: the demo mini-program in miniprogram/demo, as sdk.sh does it for the SDK.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source=node-lib.sh
. "$root/scripts/node-lib.sh"

in_package "$root/miniprogram/demo" demo

case "${1:-}" in
  check)
    "$node" scripts/build.mjs
    check_package
    ;;
  test)
    LOCAL_BINARY="${LOCAL_BINARY:-$root/target/debug/local}" "$node" scripts/test.mjs
    ;;
  *) die "usage: demo.sh check|test" ;;
esac
