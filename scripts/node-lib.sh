# shellcheck shell=bash
# For the scripts of folders with a package.json: sdk.sh, demo.sh, playground.sh. After lib.sh.

# shellcheck disable=SC2154 # of lib.sh
node="$tools/node"

# in_package FOLDER NAME: goes there, if its packages are installed.
in_package() {
  [ -x "$node" ] && [ -d "$1/node_modules" ] || die "the $2's tools are missing: scripts/tools/install.sh clients"
  cd "$1" || exit
}

# Types of the sources and of the tests, lint and format.
check_package() {
  "$node" node_modules/typescript/bin/tsc --noEmit
  "$node" node_modules/typescript/bin/tsc --noEmit --project test
  "$node" node_modules/@biomejs/biome/bin/biome check --error-on-warnings .
}
