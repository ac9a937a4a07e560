#!/usr/bin/env bash
# Installs Chromium if neither it nor Chrome is there: the playground's tests run in it. Fails where it can't be
# installed. `chromium.sh find` only prints the program, or fails; CHROMIUM names another one.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

find_chromium() {
  local name
  if [ -n "${CHROMIUM:-}" ]; then
    "$CHROMIUM" --version >/dev/null 2>&1 || die "CHROMIUM=$CHROMIUM does not start"
    command -v "$CHROMIUM"
    return
  fi
  for name in chromium chromium-browser google-chrome-stable google-chrome \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
    "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
    # Ubuntu's chromium-browser is a script that asks for a snap, where there is none.
    if "$name" --version >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  return 1
}

find_chromium >/dev/null || [ "${1:-}" = find ] || install_package chromium chromium
if [ "${1:-}" = find ]; then
  find_chromium
else
  find_chromium >/dev/null || die "chromium was installed but does not start"
fi
