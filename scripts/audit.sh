#!/usr/bin/env bash
# Known vulnerabilities in the dependencies. Not part of `make check`: it fetches the RustSec
# database, so its result depends on the day and on the network, not on the tree alone.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/install.sh check
cargo-deny check advisories
