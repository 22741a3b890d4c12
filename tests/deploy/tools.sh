#!/usr/bin/env bash
# Builds the control planes that `make test-deploy` runs, from their pinned sources, into .tools/deploy of this checkout.
#
#   tests/deploy/tools.sh etcd            from Debian's package
#   tests/deploy/tools.sh crane           an OCI client, which is also a registry
#   tests/deploy/tools.sh kubernetes      kube-apiserver and kubectl
#   tests/deploy/tools.sh istio           pilot-discovery (istiod), pilot-agent, istioctl; the custom resource definitions
#   tests/deploy/tools.sh envoy-gateway-crds   the custom resource definitions of Envoy Gateway
#   tests/deploy/tools.sh envoy-gateway   envoy-gateway itself
#   tests/deploy/tools.sh prometheus-operator-crds   the custom resource definitions of the Prometheus operator
#   tests/deploy/tools.sh all             all of them
#
# A tool's versions stand in tests/deploy/tools/TOOL/go.mod, and every dependency's checksum in go.sum beside it. What is built
# lies in .tools/deploy/TOOL-HASH, where HASH is that of both files, and is not built again; .tools/deploy/TOOL leads there.
# Cold, they compile some thousands of packages and download 2 GB into Go's own cache.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly ROOT
readonly TOOLS="$ROOT/.tools/deploy"
readonly -A COMMANDS=(
  [crane]="github.com/google/go-containerregistry/cmd/crane"
  [kubernetes]="k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl"
  [istio]="istio.io/istio/pilot/cmd/pilot-discovery istio.io/istio/pilot/cmd/pilot-agent istio.io/istio/istioctl/cmd/istioctl"
  [envoy-gateway]="github.com/envoyproxy/gateway/cmd/envoy-gateway"
)
# Of which modules' sources the custom resource definitions are.
readonly -A DEFINED_BY=(
  [envoy-gateway]="github.com/envoyproxy/gateway sigs.k8s.io/gateway-api"
  [prometheus-operator]="github.com/prometheus-operator/prometheus-operator"
)
readonly ALL=(etcd crane kubernetes istio envoy-gateway-crds envoy-gateway prometheus-operator-crds)

export CGO_ENABLED=0
export GOFLAGS="-buildvcs=false -trimpath -mod=readonly ${PORTCULLIS_GO_FLAGS:-}"

# shellcheck source=tests/tools-common.sh
. "$ROOT/tests/tools-common.sh"

# go_command: Go 1.24 or newer, of this machine or of this checkout; it fetches the release that a go.mod asks for.
go_command() {
  if [ -x "$ROOT/.tools/go/bin/go" ]; then echo "$ROOT/.tools/go/bin/go"; else command -v go; fi
}

# versioned TOOL: the folder of the pinned version.
versioned() {
  local hash
  hash=$(cat "$ROOT/tests/deploy/tools/$1/go.mod" "$ROOT/tests/deploy/tools/$1/go.sum" | sha256sum | cut -c1-12)
  echo "$TOOLS/$1-$hash"
}

# progress ALL: says every hundredth package that Go has compiled; keeps everything else for an error.
progress() {
  awk -v all="$1" -v tool="$2" '
    /^[a-z0-9.]+\// && !/ / { if (++done % 200 == 0) printf "tools: %s: %d of about %d packages\n", tool, done, all > "/dev/stderr"; next }
    { print > "/dev/stderr" }'
}

# build TOOL FOLDER: compiles the commands of TOOL into FOLDER, without symbol tables.
build() {
  local go packages
  go=$(go_command)
  cd "$ROOT/tests/deploy/tools/$1"
  say "$1: downloading its sources"
  # shellcheck disable=SC2086 # the list of commands is meant to be split
  packages=$("$go" list -deps ${COMMANDS[$1]} | wc -l)
  say "$1: building $packages packages, which takes some minutes the first time"
  # shellcheck disable=SC2086
  "$go" build -v -gcflags=all=-dwarf=false -ldflags="-s -w" -o "$2/" ${COMMANDS[$1]} 2>&1 | progress "$packages" "$1"
}

# source_of TOOL MODULE: the folder of MODULE's sources.
source_of() { (cd "$ROOT/tests/deploy/tools/$1" && "$(go_command)" list -m -f '{{.Dir}}' "$2"); }

