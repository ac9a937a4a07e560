#!/usr/bin/env bash
# budget.sh: compares what the functions cost with bench/budget.toml, release builds included. With
# UPDATE=1 it writes the file instead. Functions are built as for deployment.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/redis.sh
scripts/tools/valgrind.sh || say "no valgrind for this machine: instructions are not compared"
names="$(functions)"
# shellcheck disable=SC2086 # names have no blanks
build_functions_to_run $names
# The debug build of everything, as in `make test`: a selection would have other features.
cargo build --workspace --bins --tests
cargo test --workspace --test budget -- --include-ignored --nocapture --test-threads 1
