#!/usr/bin/env bash
# smoke.sh BASE_URL: whether a deployment answers as it should. It needs no account, writes nothing but a
# failed login, and waits up to SMOKE_WAIT seconds (5) for the first answer.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

base="${1:?usage: smoke.sh BASE_URL}"
base="${base%/}"
failed=0

# ask ARGS of curl: leaves `status`, and `answer` with headers and body.
ask() {
  answer="$(curl --silent --show-error --max-time 20 --include --suppress-connect-headers "$@")" || answer=""
  # Of "HTTP/1.1 200 OK".
  status="$(printf '%s\n' "$answer" | sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p')"
}

# expect WHAT STATUS TEXT...: that the last answer had this status and contains these texts.
expect() {
  local what="$1" wanted="$2" text problem=""
  shift 2
  [ "$status" = "$wanted" ] || problem="status ${status:-none}, not $wanted"
  for text in "$@"; do
    case "$answer" in *"$text"*) ;; *) problem="${problem:+$problem; }no $text" ;; esac
  done
  if [ -z "$problem" ]; then
    printf '  ok      %s\n' "$what"
  else
    failed=1
    printf '  FAILED  %s: %s\n%s\n' "$what" "$problem" "$answer"
  fi
}

# Connection errors are those of a server that is still starting, or of a name that is new.
tries=$((${SMOKE_WAIT:-5} + 1))
until ask "$base/health" 2>/dev/null && [ -n "$status" ]; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || die "$base does not answer"
  sleep 1
done
expect "it is alive" 200 '"code":200'
ask "$base/health?deep=1"
expect "it reaches its stores, and the circuit breaker is closed" 200 '"code":200'
ask "$base/.well-known/jwks.json"
expect "it publishes its keys" 200 '"keys":['
ask "$base/api/v1/user/info"
expect "a request without a token is refused" 401 '"reason":"token_missing"' '"data":null'
ask --header "Authorization: Bearer smoke" "$base/api/v1/user/info"
expect "a made-up token is refused" 401 '"reason":"token_invalid"'
ask --header "Content-Type: application/json" --data '{"code":"smoke-test-of-a-deployment"}' "$base/api/v1/user/login"
expect "WeChat is asked, and refuses a made-up code" 400 '"reason":"code_invalid"'
ask "$base/no-such-path"
expect "an unknown path has the envelope" 404 '"reason":"not_found"'

[ "$failed" -eq 0 ] || die "$base does not answer as it should"
say "$base answers as it should"
