# shellcheck shell=bash
# Sourced by deploy.sh and configure.sh: the variables that become parameters of the stack. A variable that
# is not set keeps the stack's value (the default, at the first deployment), an empty one sets the
# parameter back to its default; some may not be empty.

# NETWORK_STACK: outputs of that stack (network.yaml) stand in for variables that are not set. What belongs
# together comes from one place: of the network, or of Redis, all or nothing. `stack_outputs` is the
# script's own, and prints a name and a value on each line.
from_network() {
  local name output value
  for name in "${@:2}"; do
    if [ -n "${!name+set}" ]; then
      say "$name is set: what $NETWORK_STACK says of $1 is not used"
      return
    fi
  done
  while read -r output value; do
    case "$output" in
      SubnetIds) name=SUBNET_IDS ;;
      SecurityGroupIds) name=SECURITY_GROUP_IDS ;;
      RedisUrl) name=REDIS_URL ;;
      RedisMode) name=REDIS_MODE ;;
      RedisIamUser) name=REDIS_IAM_USER ;;
      RedisIamCache) name=REDIS_IAM_CACHE ;;
      *) continue ;;
    esac
    case " ${*:2} " in *" $name "*) printf -v "$name" %s "$value" && export "${name?}" ;; esac
  done <<<"$network"
}
if [ -n "${NETWORK_STACK:-}" ]; then
  network="$(stack_outputs "$NETWORK_STACK")" || die "the outputs of the stack $NETWORK_STACK can't be read (make network)"
  from_network "the network" SUBNET_IDS SECURITY_GROUP_IDS
  from_network Redis REDIS_URL REDIS_MODE REDIS_IAM_USER REDIS_IAM_CACHE
fi
# Nor does another Redis go with the stack's present user: it has none, unless it is named.
if [ -n "${REDIS_URL+set}" ]; then
  export REDIS_IAM_USER="${REDIS_IAM_USER-}" REDIS_IAM_CACHE="${REDIS_IAM_CACHE-}"
fi

