#!/usr/bin/env bash
# release.sh VERSION [OUT]: makes the release VERSION (v and the version in Cargo.toml) in the folder OUT,
# target/releases/VERSION if not given. ARCHITECTURES are those of the functions; TARGETS those of the
# programs that run without Lambda, by default what this machine can build. PARTS is for machines that
# share the work: functions, binaries, sboms; and finish, which needs the files of all others.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

version="${1:?usage: release.sh VERSION [OUT], or make release VERSION=v…}"
out="${2:-target/releases/$version}"
architectures="${ARCHITECTURES:-arm64 x86_64}"
parts="${PARTS:-functions binaries sboms finish}"
case "$(uname -s)" in
  Darwin) targets="${TARGETS:-aarch64-apple-darwin x86_64-apple-darwin}" ;;
  *) targets="${TARGETS:-aarch64-unknown-linux-musl x86_64-unknown-linux-musl}" ;;
esac

# Programs that run without Lambda.
binaries=(local server)

in_tree="v$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)"
[ "$version" = "$in_tree" ] || die "VERSION is $version, but Cargo.toml says $in_tree"
commit="$(git rev-parse HEAD)" || die "a release is made of a commit, and this is no git repository"
[ -z "$(git status --porcelain)" ] || die "there are changes that are not committed: a release names the commit that it was made of"
# Instead of the time of the build.
SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)"
export SOURCE_DATE_EPOCH
mkdir -p "$out"

functions_part() {
  local arch
  have readelf || install_package binutils binutils
  for arch in $architectures; do
    say "functions for $arch"
    scripts/build.sh "$arch"
    python3 scripts/release.py functions "$arch" "$out" "$version"
  done
}

binaries_part() {
  local target name
  scripts/tools/install.sh release
  for target in $targets; do
    say "programs for $target"
    if have rustup; then rustup target add "$target" >&2; fi
    for name in "${binaries[@]}"; do
      case "$target" in
        *-musl) cargo-zigbuild zigbuild --locked --release -p "$name" --bin "$name" --target "$target" ;;
        *) cargo build --locked --release -p "$name" --bin "$name" --target "$target" ;;
      esac
      python3 scripts/release.py binary "$name" "$target" "target/$target/release/$name" "$out"
    done
  done
}

# One for each program and function, with the dependencies on all its platforms.
sboms_part() {
  local name manifest generator=0.5.9
  if [ "$("$tools/bin/cargo-cyclonedx" cyclonedx --version 2>/dev/null)" != "cargo-cyclonedx-cyclonedx $generator" ]; then
    say "building cargo-cyclonedx $generator"
    cargo install --quiet --locked --root "$tools" cargo-cyclonedx@"$generator"
  fi
  # It writes beside each manifest of the workspace.
  "$tools/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 --target all --override-filename release.sbom
  for name in $(functions) "${binaries[@]}"; do
    manifest="functions/$name"
    [ -d "$manifest" ] || manifest="$name"
    python3 scripts/release.py sbom "$name" "$manifest/release.sbom.json" "$out"
  done
  find . \( -name target -o -name node_modules -o -name .tools \) -prune -o -name release.sbom.json -exec rm {} +
}

for part in $parts; do
  case "$part" in
    functions | binaries | sboms) "${part}_part" ;;
    finish) python3 scripts/release.py finish "$out" "$version" "$commit" ;;
    *) die "there is no part $part: functions, binaries, sboms, finish" ;;
  esac
done
