#!/usr/bin/env bash
# build.sh [arm64|x86_64]: builds the functions into .aws-sam/build, where `sam deploy` finds them. `sam build`
# could build them only against the C library of Lambda's image.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

arch="${1:-arm64}"
names="$(functions)"
# shellcheck disable=SC2086 # names have no blanks
build_functions "$arch" $names
python3 scripts/release.py lay-out
