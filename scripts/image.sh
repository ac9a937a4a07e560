#!/usr/bin/env bash
# image.sh VERSION FOLDER IMAGE: makes the container image of the server, for both architectures, of the
# programs in the release in FOLDER, and pushes it as IMAGE:VERSION. They stand in for the stage `build` of
# the Dockerfile, so nothing is compiled. Needs Docker with buildx, logged in to the registry; prints the
# image's digest.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

version="${1:?usage: image.sh VERSION FOLDER IMAGE}"
folder="${2:?usage: image.sh VERSION FOLDER IMAGE}"
# Registries know no capital letters.
image="$(printf '%s' "${3:?usage: image.sh VERSION FOLDER IMAGE}" | tr '[:upper:]' '[:lower:]')"
work="target/image"
parts=()

# field NAME: a member of the JSON on standard input.
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# push PLATFORM ARCHITECTURE, as Docker and Rust call them.
push() {
  local program="$work/$1"
  mkdir -p "$program/data"
  tar -xzf "$folder/server-$2-unknown-linux-musl.tar.gz" -C "$program"
  docker buildx build --platform "$1" --file Dockerfile --build-context "build=$program" --provenance=false \
    --output "type=image,name=$image,push-by-digest=true,name-canonical=true,push=true" \
    --metadata-file "$work/metadata.json" "$program" >&2
  parts+=("$image@$(field containerimage.digest <"$work/metadata.json")")
}

rm -rf "$work"
push linux/amd64 x86_64
push linux/arm64 aarch64
docker buildx imagetools create --tag "$image:$version" "${parts[@]}" >&2
docker buildx imagetools inspect "$image:$version" --format '{{json .Manifest}}' | field digest
