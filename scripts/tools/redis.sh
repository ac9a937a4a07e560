#!/usr/bin/env bash
# Installs redis-server if it is missing: the tests start servers of their own.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

have redis-server || install_package redis-server redis
have redis-server || die "redis-server was installed but is not in PATH"
