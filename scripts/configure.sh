#!/usr/bin/env bash
# configure.sh: changes parameters of the running stack, and publishes its functions with the current
# values of parameters and secrets. Template and code stay as they are, so nothing is built. The variables
# are those of parameters.sh; STACK is another stack than that of samconfig.toml. Needs the AWS CLI, with
# account and region from the environment.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
if [ -n "${AWS_REGION:-}" ]; then export AWS_DEFAULT_REGION="$AWS_REGION"; fi

stack_outputs() {
  (PATH="$machine_path" && aws cloudformation describe-stacks --stack-name "$1" \
    --query 'Stacks[0].Outputs[].[OutputKey, OutputValue]' --output text)
}
. "$(dirname "$0")/parameters.sh"

PATH="$machine_path"
have aws || die "the AWS CLI is missing: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
stack="${STACK:-$(sed -n 's/^stack_name = "\(.*\)"$/\1/p' samconfig.toml)}"
known="$(aws cloudformation describe-stacks --stack-name "$stack" \
  --query 'Stacks[0].Parameters[].ParameterKey' --output text)" || die "there is no stack $stack to change"

# Before anything is changed. A stack without canaries has no such alarms.
if [ "${DEPLOYMENT_PREFERENCE:-}" != AllAtOnce ]; then
  failing="$(aws cloudwatch describe-alarms --alarm-name-prefix "$stack-rollback-" \
    --query "MetricAlarms[?StateValue=='ALARM'].AlarmName" --output text)" ||
    { failing="" && say "it is not known whether an alarm would end the deployment"; }
  no_alarm_ends_it "$failing"
fi

# The values are read from a private file: every user of this machine can read a command line.
private="$(umask 077 && mktemp -d)"
trap 'rm -rf "$private"' EXIT
trap 'exit 130' HUP INT TERM
(umask 077 && printf '%s\n%s\n' "$stack" "$known" |
  python3 scripts/parameters.py cloudformation "Release=$(new_release)" ${entries[@]+"${entries[@]}"} \
    ${tags[@]+"${tags[@]/#/tag }"} >"$private/update.json") || exit # which bash 3.2 would not do by itself after parentheses

names=""
for entry in ${entries[@]+"${entries[@]}"}; do
  read -r _ name _ <<<"$entry"
  # Others are empty, see parameters.py.
  case " ${known//[[:space:]]/ } " in *" $name "*) names="$names $name" ;; esac
done
say "${names:+changing$names and }publishing the functions of $stack"
# By this the update's own events are known.
token="configure-$(new_release)-$$"
status=0
answer="$(aws cloudformation update-stack --cli-input-json "file://$private/update.json" \
  --client-request-token "$token" 2>&1)" || status=$?
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

# Waits until the new versions have all traffic, step by step. Leaves the stack's status in `state`:
# empty, if it can't be read.
state=""
until aws cloudformation wait stack-update-complete --stack-name "$stack" && state=UPDATE_COMPLETE; do
  state="$(aws cloudformation describe-stacks --stack-name "$stack" \
    --query 'Stacks[0].StackStatus' --output text)" || state=""
  case "$state" in
    # The AWS CLI stops waiting after an hour.
    UPDATE_IN_PROGRESS | UPDATE_COMPLETE_CLEANUP_IN_PROGRESS) sleep 10 ;;
    *) break ;;
  esac
done

# An update that fails is rolled back by CloudFormation; its events say why.
if [ "$state" != UPDATE_COMPLETE ]; then
  aws cloudformation describe-stack-events --stack-name "$stack" --output text \
    --query "StackEvents[?ClientRequestToken=='$token' && contains(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]" >&2 || true
fi
case "$state" in
  UPDATE_COMPLETE) say "$stack is changed" ;;
  UPDATE_ROLLBACK_COMPLETE) die "$stack was not changed: CloudFormation rolled the update back" ;;
  UPDATE_ROLLBACK_FAILED) die "$stack is changed in part: CloudFormation could not roll the update back (aws cloudformation continue-update-rollback)" ;;
  *ROLLBACK*) die "$stack is not changed: CloudFormation is rolling the update back ($state)" ;;
  *) die "it is not known whether $stack is changed (${state:-no answer}): look at its events" ;;
esac
