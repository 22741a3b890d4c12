#!/usr/bin/env bash
# The gateway of the example policy on port 8080, with its demo services, until Ctrl-C. `make run` builds first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly RUN=.run
readonly GATEWAY=http://127.0.0.1:8080
readonly -A PORTS=([8080]=gateway [9901]="Envoy's admin interface" [9902]="the metrics' own listener" [8000]=user [8001]=inventory [8002]=order [8003]=auth
  [8004]=insights [8005]="demo control")
# One secret for whoever issues tokens and for the gateway that checks them: unless it is given, one that nobody else knows.
JWT_SECRET=${JWT_SECRET:-$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')}
export JWT_SECRET
PIDS=()

say() { printf '\n== %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

end_all() {
  trap - EXIT INT TERM
  [ ${#PIDS[@]} -eq 0 ] || kill "${PIDS[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  echo "ended."
}

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

check_ports() {
  local port taken=0
  for port in "${!PORTS[@]}"; do
    is_taken "$port" || continue
    printf 'error: port %s (%s) is taken by another process; see: ss -ltnp "sport = :%s"\n' \
      "$port" "${PORTS[$port]}" "$port" >&2
    taken=1
  done
  [ "$taken" = 0 ] || exit 1
}

# wait_for NAME PID LOG COMMAND...: until COMMAND succeeds; fails when the process has ended or a minute is over.
wait_for() {
  local name=$1 pid=$2 log=$3 deadline=$((SECONDS + 60))
  shift 3
  until "$@" >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || { tail -n 20 "$log" >&2; die "$name has ended (see $log)"; }
    [ "$SECONDS" -lt "$deadline" ] || die "$name is not ready after a minute (see $log)"
    read -r -t 0.1 <> <(:) || true
  done
}

start() {
  mkdir -p "$RUN"
  target/debug/portcullis render envoy envoy/gateway.yaml --listen 127.0.0.1:8080 --admin 127.0.0.1:9901 \
    --module target/wasm32-wasip1/release/portcullis.wasm > "$RUN/envoy.yaml"
  target/debug/demo-services > "$RUN/services.log" 2>&1 < /dev/null &
  PIDS+=($!)
  wait_for "demo services" $! "$RUN/services.log" curl -sf http://127.0.0.1:8004/health
  .tools/envoy/envoy -c "$RUN/envoy.yaml" --concurrency 2 --log-level warning \
    --file-flush-interval-msec 500 > "$RUN/access.log" 2> "$RUN/envoy.log" < /dev/null &
  PIDS+=($!)
  wait_for "the gateway" $! "$RUN/envoy.log" curl -sf "$GATEWAY/health"
}

# show COMMAND...: prints a command as one would type it, and its real answer.
show() {
  printf '\n$ %s\n' "$*"
  eval "$*"
  echo
}

tour() {
  say "three requests worth trying (their real answers)"
  local login='{"username": "demo_customer", "password": "Customer-Demo-1"}'
  show "curl -s $GATEWAY/api/v1/auth/login -H 'content-type: application/json' -d '$login' | tee $RUN/login.json"
  show "curl -s $GATEWAY/api/v1/orders -H \"authorization: Bearer \$(sed 's/.*access_token\":\"\\([^\"]*\\).*/\\1/' $RUN/login.json)\""
  show "curl -si $GATEWAY/no/such/route -H 'x-user-role: admin'"
}

command -v curl >/dev/null || die "'curl' is missing: install it"
check_ports
trap end_all EXIT
# Ctrl-C is how it ends.
trap 'exit 0' INT
trap 'exit 143' TERM
say "starting the demo services (8000-8004) and the gateway (8080)"
start
tour
say "the gateway is at $GATEWAY, its metrics at $GATEWAY/metrics, Envoy's admin at http://127.0.0.1:9901"
say "its log follows (also in $RUN/access.log); Ctrl-C ends everything"
tail -n +1 -F "$RUN/access.log" 2>/dev/null &
PIDS+=($!)
# Until one of the services or the gateway ends, which none should.
wait -n "${PIDS[0]}" "${PIDS[1]}" || true
die "a part of the gateway has ended; see $RUN/services.log and $RUN/envoy.log"
