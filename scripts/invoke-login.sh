#!/usr/bin/env bash
# A complete login through a function as Lambda runs it: `cargo lambda watch` builds and runs the
# login function, `cargo lambda invoke` sends it events/login/login.json. The local gateway provides
# DynamoDB and the WeChat simulator. All data is deleted at the end.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

scripts/tools/install.sh test
have curl || install_package curl curl
work="$(mktemp -d)"
pids=""
# shellcheck disable=SC2317,SC2329 # called by the trap
stop() {
  local pid
  # Each is the leader of a process group, so cargo ends together with the processes it started.
  for pid in $pids; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM

# start LOG COMMAND...: runs in the background, in a process group of its own.
start() {
  local log="$1"
  shift
  set -m
  "$@" >"$log" 2>&1 </dev/null &
  pids="$pids $!"
  set +m
}

# wait_for WHAT LOG TEST...: waits until the test succeeds; shows the log if the process has died.
wait_for() {
  local what="$1" log="$2" tries=0
  shift 2
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 1200 ] || ! kill -0 "${pids##* }" 2>/dev/null; then
      cat "$log" >&2
      die "$what did not start"
    fi
    sleep 0.1
  done
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    port_open "$port" || break
  done
  echo "$port"
}

say "building the gateway and the login function"
cargo build --quiet --bin local --bin login
gateway="$(free_port)" dynamodb="$(free_port)" lambda="$(free_port)"

say "starting the gateway for its DynamoDB and its WeChat simulator"
# Empty settings count as not set and override those of a .env with a real mini-program.
start "$work/gateway.log" env HOST=127.0.0.1 PORT="$gateway" DYNAMODB_PORT="$dynamodb" DATA_DIR="$work/data" \
  AWS_ENDPOINT_URL_DYNAMODB="" WECHAT_APPIDS="" WECHAT_SECRETS="" WECHAT_BASE_URL="" \
  cargo run --quiet --bin local
wait_for "the gateway" "$work/gateway.log" curl -fsS "http://127.0.0.1:$gateway/health"

say "issuing a wx.login code for alice"
code="$(curl -fsS -X POST -H 'Content-Type: application/json' -d '{"user":"alice"}' \
  "http://127.0.0.1:$gateway/_wechat/_control/code" | sed -n 's/.*"code" *: *"\([^"]*\)".*/\1/p')"
[ -n "$code" ] || die "the simulator issued no code"
sed "s/{{code}}/$code/" events/login/login.json >"$work/login.json"

say "starting cargo lambda watch"
# The built-in mini-program of the simulator: local/src/settings.rs.
app=wx0000000000000001
AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local TABLE_NAME=weapp \
  AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:$dynamodb" WECHAT_BASE_URL="http://127.0.0.1:$gateway/_wechat" \
  WECHAT_APPIDS="$app" WECHAT_SECRETS="$app:simulated-app-secret-of-wx1" \
  JWT_SECRETS="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" \
  DATA_KEYS="k1:$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" \
  start "$work/watch.log" cargo lambda watch --invoke-address 127.0.0.1 --invoke-port "$lambda" --ignore-changes
wait_for "cargo lambda watch" "$work/watch.log" port_open "$lambda"

say "cargo lambda invoke login --data-file events/login/login.json"
status=0
answer="$(cargo lambda invoke login --invoke-address 127.0.0.1 --invoke-port "$lambda" \
  --data-file "$work/login.json")" || status=$?
printf '%s\n' "$answer"
case "$answer" in
  *'"statusCode":200'*) say "the login succeeded" ;;
  *)
    cat "$work/watch.log" >&2
    die "the login failed (invoke exited with $status)"
    ;;
esac