# KIND NAME VARIABLE [DEFAULT]: passes VARIABLE to the stack's parameter NAME, whose default is DEFAULT in
# template.yaml. KIND is text, number (a whole one), or list: values separated by commas, whatever blanks
# are around.
variables=()
entries=()
text() { add text "$@"; }
number() { add number "$@"; }
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
text DataKeyId DATA_KEY_ID k1
list TransportKeys TRANSPORT_KEYS
text ExistingTable EXISTING_TABLE
text ExistingTableStream EXISTING_TABLE_STREAM
text ExistingJwtSecret EXISTING_JWT_SECRET
text ExistingDataKey EXISTING_DATA_KEY
text SecretsLayer SECRETS_LAYER
text SecretsPath SECRETS_PATH /weapp
text KmsKeyArn KMS_KEY_ARN
text RedisUrl REDIS_URL
text RedisMode REDIS_MODE standalone
text RedisIamUser REDIS_IAM_USER
text RedisIamCache REDIS_IAM_CACHE
list CorsOrigins CORS_ORIGINS
list TrustedProxies TRUSTED_PROXIES
list Admins ADMINS
text ContentCheck CONTENT_CHECK off
text Avatars AVATARS off
text AvatarBaseUrl AVATAR_BASE_URL
text AvatarUploadUrl AVATAR_UPLOAD_URL
text AvatarReader AVATAR_READER
text ExistingAvatarBucket EXISTING_AVATAR_BUCKET
text LogLevel LOG_LEVEL info
number LogRetentionDays LOG_RETENTION_DAYS 30
text Metrics METRICS lean
text PlatformLogs PLATFORM_LOGS on
text Tracing TRACING Disabled
text AlarmEmail ALARM_EMAIL
number NoTrafficHours NO_TRAFFIC_HOURS 0
number ConcurrencyQuota CONCURRENCY_QUOTA 1000
text Dashboard DASHBOARD on
number MonthlyBudget MONTHLY_BUDGET 0
text BudgetEmail BUDGET_EMAIL
text DomainName DOMAIN_NAME
text CertificateArn CERTIFICATE_ARN
list SubnetIds SUBNET_IDS
list SecurityGroupIds SECURITY_GROUP_IDS
text DeploymentPreference DEPLOYMENT_PREFERENCE Canary10Percent5Minutes
number MemorySize MEMORY_SIZE 256
number FunctionTimeoutSeconds FUNCTION_TIMEOUT_SECONDS 13
number ThrottlingRate THROTTLING_RATE 500
number ThrottlingBurst THROTTLING_BURST 1000
number LoginThrottlingRate LOGIN_THROTTLING_RATE 100
number LoginThrottlingBurst LOGIN_THROTTLING_BURST 200
number HealthThrottlingRate HEALTH_THROTTLING_RATE 10
number HealthThrottlingBurst HEALTH_THROTTLING_BURST 20
number ReservedConcurrency RESERVED_CONCURRENCY 0
number ProvisionedConcurrency PROVISIONED_CONCURRENCY 0
number WeChatConnectTimeoutMs WECHAT_CONNECT_TIMEOUT_MS 1000
number WeChatTimeoutMs WECHAT_TIMEOUT_MS 3000
number WeChatMaxConcurrency WECHAT_MAX_CONCURRENCY 64
number WatermarkMaxAgeSeconds WATERMARK_MAX_AGE_SECONDS 300
number NicknameMinCharacters NICKNAME_MIN_CHARACTERS 2
text ContentCheckOnFailure CONTENT_CHECK_ON_FAILURE refuse
number MessagePushMaxAgeSeconds MESSAGE_PUSH_MAX_AGE_SECONDS 300
list Consents CONSENTS
number DeletionCoolingDays DELETION_COOLING_DAYS 0
number SagaRetentionDays SAGA_RETENTION_DAYS 30
number AuditDays AUDIT_DAYS 190
text PhoneConflict PHONE_CONFLICT resolve
number PhoneRecycleDays PHONE_RECYCLE_DAYS 90
number PhoneProofDays PHONE_PROOF_DAYS 0
text UnionConflict UNION_CONFLICT keep
number AvatarMaxBytes AVATAR_MAX_BYTES 2097152
number AvatarUploadSeconds AVATAR_UPLOAD_SECONDS 300
number AvatarCheckTimeoutSeconds AVATAR_CHECK_TIMEOUT_SECONDS 1800
list AvatarHosts AVATAR_HOSTS thirdwx.qlogo.cn,wx.qlogo.cn
text Webhooks WEBHOOKS
list WebhookPrivateNetworks WEBHOOK_PRIVATE_NETWORKS
text WebhookWeChatFields WEBHOOK_WECHAT_FIELDS off
number WebhookTimeoutMs WEBHOOK_TIMEOUT_MS 10000
number WebhookRetrySeconds WEBHOOK_RETRY_SECONDS 259200
number WebhookFailureDays WEBHOOK_FAILURE_DAYS 30
text UserMessages USER_MESSAGES off
list MessageTemplates MESSAGE_TEMPLATES
number MessageDays MESSAGE_DAYS 30
number MessageGrantDays MESSAGE_GRANT_DAYS 365
number MessageRetrySeconds MESSAGE_RETRY_SECONDS 86400
text JwtIssuer JWT_ISSUER weapp-serverless
number AccessTokenSeconds ACCESS_TOKEN_SECONDS 7200
number RefreshTokenSeconds REFRESH_TOKEN_SECONDS 2592000
number RefreshGraceSeconds REFRESH_GRACE_SECONDS 60
number MaxSessions MAX_SESSIONS 20
number RedisTimeoutMs REDIS_TIMEOUT_MS 50
number SessionCacheSeconds SESSION_CACHE_SECONDS 300
number ProfileCacheSeconds PROFILE_CACHE_SECONDS 600
number ConfigCacheSeconds CONFIG_CACHE_SECONDS 60
number ConfigStaleSeconds CONFIG_STALE_SECONDS 600
number ConfigMaxAgeSeconds CONFIG_MAX_AGE_SECONDS 60
number CodeCacheSeconds CODE_CACHE_SECONDS 3600
number LinkCacheSeconds LINK_CACHE_SECONDS 43200
text RateLimitLogin RATE_LIMIT_LOGIN "300/min burst 100"
text RateLimitLoginFailures RATE_LIMIT_LOGIN_FAILURES "30/min burst 30"
text RateLimitUser RATE_LIMIT_USER "120/min burst 40"
text RateLimitRefresh RATE_LIMIT_REFRESH "30/min burst 10"
text RateLimitGuest RATE_LIMIT_GUEST "300/min burst 100"
text RateLimitSealed RATE_LIMIT_SEALED "600/min burst 200"
text RateLimitWeChat RATE_LIMIT_WECHAT "120/h burst 60"
text RateLimitExport RATE_LIMIT_EXPORT "30/h burst 10"
text RateLimitAvatar RATE_LIMIT_AVATAR "30/h burst 10"
text RateLimitMessages RATE_LIMIT_MESSAGES "3000/min burst 500"
text RateLimitCodes RATE_LIMIT_CODES "60/h burst 20"
number BreakerMinCalls BREAKER_MIN_CALLS 20
number BreakerFailurePercent BREAKER_FAILURE_PERCENT 50
number BreakerQuorum BREAKER_QUORUM 2
number BreakerSlowMs BREAKER_SLOW_MS 2000
number BreakerOpenMs BREAKER_OPEN_MS 5000
number BreakerOpenMaxMs BREAKER_OPEN_MAX_MS 60000
number BreakerProbeMs BREAKER_PROBE_MS 5000
number RequestTimeoutMs REQUEST_TIMEOUT_MS 8000
number MaxConcurrency MAX_CONCURRENCY 256

