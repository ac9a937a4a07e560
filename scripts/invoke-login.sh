#!/usr/bin/env bash
# A complete login through a function as Lambda runs it: `cargo lambda watch` builds and runs the
# login function, `cargo lambda invoke` sends it events/login/login.json. The local gateway provides
# DynamoDB and the WeChat simulator. All data is deleted at the end.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

# shellcheck source=watch-lib.sh
. "$root/scripts/watch-lib.sh"

scripts/tools/install.sh test
have curl || install_package curl curl
lambda="$(free_port)"

say "building the gateway and the login function"
cargo build --quiet --bin local --bin login
start_gateway

say "issuing a wx.login code for alice"
code="$(curl -fsS -X POST -H 'Content-Type: application/json' -d '{"user":"alice"}' \
  "http://127.0.0.1:$gateway/_wechat/_control/code" | sed -n 's/.*"code" *: *"\([^"]*\)".*/\1/p')"
[ -n "$code" ] || die "the simulator issued no code"
sed "s/{{code}}/$code/" events/login/login.json >"$work/login.json"

say "starting cargo lambda watch"
start "$work/watch.log" watch "$lambda"
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
