#!/usr/bin/env bash
# rustc, as `scripts/fuzz.sh` has cargo call it for the workspace's own crates: those that are fuzzed get libFuzzer's
# instruments, and the program gets libFuzzer. Build scripts and all dependencies are compiled as ever.
set -euo pipefail
rustc=$1
shift

name=
kind=
previous=
for argument in "$@"; do
  case "$previous" in
    --crate-name) name=$argument ;;
    --crate-type) kind=$argument ;;
  esac
  previous=$argument
done

extra=()
case "$name" in
  weir | weir_engine | weir_operator | weir_protocol | weir_fuzz)
    extra+=(
      -Cpasses=sancov-module
      -Cllvm-args=-sanitizer-coverage-level=4
      -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
      -Cllvm-args=-sanitizer-coverage-pc-table
      -Cllvm-args=-sanitizer-coverage-trace-compares
      -Ccodegen-units=1
    )
    ;;
esac
if [ "$name/$kind" = weir_fuzz/bin ]; then
  extra+=("-Clink-arg=$WEIR_LIBFUZZER" -Clink-arg=-lstdc++ -Clink-arg=-Wl,-z,nostart-stop-gc)
fi
exec "$rustc" "$@" "${extra[@]}"
