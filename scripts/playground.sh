#!/usr/bin/env bash
# playground.sh check|test: the page that `make run` serves at /, as sdk.sh does it for the SDK. `test` needs a Chromium
# (scripts/tools/chromium.sh); without one, the tests that need it are reported as ignored. Screenshots are kept in
# target/playground.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
# shellcheck source=node-lib.sh
. "$root/scripts/node-lib.sh"

in_package "$root/local/playground" playground

case "${1:-}" in
  check)
    check_package
    ;;
  test)
    # What a run leaves is what it saw.
    rm -rf "$root/target/playground"
    # One that is named has to be there.
    chromium="$("$root/scripts/tools/chromium.sh" find)" || [ -z "${CHROMIUM:-}" ]
    CHROMIUM="$chromium" \
      LOCAL_BINARY="${LOCAL_BINARY:-$root/target/debug/local}" "$node" test/run.mjs
    ;;
  *) die "usage: playground.sh check|test" ;;
esac
