#!/usr/bin/env bash
# deploy.sh ARCH [ARGS of `sam deploy`]: deploys the output of `make build`. The AWS account and region
# come from the environment as for any AWS tool, the stack's parameters from these variables:
#   WECHAT_APPIDS   required: comma list of AppIDs        WECHAT_SECRETS  required: comma list appid:secret
#   MESSAGE_PUSH  REDIS_URL  REDIS_MODE  CORS_ORIGINS  CONTENT_CHECK  LOG_LEVEL  METRICS  DOMAIN_NAME  CERTIFICATE_ARN
#   SUBNET_IDS  SECURITY_GROUP_IDS  JWT_SECRETS  JWT_KEYS  JWT_PUBLIC_KEYS  DATA_KEYS  TRANSPORT_KEYS
#   SECRETS_LAYER  SECRETS_PATH (where a value is a reference such as ssm:/weapp/JWT_KEYS)
# A variable that is not set keeps the stack's value (the default, at the first deployment).
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

arch="${1:?usage: deploy.sh arm64|x86_64 [ARGS]}"
shift
[ -n "${WECHAT_APPIDS:-}" ] && [ -n "${WECHAT_SECRETS:-}" ] ||
  die "set WECHAT_APPIDS=wx… and WECHAT_SECRETS=wx…:secret (see scripts/deploy.sh), then try again"
scripts/tools/install.sh lambda
# sam reads only the older name.
if [ -n "${AWS_REGION:-}" ]; then export AWS_DEFAULT_REGION="$AWS_REGION"; fi

parameters=("Architecture=$arch")
parameter() {
  # An empty value counts: it clears the parameter.
  if [ -n "${!2+set}" ]; then parameters+=("$1=${!2}"); fi
}
parameter WeChatAppIds WECHAT_APPIDS
parameter WeChatSecrets WECHAT_SECRETS
parameter MessagePush MESSAGE_PUSH
parameter JwtSecrets JWT_SECRETS
parameter JwtKeys JWT_KEYS
parameter JwtPublicKeys JWT_PUBLIC_KEYS
parameter DataKeys DATA_KEYS
parameter TransportKeys TRANSPORT_KEYS
parameter SecretsLayer SECRETS_LAYER
parameter SecretsPath SECRETS_PATH
parameter RedisUrl REDIS_URL
parameter RedisMode REDIS_MODE
parameter CorsOrigins CORS_ORIGINS
parameter ContentCheck CONTENT_CHECK
parameter LogLevel LOG_LEVEL
parameter Metrics METRICS
parameter DomainName DOMAIN_NAME
parameter CertificateArn CERTIFICATE_ARN
parameter SubnetIds SUBNET_IDS
parameter SecurityGroupIds SECURITY_GROUP_IDS

sam deploy --parameter-overrides "${parameters[@]}" "$@"