# Tags of the stack and of what is in it, as key=value, separated by blanks.
tags=()
read -ra tags <<<"${TAGS:-}"
for tag in ${tags[@]+"${tags[@]}"}; do
  [[ "$tag" =~ ^[0-9A-Za-z_.:/+@-]+=[0-9A-Za-z_.:/+@-]+$ ]] || die "TAGS is not key=value, separated by blanks: $tag"
done
if [ -n "${RESERVED_CONCURRENCY:-}" ] && [ "$RESERVED_CONCURRENCY" != 0 ] &&
  [ "${PROVISIONED_CONCURRENCY:-0}" -gt "$RESERVED_CONCURRENCY" ] 2>/dev/null; then
  die "PROVISIONED_CONCURRENCY is above RESERVED_CONCURRENCY"
fi

for name in WECHAT_APPIDS WECHAT_SECRETS ALARM_EMAIL; do
  if [ -n "${!name+set}" ] && [ -z "${!name//[[:space:],]/}" ]; then
    die "$name is empty: set it, or unset it to keep the stack's value"
  fi
done
for name in EXISTING_TABLE EXISTING_JWT_SECRET EXISTING_DATA_KEY; do
  if [ -n "${!name+set}" ] && [ -z "${!name//[[:space:]]/}" ]; then
    die "$name is empty: the stack would make a new one, without what the present one holds. Unset it to keep the stack's value"
  fi
done

# Ends the script where alarms are on (their names), which would end the deployment.
no_alarm_ends_it() {
  local alarms
  read -ra alarms <<<"$1"
  if [ ${#alarms[@]} -gt 0 ]; then
    die "requests fail now, and alarms that are on would end the deployment and undo it (${alarms[*]}):" \
      "DEPLOYMENT_PREFERENCE=AllAtOnce goes past them; set it back afterwards"
  fi
}

# Another one publishes new versions of the functions. SAM reads its first ten characters, which are all
# until the year 2286.
new_release() { date +%s; }

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
    JWT_* | REDIS_* | DATA_KEY* | TRANSPORT_KEY* | MESSAGE_PUSH* | USER_MESSAGE* | TRUSTED_PROX* | RATE_LIMIT* | BREAKER_* | \
      MAX_SESSION* | NICKNAME_* | AVATAR_* | WEBHOOK*)
      is_setting "$name" || say "$name is not a setting"
      ;;
  esac
done <<EOF
$(compgen -e)
EOF
