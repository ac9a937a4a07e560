#!/usr/bin/env bash
# configure.sh: changes parameters of the running stack, and publishes its functions with the current
# values of parameters and secrets. Template and code stay as they are, so nothing is built. The variables are those of parameters.sh; STACK is another stack than that of
# samconfig.toml. Needs the AWS CLI, with account and region from the environment.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/parameters.sh"

PATH="$machine_path"
have aws || die "the AWS CLI is missing: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
stack="${STACK:-$(sed -n 's/^stack_name = "\(.*\)"$/\1/p' samconfig.toml)}"
known="$(aws cloudformation describe-stacks --stack-name "$stack" \
  --query 'Stacks[0].Parameters[].ParameterKey' --output text)" || die "there is no stack $stack to change"

# The values are read from a private file: every user of this machine can read a command line.
private="$(umask 077 && mktemp -d)"
trap 'rm -rf "$private"' EXIT
trap 'exit 130' HUP INT TERM
(umask 077 && printf '%s\n%s\n' "$stack" "$known" |
  python3 scripts/parameters.py cloudformation "Release=$(new_release)" ${entries[@]+"${entries[@]}"} >"$private/update.json")

names=""
for entry in ${entries[@]+"${entries[@]}"}; do
  read -r _ name _ <<<"$entry"
  names="$names $name"
done
say "${names:+changing$names and }publishing the functions of $stack"
status=0
answer="$(aws cloudformation update-stack --cli-input-json "file://$private/update.json" 2>&1)" || status=$?
if [ "$status" -ne 0 ]; then
  case "$answer" in
    *"No updates are to be performed"*)
      say "the stack has these values already"
      exit 0
      ;;
  esac
  printf '%s\n' "$answer" >&2
  exit "$status"
fi

# As long as the new versions get their traffic step by step. An update that fails is rolled back by
# CloudFormation; its events say why.
if ! aws cloudformation wait stack-update-complete --stack-name "$stack"; then
  aws cloudformation describe-stack-events --stack-name "$stack" --max-items 50 --output text \
    --query "StackEvents[?contains(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]" >&2 || true
  die "$stack was not changed (CloudFormation rolls the update back)"
fi
say "$stack is changed"
