#!/usr/bin/env bash
# deploy.sh ARCH [ARGS of `sam deploy`]: deploys the output of `make build`. The AWS account and region
# come from the environment as for any AWS tool, the stack's parameters from the variables listed below.
# A variable that is not set keeps the stack's value (the default, at the first deployment), an empty
# one sets the parameter back to its default. WECHAT_APPIDS and WECHAT_SECRETS are needed once.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

arch="${1:?usage: deploy.sh arm64|x86_64 [ARGS]}"
shift

# parameter NAME VARIABLE [DEFAULT]: passes VARIABLE to the stack's parameter NAME, whose default is
# DEFAULT in template.yaml. list: the same for values separated by commas, whatever blanks are around.
variables=()
entries=()
parameter() { add text "$@"; }
list() { add list "$@"; }
add() {
  variables+=("$3")
  if [ -n "${!3+set}" ]; then entries+=("$1 $2 $3 ${4:-}"); fi
}
list WeChatAppIds WECHAT_APPIDS
list WeChatSecrets WECHAT_SECRETS
list MessagePush MESSAGE_PUSH
list JwtSecrets JWT_SECRETS
list JwtKeys JWT_KEYS
list JwtPublicKeys JWT_PUBLIC_KEYS
list DataKeys DATA_KEYS
list TransportKeys TRANSPORT_KEYS
parameter SecretsLayer SECRETS_LAYER
parameter SecretsPath SECRETS_PATH /weapp
parameter RedisUrl REDIS_URL
parameter RedisMode REDIS_MODE standalone
list CorsOrigins CORS_ORIGINS
list TrustedProxies TRUSTED_PROXIES
list Admins ADMINS
parameter ContentCheck CONTENT_CHECK off
parameter Avatars AVATARS off
parameter AvatarBaseUrl AVATAR_BASE_URL
parameter AvatarUploadUrl AVATAR_UPLOAD_URL
parameter ExistingAvatarBucket EXISTING_AVATAR_BUCKET
parameter LogLevel LOG_LEVEL info
parameter LogRetentionDays LOG_RETENTION_DAYS 30
parameter Metrics METRICS emf
parameter DomainName DOMAIN_NAME
parameter CertificateArn CERTIFICATE_ARN
list SubnetIds SUBNET_IDS
list SecurityGroupIds SECURITY_GROUP_IDS
parameter MemorySize MEMORY_SIZE 256
parameter ThrottlingRate THROTTLING_RATE 500
parameter ThrottlingBurst THROTTLING_BURST 1000

for name in WECHAT_APPIDS WECHAT_SECRETS; do
  if [ -n "${!name+set}" ] && [ -z "${!name//[[:space:],]/}" ]; then
    die "$name is empty: set it, or unset it to keep the stack's value"
  fi
done

# A variable that would be ignored is named: the stack would have another value than expected.
is_passed() { case " ${variables[*]} " in *" $1 "*) true ;; *) false ;; esac; }
# The settings of functions that .env.example documents; those of AWS come from Lambda.
settings="$(sed -n -e '/^# --- Local/q' -e 's/^# \([A-Z][A-Z0-9_]*\)=.*/\1/p' .env.example | grep -v '^AWS_')"
for name in $settings; do
  if [ -n "${!name:-}" ] && ! is_passed "$name"; then
    say "$name is not passed to the stack: it has no parameter. Set it in template.yaml under Environment."
  fi
done
is_setting() { is_passed "$1" || printf '%s\n' "$settings" | grep -qx "$1"; }
while read -r name; do
  case "$name" in
    WECHAT_*)
      is_setting "$name" || die "$name is not a setting; did you mean WECHAT_APPIDS or WECHAT_SECRETS?"
      ;;
    # These may belong to another program.
    JWT_* | REDIS_* | DATA_KEY* | TRANSPORT_KEY* | MESSAGE_PUSH* | TRUSTED_PROX* | RATE_LIMIT* | \
      MAX_SESSION* | NICKNAME_* | AVATAR_*)
      is_setting "$name" || say "$name is not a setting"
      ;;
  esac
done <<EOF
$(compgen -e)
EOF

scripts/tools/install.sh lambda
# sam reads only the older name.
if [ -n "${AWS_REGION:-}" ]; then export AWS_DEFAULT_REGION="$AWS_REGION"; fi

# The values go to sam in a private file: every user of this machine can read a command line. The
# file's format is YAML; sam accepts no JSON.
private="$(umask 077 && mktemp -d)"
trap 'rm -rf "$private"' EXIT
trap 'exit 130' HUP INT TERM
(umask 077 && python3 scripts/parameters.py "$arch" ${entries[@]+"${entries[@]}"} >"$private/parameters.yaml")

status=0
sam deploy --parameter-overrides "file://$private/parameters.yaml" "$@" || status=$?
if [ "$status" -ne 0 ] && [ -z "${WECHAT_APPIDS:+${WECHAT_SECRETS:-}}" ]; then
  say "the first deployment of a stack needs WECHAT_APPIDS=wx… and WECHAT_SECRETS=wx…:secret"
fi
exit "$status"
