# shellcheck shell=bash
# Sourced by every script: strict mode, the project's root as working directory, the pinned tools
# first in PATH. Works with bash 3.2, which macOS ships.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
tools="$root/.tools"
# The machine's own PATH, for installing the tools: that must not use the tools themselves.
machine_path="${machine_path:-$PATH}"
export machine_path
export PATH="$tools/venv/bin:$machine_path"
# sam reports usage to AWS unless told otherwise.
export SAM_CLI_TELEMETRY=0

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root, directly or with sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Whether packages can be installed with apt-get.
apt_usable() { have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }; }

# install_package APT_NAME BREW_NAME: installs with the machine's package manager, or fails and names
# what to install by hand.
install_package() {
  if apt_usable; then
    say "installing $1 with apt-get"
    as_root apt-get update -q >&2 || say "apt-get update failed; trying with the existing lists"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$1" >&2 ||
      die "apt-get could not install $1"
  elif have brew; then
    say "installing $2 with brew"
    brew install "$2" >&2 || die "brew could not install $2"
  else
    die "$1 is missing, and there is neither apt-get (as root or with sudo) nor brew: install it by hand and try again"
  fi
}

# function_target arm64|x86_64: what the functions are built for. Their programs are static: a cold start
# loads no libraries, and nothing depends on those of Lambda (docs/decisions/0026-static-functions.md).
function_target() {
  case "$1" in
    arm64) echo aarch64-unknown-linux-musl ;;
    x86_64) echo x86_64-unknown-linux-musl ;;
    *) die "an architecture is arm64 or x86_64, not $1" ;;
  esac
}

# build_functions ARCH NAME...: release builds for Lambda, in target/lambda/NAME/bootstrap. Each function is
# built alone, so that it gets only the dependency features that it needs.
build_functions() {
  local target name folder
  target="$(function_target "$1")"
  shift
  scripts/tools/install.sh lambda
  # Without rustup the toolchain must already have the target; otherwise cargo reports it.
  if have rustup && ! rustup target list --installed | grep -qx "$target"; then
    rustup target add "$target" >&2
  fi
  for name; do
    folder="functions/$name"
    [ -d "$folder" ] || folder="bench/$name"
    # Without --bin, cargo-lambda moves every other program away that was built for the same target.
    cargo lambda build --locked --release --target "$target" --manifest-path "$folder/Cargo.toml" --bin "$name" \
      --lambda-dir "$root/target/lambda"
  done
}

# build_functions_to_run NAME...: the same for this machine, to be measured. On others than Linux they are
# ordinary release builds.
build_functions_to_run() {
  local name
  case "$(uname -sm)" in
    "Linux x86_64") build_functions x86_64 "$@" ;;
    "Linux aarch64") build_functions arm64 "$@" ;;
    *) for name; do cargo build --release -p "$name"; done ;;
  esac
}

# The deployed functions: one folder, one package and one binary of the same name each.
functions() {
  local manifest
  for manifest in functions/*/Cargo.toml; do basename "$(dirname "$manifest")"; done
}
