#!/usr/bin/env bash
# Installs valgrind, which counts instructions, if it is missing. Fails where there is none, as on
# macOS with Apple's processors.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

have valgrind || install_package valgrind valgrind
have valgrind || die "valgrind was installed but is not in PATH"
