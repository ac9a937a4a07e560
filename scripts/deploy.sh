#!/usr/bin/env bash
# deploy.sh ARCH [ARGS of `sam deploy`]: deploys the output of `make build`. The AWS account and region
# come from the environment as for any AWS tool, the stack's parameters from the variables listed in
# parameters.sh. WECHAT_APPIDS, WECHAT_SECRETS and ALARM_EMAIL are needed once.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

arch="${1:?usage: deploy.sh arm64|x86_64 [ARGS]}"
shift

. "$(dirname "$0")/parameters.sh"

scripts/tools/install.sh lambda

# The values go to sam in a private file: every user of this machine can read a command line. The
# file's format is YAML; sam accepts no JSON.
private="$(umask 077 && mktemp -d)"
trap 'rm -rf "$private"' EXIT
trap 'exit 130' HUP INT TERM
(umask 077 && python3 scripts/parameters.py sam "Architecture=$arch" "Release=$(new_release)" ${entries[@]+"${entries[@]}"} \
  >"$private/parameters.yaml")

status=0
sam deploy --parameter-overrides "file://$private/parameters.yaml" "$@" || status=$?
if [ "$status" -ne 0 ] && [ -z "${WECHAT_APPIDS:+${WECHAT_SECRETS:+${ALARM_EMAIL:-}}}" ]; then
  say "a stack that has none yet needs WECHAT_APPIDS=wx…, WECHAT_SECRETS=wx…:secret and ALARM_EMAIL=you@example.com (or none)"
fi
exit "$status"
