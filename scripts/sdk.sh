#!/usr/bin/env bash
# sdk.sh check|test: the client SDK in miniprogram/sdk. `check` is its type check, lint and format; `test` runs its tests
# against the backend of `cargo build`, and ends with a line as cargo's test runner writes it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source=node-lib.sh
. "$root/scripts/node-lib.sh"

in_package "$root/miniprogram/sdk" SDK

case "${1:-}" in
  check)
    check_package
    ;;
  test)
    LOCAL_BINARY="${LOCAL_BINARY:-$root/target/debug/local}" "$node" scripts/test.mjs
    ;;
  *) die "usage: sdk.sh check|test" ;;
esac