# What the sources ship beside the commands: definitions for the API server, the template of a proxy's bootstrap.
copy_files() {
  local source
  mkdir -p "$2/crds"
  case $1 in
    istio)
      source=$(source_of istio istio.io/istio)
      cp "$source/manifests/charts/base/files/crd-all.gen.yaml" "$2/crds/istio.yaml"
      cp "$source/tools/packaging/common/envoy_bootstrap.json" "$2/envoy_bootstrap_tmpl.json"
      cp "$(source_of istio sigs.k8s.io/gateway-api)"/config/crd/standard/*.yaml "$2/crds/"
      ;;
    envoy-gateway)
      source=$(source_of envoy-gateway github.com/envoyproxy/gateway)
      cp "$source"/charts/gateway-helm/charts/crds/crds/generated/*.yaml "$2/crds/"
      cp "$(source_of envoy-gateway sigs.k8s.io/gateway-api)"/config/crd/standard/*.yaml "$2/crds/"
      ;;
    prometheus-operator)
      cp "$(source_of "$1" github.com/prometheus-operator/prometheus-operator)"/example/prometheus-operator-crd/*.yaml "$2/crds/"
      ;;
  esac
  chmod -R u+w "$2/crds"
}

# install_built TOOL: builds it beside its place, and moves it there when it is whole.
install_built() {
  local folder
  folder=$(versioned "$1")
  if [ ! -d "$folder" ]; then
    "$ROOT/tests/tools.sh" go
    rm -rf "$folder.new"
    mkdir -p "$folder.new"
    build "$1" "$folder.new"
    copy_files "$1" "$folder.new"
    mv "$folder.new" "$folder"
  fi
  ln -sfn "$(basename "$folder")" "$TOOLS/$1"
  say "$1: there"
}

# install_crds TOOL: nothing of it is built.
install_crds() {
  local folder
  folder=$(versioned "$1")-crds
  if [ ! -d "$folder" ]; then
    "$ROOT/tests/tools.sh" go
    say "$1-crds: downloading its sources"
    # shellcheck disable=SC2086 # the list of modules is meant to be split
    (cd "$ROOT/tests/deploy/tools/$1" && "$(go_command)" mod download ${DEFINED_BY[$1]})
    rm -rf "$folder.new"
    copy_files "$1" "$folder.new"
    mv "$folder.new" "$folder"
  fi
  ln -sfn "$(basename "$folder")" "$TOOLS/$1-crds"
  say "$1-crds: there"
}

# The package is unpacked into .tools, not installed: no service starts.
fetch_etcd() (
  scratch=$(mktemp -d "$TOOLS/scratch.XXXXXX")
  trap 'rm -rf "$scratch"' EXIT
  [[ $(apt-cache policy etcd-server 2>/dev/null) == *"Candidate: "[0-9]* ]] || apt-get update --quiet=2
  say "etcd: downloading Debian's etcd-server package"
  (cd "$scratch" && apt-get download --quiet=2 -o "APT::Sandbox::User=$(id -un)" etcd-server)
  dpkg -x "$scratch"/etcd-server_*.deb "$scratch/package"
  mkdir -p "$TOOLS/etcd"
  mv -f "$scratch/package/usr/bin/etcd" "$TOOLS/etcd/etcd"
)

install_etcd() {
  if command -v etcd >/dev/null 2>&1 && [ ! -e "$TOOLS/etcd/etcd" ]; then
    mkdir -p "$TOOLS/etcd"
    ln -sf "$(command -v etcd)" "$TOOLS/etcd/etcd"
  fi
  if ! "$TOOLS/etcd/etcd" --version >/dev/null 2>&1; then
    command -v apt-get >/dev/null 2>&1 || die "install etcd 3.4 or newer and put it on PATH"
    fetch_etcd
    "$TOOLS/etcd/etcd" --version >/dev/null 2>&1 || die "etcd was unpacked, but does not run"
  fi
  say "etcd: there"
}

[ $# -gt 0 ] || die "which tool? tests/deploy/tools.sh ${ALL[*]} | all"
[ "$1" = all ] && set -- "${ALL[@]}"
for tool in "$@"; do
  [[ " ${ALL[*]} " == *" $tool "* ]] || die "no tool '$tool'; there are: ${ALL[*]}"
done
for tool in "$@"; do
  lock "$tool"
  case $tool in
    etcd) install_etcd ;;
    *-crds) install_crds "${tool%-crds}" ;;
    *) install_built "$tool" ;;
  esac
done
