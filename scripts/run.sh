#!/usr/bin/env bash
# Builds Weir and the word count, starts a node, uploads the component, submits the job and follows it.
# Ctrl-C stops both; the next run goes on where this one stopped.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${WEIR_LISTEN:=127.0.0.1:8081}"
: "${WEIR_DATA:=weir-data}"
export WEIR_LISTEN WEIR_DATA WEIR_SERVER="http://$WEIR_LISTEN"
target=${CARGO_TARGET_DIR:?set by make}
weir=$target/debug/weir
component=$target/guests/wasm32-wasip2/release/word_count.wasm

echo "run: building weir (the first build takes 20 to 30 minutes on two cores, as RocksDB and Wasmtime are compiled)"
# With --workspace, so that dependencies have the features that `make test` compiles them with.
cargo build --workspace --bins
echo "run: building the word-count component"
CARGO_TARGET_DIR=$target/guests cargo build --release --target wasm32-wasip2 --manifest-path examples/Cargo.toml --package word-count

mkdir -p "$WEIR_DATA" weir-data/input
node=
stop() {
  if [ -n "$node" ]; then
    echo
    echo "run: stopping the node; the job goes on at the next 'make run'"
    kill -TERM "$node" 2>/dev/null || true
    wait "$node" || true
    node=
  fi
}
trap stop EXIT
trap 'exit 0' INT TERM

# The process that answers at the address; empty where that cannot be told.
answering() {
  local host=${WEIR_LISTEN%:*} port=${WEIR_LISTEN##*:}
  { exec 3<>"/dev/tcp/${host//[\[\]]/}/$port"; } 2>/dev/null || return 0
  printf 'GET /api/v1/health HTTP/1.0\r\n\r\n' >&3
  sed -n 's/.*"service":"weir".*"pid":\([0-9]*\).*/\1/p' <&3
  exec 3>&-
}

if "$weir" list >/dev/null 2>&1; then
  pid=$(answering)
  if [ -n "$pid" ] && [ "$pid" != "$(cat "$WEIR_DATA/lock" 2>/dev/null)" ]; then
    where=$(readlink "/proc/$pid/cwd" 2>/dev/null || echo "another folder")
    echo "run: at $WEIR_SERVER answers a node with another data folder than $WEIR_DATA (process $pid, started in $where)" >&2
    echo "run: stop that one, or take another address: make run WEIR_LISTEN=${WEIR_LISTEN%:*}:$((${WEIR_LISTEN##*:} + 10))" >&2
    exit 1
  fi
  echo "run: a node is already running at $WEIR_SERVER"
else
  before=$(wc -l 2>/dev/null <"$WEIR_DATA/weir.log" || echo 0)
  "$weir" serve >>"$WEIR_DATA/weir.log" 2>&1 &
  node=$!
  for _ in $(seq 1 100); do
    "$weir" list >/dev/null 2>&1 && break
    kill -0 "$node" 2>/dev/null || { tail -n "+$((before + 1))" "$WEIR_DATA/weir.log" >&2; node=; exit 1; }
    sleep 0.1
  done
  echo "run: the node listens at $WEIR_SERVER (log: $WEIR_DATA/weir.log)"
fi

"$weir" upload "$component" --name word-count
echo "run: drop text files into weir-data/input to have them counted; results are in weir-data/output"
# A job that an earlier run left goes on as what the component and the job file are by now.
if "$weir" describe word-count >/dev/null 2>&1; then
  "$weir" upgrade --no-wait examples/word-count/job.toml || true
fi
"$weir" run examples/word-count/job.toml &
follower=$!
if [ -n "$node" ]; then
  wait -n "$node" "$follower" && status=0 || status=$?
  if ! kill -0 "$node" 2>/dev/null; then
    kill "$follower" 2>/dev/null || true
    node=
    echo >&2
    echo "run: the node has gone (log: $WEIR_DATA/weir.log); 'make run' starts it again, and the job goes on" >&2
    exit 1
  fi
else
  wait "$follower" && status=0 || status=$?
fi
if [ "$status" -eq 2 ]; then
  echo "run: where another word-count holds the name and cannot become this one, end it with these, then try again:" >&2
  [ -z "$node" ] || echo "  WEIR_LISTEN=$WEIR_LISTEN WEIR_DATA=$WEIR_DATA $weir serve   # and in another terminal:" >&2
  echo "  $weir --server $WEIR_SERVER cancel word-count" >&2
fi
exit "$status"
