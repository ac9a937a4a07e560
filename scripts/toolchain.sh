#!/usr/bin/env bash
# Says which Rust and what else is missing, before cargo's own messages, which name neither rustup nor
# the version that works.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

needed="$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)"
get="install Rust $needed or newer with rustup (https://rustup.rs)"

case "$(uname -s)" in
  MINGW* | MSYS* | CYGWIN*) die "on Windows, run this inside WSL 2" ;;
esac
have cargo || die "cargo is missing or not in PATH: $get; after installing, open a new terminal or run: . \"\$HOME/.cargo/env\""
have rustc || die "rustc is missing or not in PATH: $get"
have cc || die "a C compiler is missing: install build-essential (Debian, Ubuntu) or gcc; on macOS run: xcode-select --install"

# is_older A B: whether version A is older than B; what follows a hyphen does not count.
is_older() {
  local a b i
  IFS=. read -r -a a <<<"${1%%-*}"
  IFS=. read -r -a b <<<"${2%%-*}"
  for i in 0 1 2; do
    if [ "${a[i]:-0}" -ne "${b[i]:-0}" ]; then
      [ "${a[i]:-0}" -lt "${b[i]:-0}" ]
      return
    fi
  done
  return 1
}

for program in cargo rustc; do
  # "cargo 1.95.0 (…)". rustup without a toolchain fails here and says what to do.
  answer="$("$program" --version)" || die "$program does not run: $get"
  version="$(printf '%s' "$answer" | sed 's/^[a-z]* \([0-9][0-9.]*\).*/\1/')"
  case "$version" in *[!0-9.]* | "") continue ;; esac
  if is_older "$version" "$needed"; then
    if have rustup; then
      die "$program $version is too old, Rust $needed or newer is needed: rustup update stable && rustup default stable"
    fi
    die "$program $version is too old: $get; the packages of distributions are often older"
  fi
done
