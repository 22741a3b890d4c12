#!/usr/bin/env bash
# `make run` with everything that watches it: Prometheus, Alertmanager, a log store, a page with the dashboards, and traffic that makes
# every panel move. `make monitor` builds first. Ctrl-C ends all of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly RUN=.run/monitor
readonly PAGE=http://127.0.0.1:8090
readonly -A PORTS=([9090]=Prometheus [9093]=Alertmanager [9428]="the log store" [8090]="the page" [8888]="the collector" [8880]="the rules of the log store"
  [9100]=node-exporter)
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
}

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# start NAME URL COMMAND...: runs it in the background until it answers at URL.
start() {
  local name=$1 url=$2 deadline=$((SECONDS + 60))
  shift 2
  "$@" >"$RUN/$name.log" 2>&1 </dev/null &
  local pid=$!
  PIDS+=("$pid")
  until curl -sf "$url" >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || { tail -n 20 "$RUN/$name.log" >&2; die "$name has ended (see $RUN/$name.log)"; }
    [ "$SECONDS" -lt "$deadline" ] || die "$name is not ready after a minute (see $RUN/$name.log)"
    read -r -t 0.2 <> <(:) || true
  done
}

# The example's settings, scraped often enough to see something soon, with the node's own exporter.
settings() {
  sed -e 's/^  interval: 30s/  interval: 5s/' -e 's/^sources:/sources:\n  node_exporter: ["127.0.0.1:9100"]/' \
    envoy/monitoring/settings.yaml
}

render() {
  rm -rf "$RUN"
  mkdir -p "$RUN/page/dashboards" "$RUN/secrets" "$RUN/collector"
  settings >"$RUN/settings.yaml"
  target/debug/portcullis render monitoring envoy/gateway.yaml --settings "$RUN/settings.yaml" --out "$RUN/rendered" \
    2>"$RUN/left-out.txt"
  cp envoy/monitoring/page/* "$RUN/page/"
  cp "$RUN"/rendered/dashboards/*.json "$RUN/page/dashboards/"
  (cd "$RUN/page/dashboards" && printf '%s\n' *.json | sed 's/\(.*\)\.json/"\1"/' | paste -sd, | sed 's/.*/[&]/') \
    >"$RUN/page/dashboards.json"
}

start_all() {
  start prometheus http://127.0.0.1:9090/-/ready .tools/bin/prometheus --config.file="$RUN/rendered/prometheus.yaml" \
    --storage.tsdb.path="$RUN/prometheus" --web.listen-address=127.0.0.1:9090 --web.enable-remote-write-receiver --log.level=warn
  # Debian's build looks for its templates below /usr/share alone.
  start alertmanager http://127.0.0.1:9093/-/ready unshare --map-root-user --mount bash -euc \
    'mount --bind "$0" /usr/share; exec "$@"' .tools/alertmanager/share .tools/bin/alertmanager --config.file="$RUN/rendered/alertmanager.yaml" \
    --storage.path="$RUN/alertmanager" --web.listen-address=127.0.0.1:9093 --cluster.listen-address= --log.level=warn
  start node-exporter http://127.0.0.1:9100/metrics .tools/bin/node-exporter --web.listen-address=127.0.0.1:9100 \
    --collector.disable-defaults --collector.cpu --collector.loadavg --collector.meminfo --collector.filesystem --collector.diskstats --collector.netdev
  start log-store http://127.0.0.1:9428/health .tools/bin/victoria-logs -storageDataPath="$RUN/logs" -httpListenAddr=127.0.0.1:9428
  PORTCULLIS_LOG_FILES=$PWD/.run/access.log PORTCULLIS_COLLECTOR_STATE=$PWD/$RUN/collector \
    PORTCULLIS_LOG_STORE=http://127.0.0.1:9428/insert/opentelemetry/v1/logs \
    start collector http://127.0.0.1:8888/metrics .tools/bin/otelcol --config="$RUN/rendered/logs/collector.yaml"
  start log-rules http://127.0.0.1:8880/health .tools/bin/vmalert -rule="$RUN/rendered/logs/victoria-logs-rules.yaml" \
    -datasource.url=http://127.0.0.1:9428 -remoteWrite.url=http://127.0.0.1:9090 -notifier.url=http://127.0.0.1:9093 \
    -httpListenAddr=127.0.0.1:8880
  start page "$PAGE/index.html" python3 -m http.server 8090 --bind 127.0.0.1 --directory "$RUN/page"
}

command -v python3 >/dev/null || die "'python3' is missing: install it"
for port in "${!PORTS[@]}"; do
  is_taken "$port" && die "port $port (${PORTS[$port]}) is taken by another process; see: ss -ltnp 'sport = :$port'"
done
trap end_all EXIT
trap 'exit 0' INT
trap 'exit 143' TERM
render
say "starting the gateway"
mkdir -p .run
start gateway http://127.0.0.1:8080/health envoy/run.sh
say "starting what watches it"
start_all
envoy/monitoring/traffic.sh >"$RUN/traffic.log" 2>&1 </dev/null &
PIDS+=($!)
say "the dashboards are at $PAGE/?scrape=5, Prometheus at http://127.0.0.1:9090, Alertmanager at http://127.0.0.1:9093; Ctrl-C ends everything"
wait -n "${PIDS[@]}" || true
die "a part has ended; see the logs in $RUN"
