#!/usr/bin/env bash
# Fuzzes one target under libFuzzer: scripts/fuzz.sh TARGET [SECONDS]. Without a target it only builds the program, and
# prints where it is. What is found new stays in $WEIR_CACHE/fuzz/TARGET; an input that fails lies beside it.
set -euo pipefail
cd "$(dirname "$0")/.."
WEIR_CACHE=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$WEIR_CACHE/target}

command -v c++ >/dev/null || {
  echo "fuzz: libFuzzer is C++, and there is no compiler for it. On Debian or Ubuntu, type: apt-get install g++" >&2
  exit 1
}
built=$CARGO_TARGET_DIR/libfuzzer
cargo build --quiet --manifest-path tests/fuzz/libfuzzer/Cargo.toml --target-dir "$built" >&2
WEIR_LIBFUZZER=$(ls -t "$built"/debug/build/libfuzzer-sys-*/out/libfuzzer.a | head -n 1)
export WEIR_LIBFUZZER
# The whole workspace is selected so that its dependencies are the ones that every other build has.
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/fuzz-rustc.sh \
  cargo build --quiet --workspace --bin weir-fuzz --features weir-fuzz/libfuzzer >&2
program=$CARGO_TARGET_DIR/debug/weir-fuzz

if [ $# = 0 ]; then
  echo "$program"
  exit
fi
corpus=$WEIR_CACHE/fuzz/$1
mkdir -p "$corpus" "tests/fuzz/corpus/$1"
WEIR_FUZZ_TARGET=$1 exec "$program" "$corpus" "tests/fuzz/corpus/$1" \
  -artifact_prefix="$WEIR_CACHE/fuzz/$1-" -max_total_time="${2:-600}" -max_len=4096 -rss_limit_mb=2048 -timeout=20 \
  -print_final_stats=1
