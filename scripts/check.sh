#!/usr/bin/env bash
# Everything that is not a test. Runs all steps and names those that failed.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

# A minimal toolchain lacks both; rustup adds them.
component() {
  cargo "$1" --version >/dev/null 2>&1 || { have rustup && rustup component add "$2"; } ||
    die "cargo $1 is missing: install the $2 component of the Rust toolchain"
}
component fmt rustfmt
component clippy clippy
scripts/tools/install.sh check clients guard policy

failed=""
step() {
  say "$*"
  "$@" || failed="$failed
  $*"
}

# Cheap steps first. `cargo-deny` by its own name: `cargo deny` would prefer one in ~/.cargo/bin.
step cargo fmt --all --check
step typos
step shellcheck --external-sources .ci/run scripts/*.sh scripts/tools/*.sh
step scripts/sdk.sh check
step scripts/demo.sh check
step scripts/playground.sh check
step cfn-lint template.yaml network.yaml .github/deploy-role.yaml examples/*/template.yaml
step hadolint Dockerfile
# actionlint also runs shellcheck on what they run.
step actionlint .github/workflows/*.yml
step zizmor --offline --no-progress --quiet --persona pedantic .github
# What is deployed in China, by what AWS's regions there know.
lint_for_china() {
  local folder status=0
  folder="$(mktemp -d)"
  "$tools/venv/bin/python" scripts/china.py template.yaml >"$folder/template.yaml" &&
    cfn-lint --regions cn-north-1 cn-northwest-1 -- "$folder/template.yaml" network.yaml || status=$?
  rm -rf "$folder"
  return "$status"
}
step lint_for_china
step openapi-spec-validator docs/openapi.json
step sam validate --lint --region us-east-1
for example in examples/*/template.yaml; do
  step sam validate --lint --region us-east-1 --template-file "$example"
done
step python scripts/template/check.py
# Without advisories, which need a database from the network: `make audit`.
step cargo-deny --log-level warn check bans licenses sources
step cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps

[ -z "$failed" ] || die "these checks failed:$failed"
say "all checks passed"
