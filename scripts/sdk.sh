#!/usr/bin/env bash
# sdk.sh check|test: the client SDK in miniprogram/sdk. `check` is its type check, lint and format; `test` runs its tests
# against the backend of `cargo build`, and ends with a line as cargo's test runner writes it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

sdk="$root/miniprogram/sdk"
node="$tools/node"
[ -x "$node" ] && [ -d "$sdk/node_modules" ] || die "the SDK's tools are missing: scripts/tools/install.sh clients"
cd "$sdk"

case "${1:-}" in
  check)
    "$node" node_modules/typescript/bin/tsc --noEmit
    "$node" node_modules/typescript/bin/tsc --noEmit --project test
    "$node" node_modules/@biomejs/biome/bin/biome check --error-on-warnings .
    ;;
  test)
    LOCAL_BINARY="${LOCAL_BINARY:-$root/target/debug/local}" "$node" scripts/test.mjs
    ;;
  *) die "usage: sdk.sh check|test" ;;
esac
