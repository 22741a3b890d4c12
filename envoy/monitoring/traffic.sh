#!/usr/bin/env bash
# Traffic that makes every panel of the example's dashboards move: logins, orders, money, scanners, bad tokens, a flood, a burst of failed
# logins, a service that fails. For `make monitor`; runs until it is ended.
set -uo pipefail

readonly API=http://127.0.0.1:8080/api/v1
readonly CONTROL=http://127.0.0.1:8005

# ask ADDRESS METHOD PATH [BODY] [TOKEN]: from an address of the loopback, so that there are several clients.
ask() {
  local arguments=(-s -o /dev/null --max-time 10 --interface "$1" -X "$2" "$API$3")
  [ -z "${4:-}" ] || arguments+=(-H 'content-type: application/json' -d "$4")
  [ -z "${5:-}" ] || arguments+=(-H "authorization: Bearer $5")
  curl "${arguments[@]}"
}

log_in() { # NAME PASSWORD: the token
  curl -s --max-time 10 "$API/auth/login" -H 'content-type: application/json' -d "{\"username\": \"$1\", \"password\": \"$2\"}" |
    sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p'
}

order() { ask 127.0.0.1 POST /orders "{\"asset_id\": \"$1\", \"order_type\": \"market_buy\", \"quantity\": $2}" "$3"; }

usual() { # ROUND TOKEN
  ask 127.0.0.1 GET /inventory/assets
  ask 127.0.0.1 GET /inventory/assets/BTC
  ask 127.0.0.1 GET /orders '' "$2"
  ask 127.0.0.1 GET /portfolio '' "$2"
  case $(($1 % 5)) in
    0) order BTC 0.001 "$2" ;;
    1) order ETH 0.01 "$2" ;;
    2) order SOL 0.1 "$2" ;;
    3) ask 127.0.0.1 POST /balance/deposit '{"amount": 25.5}' "$2" ;;
    4) ask 127.0.0.1 GET /insights/portfolio '' "$2" ;;
  esac
  [ $(($1 % 7)) != 0 ] || order LUNA 1 "$2"
  [ $(($1 % 40)) != 0 ] || ask 127.0.0.1 POST /balance/withdraw '{"amount": 5}' "$2"
  [ $(($1 % 30)) != 0 ] || ask 127.0.0.1 POST /auth/register \
    "{\"username\": \"user_$1\", \"email\": \"u$1@example.com\", \"password\": \"Newcomer-Demo-1\", \"first_name\": \"New\", \"last_name\": \"Comer\"}"
}

abuse() { # ROUND
  local attempt
  ask 127.0.2.2 GET /orders '' eyJhbGciOiJIUzI1NiJ9.e30.bm8
  ask 127.0.2.2 GET /orders
  ask 127.0.3.3 GET /wp-login.php
  if [ $(($1 % 60)) = 10 ]; then
    for attempt in 1 2 3 4 5 6 7; do
      ask 127.0.4.4 POST /auth/login '{"username": "demo_customer", "password": "Wrong-Wrong-1"}'
    done
  fi
  if [ $(($1 % 60)) = 25 ]; then
    for attempt in $(seq 60); do ask 127.0.5.5 POST /auth/login '{"username": "nobody", "password": "x"}'; done
  fi
}

# The order service fails until its breaker opens.
trouble() { # ROUND TOKEN
  [ $(($1 % 120)) = 40 ] || return 0
  curl -s -o /dev/null "$CONTROL/faults" -H 'content-type: application/json' \
    -d '{"service": "order", "path": {"prefix": "/"}, "status": 503}'
  for _ in 1 2 3 4 5 6 7 8; do ask 127.0.0.1 GET /orders '' "$2"; done
  curl -s -o /dev/null -X DELETE "$CONTROL/faults"
}

round=0
while true; do
  if [ $((round % 50)) = 0 ]; then
    token=$(log_in demo_customer Customer-Demo-1)
    admin=$(log_in demo_admin Admin-Demo-2)
  fi
  usual "$round" "$token"
  [ $((round % 6)) != 0 ] || ask 127.0.0.1 GET /auth/profile '' "$admin"
  abuse "$round"
  trouble "$round" "$token"
  round=$((round + 1))
  read -r -t 0.5 <> <(:) || true
done
