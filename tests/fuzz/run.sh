#!/usr/bin/env bash
# Fuzzes each target for a part of SECONDS (60 unless given), from the committed seeds, and says how many executions there
# were. What was found on the way is kept under target/, so that the next run goes on from there. Stable Rust: the flags below are what
# libFuzzer needs of the compiler.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly SECONDS_IN_ALL=${1:-60}
readonly TARGETS=(tokens keys)
readonly HOST=$(rustc -vV | sed -n 's/^host: //p')
readonly OUT=${CARGO_TARGET_DIR:-target}

export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
cargo --locked build --quiet --release --bin tokens --bin keys --target "$HOST" --target-dir "$OUT"

total=0
for target in "${TARGETS[@]}"; do
  found="$OUT/found/$target" log="$OUT/$target.log"
  mkdir -p "$found"
  if ! "$OUT/$HOST/release/$target" "$found" "corpus/$target" -max_total_time=$((SECONDS_IN_ALL / ${#TARGETS[@]})) \
    -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$OUT/$target-" > "$log" 2>&1; then
    tail -n 40 "$log" >&2
    printf 'error: %s has found something; the input lies at %s\n' "$target" "$OUT/$target-*" >&2
    exit 1
  fi
  count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '%-8s %10d executions\n' "$target" "$count"
  total=$((total + count))
done
printf '%-8s %10d executions, nothing found\n' all "$total"
