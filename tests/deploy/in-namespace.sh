#!/usr/bin/env bash
# in-namespace.sh COMMAND...: runs it in a network, mount and process namespace of its own, so that control planes find the ports and
# folders that they insist on, disturb nobody, and end with the command. Needs root, or user namespaces.
set -euo pipefail

# What runs inside, before COMMAND.
prepare='
  ip link set lo up
  # A pod of its own needs an address that is not loopback: the API server takes no other for an endpoint.
  ip addr add 10.99.0.2/32 dev lo
  # Where pilot-agent keeps modules, whatever its working folder is.
  mkdir -p /var/lib/istio
  mount -t tmpfs tmpfs /var/lib/istio
  mkdir /var/lib/istio/data
  # Where the Envoy of Envoy Gateway looks for certificates.
  mkdir -p /certs
  exec "$@"
'
as_root=()
[ "$(id -u)" = 0 ] || as_root=(--map-root-user)
exec unshare "${as_root[@]}" --net --mount --pid --fork --mount-proc --kill-child --propagation private bash -euc "$prepare" - "$@"
