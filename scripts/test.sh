#!/usr/bin/env bash
# All tests. The end-to-end tests start the functions' binaries, so those are built first; together
# with the tests, so that one set of features (and one build of each dependency) serves both.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/redis.sh
scripts/tools/install.sh test clients template guard
scripts/tools/install.sh valkey || say "no Valkey for this machine: its test is skipped"
scripts/tools/chromium.sh || say "no Chromium for this machine: the tests of the playground's page are skipped"
cargo build --workspace --bins --tests
status=0
scripts/sdk.sh test || status=1
scripts/demo.sh test || status=1
scripts/playground.sh test || status=1
cargo test --workspace --no-fail-fast || status=1
exit "$status"
