#!/usr/bin/env bash
# release-template.sh RELEASE ARCH: checks a release, and prints the path of its template for ARCH. RELEASE
# is a folder that `make release` made, or the version of a release on GitHub: that is downloaded with the
# GitHub CLI, and has to come from this repository's own workflow.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

release="$1"
arch="$2"

# Prints the folder with the part of the release that ARCH needs.
fetch() {
  local folder repository
  have gh || die "$release is not a folder; to download it as a release, install the GitHub CLI: https://cli.github.com"
  folder="$root/target/releases/$release"
  repository="$(gh repo view --json nameWithOwner --jq .nameWithOwner)"
  gh release download "$release" --repo "$repository" --dir "$folder" --clobber --pattern "*-$arch.zip" \
    --pattern "template-$arch.yaml" --pattern manifest.json --pattern SHA256SUMS >&2
  gh attestation verify "$folder/SHA256SUMS" --repo "$repository" \
    --signer-workflow "$repository/.github/workflows/release.yml" --source-ref "refs/tags/$release" >&2 ||
    die "$release was not made by the release workflow of $repository"
  printf '%s\n' "$folder"
}

if [ -d "$release" ]; then
  folder="$release"
elif [[ "$release" =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
  folder="$(fetch)"
else
  die "$release is neither a folder nor a version such as v1.2.3"
fi
python3 scripts/release.py verify "$folder" "$arch"
