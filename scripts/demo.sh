#!/usr/bin/env bash
# demo.sh check|test: the demo mini-program in miniprogram/demo, as sdk.sh does it for the SDK.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

demo="$root/miniprogram/demo"
node="$tools/node"
[ -x "$node" ] && [ -d "$demo/node_modules" ] || die "the demo's tools are missing: scripts/tools/install.sh clients"
cd "$demo"

case "${1:-}" in
  check)
    "$node" scripts/build.mjs
    "$node" node_modules/typescript/bin/tsc --noEmit
    "$node" node_modules/typescript/bin/tsc --noEmit --project test
    "$node" node_modules/@biomejs/biome/bin/biome check --error-on-warnings .
    ;;
  test)
    LOCAL_BINARY="${LOCAL_BINARY:-$root/target/debug/local}" "$node" scripts/test.mjs
    ;;
  *) die "usage: demo.sh check|test" ;;
esac
