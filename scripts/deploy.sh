#!/usr/bin/env bash
# deploy.sh ARCH [ARGS of `sam deploy`]: deploys the output of `make build`, or RELEASE: a folder that
# `make release` made, or a version, which needs neither Rust nor a build. The AWS account and region
# come from the environment as for any AWS tool, the stack's parameters from the variables listed in
# parameters.sh. WECHAT_APPIDS, WECHAT_SECRETS and ALARM_EMAIL are needed once.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

arch="${1:?usage: deploy.sh arm64|x86_64 [ARGS]}"
shift

# What sam's arguments say of the account and the stack holds for what is asked before sam deploys.
profile="" region="" stack=""
previous=""
for argument in "$@"; do
  case "$previous" in --profile | --region | --stack-name) argument="$previous=$argument" ;; esac
  case "$argument" in
    --profile=*) profile="${argument#*=}" ;;
    --region=*) region="${argument#*=}" ;;
    --stack-name=*) stack="${argument#*=}" ;;
  esac
  previous="$argument"
done
account=()
if [ -n "$profile" ]; then account+=(--profile "$profile"); fi
if [ -n "$region" ]; then account+=(--region "$region"); fi

# A release brings its functions; otherwise sam finds what `make build` left.
template=""
source=()
if [ -n "${RELEASE:-}" ]; then
  template="$(scripts/release-template.sh "$RELEASE" "$arch")"
  # sam would look for its settings beside the template.
  source=(--template-file "$template" --config-file "$root/samconfig.toml")
  scripts/tools/install.sh deploy
else
  scripts/tools/install.sh lambda
fi

# sam and older versions of aws read only the older name.
if [ -n "${AWS_REGION:-}" ]; then export AWS_DEFAULT_REGION="$AWS_REGION"; fi

stack_outputs() {
  local outputs
  outputs="$(sam list stack-outputs --stack-name "$1" --output json ${account[@]+"${account[@]}"})" || return
  python3 -c '
import json, sys
for output in json.load(sys.stdin):
    print(output["OutputKey"], output["OutputValue"])' <<<"$outputs"
}
. "$(dirname "$0")/parameters.sh"

# The values go to sam in a private file: every user of this machine can read a command line. The
# file's format is YAML; sam accepts no JSON.
private="$(umask 077 && mktemp -d)"
trap 'rm -rf "$private"' EXIT
trap 'exit 130' HUP INT TERM
(umask 077 && python3 scripts/parameters.py sam "Architecture=$arch" "Release=$(new_release)" ${entries[@]+"${entries[@]}"} \
  >"$private/parameters.yaml") || exit # which bash 3.2 would not do by itself after parentheses

# What the account allows, before anything is changed: it refuses functions that reserve more. A quota that is
# not set stays what the stack has, an empty one is the template's default.
base="${template:-.aws-sam/build/template.yaml}"
stack="${stack:-$(sed -n 's/^stack_name = "\(.*\)"$/\1/p' samconfig.toml)}"
quota=(--template "$base" ${account[@]+"${account[@]}"})
if [ -z "${CONCURRENCY_QUOTA+set}" ]; then
  quota+=(--stack "$stack")
elif [ -n "${CONCURRENCY_QUOTA//[[:space:]]/}" ]; then
  quota+=(--quota "$CONCURRENCY_QUOTA")
fi
count="$(functions | wc -l | tr -d ' ')"
"$tools/venv/bin/python" scripts/quota.py "${quota[@]}" "$count" "${RESERVED_CONCURRENCY:-0}" >&2 || true
if [ "${DEPLOYMENT_PREFERENCE:-}" != AllAtOnce ]; then
  failing="$("$tools/venv/bin/python" scripts/failing.py "$stack" ${account[@]+"${account[@]}"})" || failing=""
  no_alarm_ends_it "$failing"
fi

options=()
# The region, as sam finds it: in its arguments, in the environment, or in the profile.
region="${region:-${AWS_DEFAULT_REGION:-}}"
if [ -z "$region" ]; then
  region="$("$tools/venv/bin/python" -c '
import boto3, sys
print(boto3.Session(profile_name=sys.argv[1] or None).region_name or "")' "$profile" || true)"
fi
case "$region" in
  cn-*)
    # Beside the other one, because paths in it are relative to it; removed again, because a release is what its
    # checksums list.
    china="${base%.yaml}.china.yaml"
    trap 'rm -rf "$private" "$china"' EXIT
    "$tools/venv/bin/python" scripts/china.py "$base" >"$china"
    source=(--template-file "$china" --config-file "$root/samconfig.toml")
    ;;
esac
if [ ${#tags[@]} -gt 0 ]; then options+=(--tags "${tags[*]}"); fi
status=0
sam deploy ${source[@]+"${source[@]}"} ${options[@]+"${options[@]}"} \
  --parameter-overrides "file://$private/parameters.yaml" "$@" || status=$?
if [ "$status" -ne 0 ] && [ -z "${WECHAT_APPIDS:+${WECHAT_SECRETS:+${ALARM_EMAIL:-}}}" ]; then
  say "a stack that has none yet needs WECHAT_APPIDS=wx…, WECHAT_SECRETS=wx…:secret and ALARM_EMAIL=you@example.com (or none)"
fi
exit "$status"
