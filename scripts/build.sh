#!/usr/bin/env bash
# build.sh [arm64|x86_64]: builds the functions into .aws-sam/build. `sam build` calls `cargo lambda
# build --release` once per function, in the function's own folder, so each binary gets only the
# dependency features that it needs.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

arch="${1:-arm64}"
case "$arch" in
  arm64) target=aarch64-unknown-linux-gnu ;;
  x86_64) target=x86_64-unknown-linux-gnu ;;
  *) die "ARCH is arm64 or x86_64, not $arch" ;;
esac
scripts/tools/install.sh lambda
# Without rustup the toolchain must already have the target; otherwise cargo reports it.
if have rustup && ! rustup target list --installed | grep -qx "$target"; then
  rustup target add "$target"
fi
sam build --region "${AWS_REGION:-us-east-1}" --parameter-overrides "Architecture=$arch"
for binary in .aws-sam/build/*/bootstrap; do
  printf '  %s  %s bytes\n' "$binary" "$(wc -c <"$binary" | tr -d ' ')"
done
