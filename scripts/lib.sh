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

# The deployed functions: one folder, one package and one binary of the same name each.
functions() {
  local manifest
  for manifest in functions/*/Cargo.toml; do basename "$(dirname "$manifest")"; done
}
