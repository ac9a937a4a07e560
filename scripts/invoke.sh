#!/usr/bin/env bash
# invoke.sh FUNCTION --data-file EVENT: sends an event to a function of `make watch`. Ends after
# INVOKE_SECONDS (60) without an answer: `cargo lambda invoke` itself waits for minutes when a function
# does not start.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

port="${INVOKE_PORT:-9001}" seconds="${INVOKE_SECONDS:-60}"
[ $# -gt 0 ] || die 'usage: make invoke ARGS="health --data-file events/health/health.json"'
(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
  die "nothing listens on port $port: start \`make watch\` in another terminal, and wait until it says so"
scripts/tools/install.sh test

cargo lambda invoke "$@" --invoke-address 127.0.0.1 --invoke-port "$port" &
invoke=$!
(
  trap 'kill "$sleep" 2>/dev/null || true' TERM
  sleep "$seconds" &
  sleep=$!
  wait "$sleep" && kill "$invoke" 2>/dev/null
) &
watchdog=$!
status=0
wait "$invoke" || status=$?
kill "$watchdog" 2>/dev/null || true
# 128 + SIGTERM: the watchdog ended it. Said here, because the watchdog itself may be ended by the line
# above before it says anything.
[ "$status" -ne 143 ] ||
  printf 'error: no answer within %s s: the terminal of make watch says why\n' "$seconds" >&2
exit "$status"
