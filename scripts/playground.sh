#!/usr/bin/env bash
# playground.sh check|test: the page that `make run` serves at /, as sdk.sh does it for the SDK. `test` needs a Chromium
# (scripts/tools/chromium.sh); without one, the tests that need it are reported as ignored. Screenshots are kept in
# target/playground.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

playground="$root/local/playground"
node="$tools/node"
[ -x "$node" ] && [ -d "$playground/node_modules" ] || die "the playground's tools are missing: scripts/tools/install.sh clients"
cd "$playground"

case "${1:-}" in
  check)
    "$node" node_modules/typescript/bin/tsc --noEmit
    "$node" node_modules/typescript/bin/tsc --noEmit --project test
    "$node" node_modules/@biomejs/biome/bin/biome check --error-on-warnings .
    ;;
  test)
    # What a run leaves is what it saw.
    rm -rf "$root/target/playground"
    CHROMIUM="$("$root/scripts/tools/chromium.sh" find || true)" \
      LOCAL_BINARY="${LOCAL_BINARY:-$root/target/debug/local}" "$node" test/run.mjs
    ;;
  *) die "usage: playground.sh check|test" ;;
esac
