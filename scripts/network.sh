#!/usr/bin/env bash
# network.sh [Parameter=value]...: creates or changes the stack of network.yaml. Parameters that are not
# named keep their values. NETWORK_STACK is another stack than weapp-network. Account and region come from
# the environment, as for any AWS tool.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/install.sh lambda
if [ -n "${AWS_REGION:-}" ]; then export AWS_DEFAULT_REGION="$AWS_REGION"; fi
options=()
overrides=()
for argument in "$@"; do
  case "$argument" in
    -*) options+=("$argument") ;;
    *=*) overrides+=("$argument") ;;
    *) die "$argument is neither Parameter=value nor an option of sam deploy" ;;
  esac
done
if [ ${#overrides[@]} -gt 0 ]; then options+=(--parameter-overrides "${overrides[@]}"); fi
if [ -n "${TAGS:-}" ]; then options+=(--tags "$TAGS"); fi
sam deploy --template-file network.yaml --stack-name "${NETWORK_STACK:-weapp-network}" ${options[@]+"${options[@]}"}
