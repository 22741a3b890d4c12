#!/usr/bin/env bash
# What `portcullis render monitoring` writes for Kubernetes, given to a real API server with the definitions of the Prometheus operator:
# every object is accepted strictly, and one with a misspelt field is refused. Run by
#
#   tests/deploy/tools.sh etcd kubernetes prometheus-operator-crds && tests/deploy/in-namespace.sh tests/deploy/monitoring.sh
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly ROOT
readonly TOOLS="${PORTCULLIS_DEPLOY_TOOLS:-$ROOT/.tools/deploy}"
readonly CRDS="$TOOLS/prometheus-operator-crds/crds"

scratch=$(mktemp -d)
# Outright: an API server that is told to end waits for its store, which may have ended before it, without end.
trap 'kill -KILL $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT
cd "$scratch"

openssl genrsa -out accounts.key 2048 2>/dev/null
openssl rsa -pubout -in accounts.key -out accounts.pub 2>/dev/null
echo 'tests-only,admin,admin,system:masters' >tokens
"$TOOLS/etcd/etcd" --data-dir etcd --unsafe-no-fsync >etcd.log 2>&1 &
"$TOOLS/kubernetes/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --bind-address=127.0.0.1 --secure-port=6443 \
  --advertise-address=10.99.0.2 --endpoint-reconciler-type=none --cert-dir=certificates --token-auth-file=tokens \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=accounts.pub \
  --service-account-signing-key-file=accounts.key --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=AlwaysAllow \
  --disable-admission-plugins=ServiceAccount >server.log 2>&1 &
kubectl() {
  HOME=$scratch "$TOOLS/kubernetes/kubectl" --server=https://127.0.0.1:6443 --token=tests-only --insecure-skip-tls-verify "$@"
}
for ((try = 0; try < 600; try++)); do
  kubectl get --raw /readyz >/dev/null 2>&1 && break
  sleep 0.2
done
kubectl get --raw /readyz >/dev/null || { tail -n 20 server.log >&2; exit 1; }

kubectl apply --server-side -f "$CRDS" >/dev/null
kubectl wait --for=condition=Established --timeout=120s crd --all >/dev/null 2>wait.log || { cat wait.log >&2; exit 1; }
kubectl create namespace monitoring >/dev/null

"$ROOT/target/debug/portcullis" render monitoring "$ROOT/envoy/gateway.yaml" \
  --settings "$ROOT/envoy/monitoring/settings.production.yaml" --out rendered 2>/dev/null
accepted=0
for file in prometheus-rule monitors alertmanager-secret; do
  said=$(kubectl apply --server-side --validate=strict -f "rendered/kubernetes/$file.yaml")
  accepted=$((accepted + $(wc -l <<<"$said")))
done
sed 's/ expr:/ exprr:/' rendered/kubernetes/prometheus-rule.yaml >misspelt.yaml
if kubectl apply --server-side --validate=strict --dry-run=server -f misspelt.yaml >refused.log 2>&1; then
  echo "a misspelt field was accepted" >&2
  exit 1
fi
grep -q exprr refused.log || { cat refused.log >&2; exit 1; }
version=$(sed -n 's/^require k8s.io\/kubernetes //p; s/^\tk8s.io\/kubernetes \([^ ]*\).*/\1/p' "$ROOT/tests/deploy/tools/kubernetes/go.mod" | head -n 1)
echo "monitoring: $accepted objects accepted by kube-apiserver $version, one with a misspelt field refused"
