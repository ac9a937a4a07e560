# shellcheck shell=bash
# Sourced after lib.sh by the scripts that run functions with `cargo lambda watch`: processes that end
# with the script, the local gateway for DynamoDB and the WeChat simulator, and the functions' settings.

work="$(mktemp -d)"
pids=""
# shellcheck disable=SC2317,SC2329 # called by the trap
stop() {
  # Each is the leader of a process group, so cargo ends together with the processes it started.
  signal_all TERM || true
  # cargo lambda was seen to go on after SIGTERM on a busy machine, so they have ten seconds.
  local tries=0
  while [ "$tries" -lt 100 ] && signal_all 0; do
    tries=$((tries + 1))
    sleep 0.1
  done
  signal_all KILL || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
# Signals each group; fails when all have ended.
# shellcheck disable=SC2317,SC2329 # called by the trap
signal_all() {
  local pid status=1
  for pid in $pids; do
    if kill "-$1" -- "-$pid" 2>/dev/null; then status=0; fi
  done
  return "$status"
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

gateway="$(free_port)" dynamodb="$(free_port)"

start_gateway() {
  say "starting the gateway for its DynamoDB and its WeChat simulator"
  # Empty settings count as not set and override those of a .env with a real mini-program.
  start "$work/gateway.log" env HOST=127.0.0.1 PORT="$gateway" DYNAMODB_PORT="$dynamodb" DATA_DIR="$work/data" \
    AWS_ENDPOINT_URL_DYNAMODB="" WECHAT_APPIDS="" WECHAT_SECRETS="" WECHAT_BASE_URL="" REDIS_URL="" METRICS_PORT="" \
    cargo run --quiet --bin local
  wait_for "the gateway" "$work/gateway.log" curl -fsS "http://127.0.0.1:$gateway/health"
}

# watch PORT: runs the functions behind AWS's invoke API on this port.
watch() {
  # The built-in mini-program of the simulator: local/src/settings.rs.
  local app=wx0000000000000001
  AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local TABLE_NAME=weapp \
    AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:$dynamodb" WECHAT_BASE_URL="http://127.0.0.1:$gateway/_wechat" \
    CONSENTS="${CONSENTS:-privacy:3,terms:2}" \
    WECHAT_APPIDS="$app" WECHAT_SECRETS="$app:simulated-app-secret-of-wx1" \
    JWT_SECRETS="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" \
    DATA_KEYS="k1:$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" \
    cargo lambda watch --invoke-address 127.0.0.1 --invoke-port "$1" --ignore-changes
}
