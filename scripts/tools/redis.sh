#!/usr/bin/env bash
# Makes sure that redis-server is there: the tests start their own servers from it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

have redis-server || install_package redis-server redis
have redis-server || die "redis-server was installed but is not in PATH"
