#!/usr/bin/env bash
# Installs what building Weir needs and this machine lacks. Says what it does; does nothing where nothing is missing.
# Where it cannot, it names the command to type.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo is missing. Install Rust from your system's packages or with rustup, then try again."

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
have=$(rustc --version | cut -d' ' -f2 | cut -d- -f1)
oldest=$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)
[ "$oldest" = "$wanted" ] || fail "Rust $have is too old; Weir needs $wanted. Type: rustup update stable"

target=wasm32-wasip2
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
  command -v rustup >/dev/null || fail "the Rust target $target is missing and there is no rustup to add it. Install your system's package for it (often libstd-rust-dev-wasm32 or rust-std-wasm), then try again."
  echo "setup: adding the Rust target $target, which operators are compiled for"
  rustup target add "$target" || fail "could not add it. Type: rustup target add $target"
fi

# RocksDB is C++, and its Rust binding is generated from its headers with libclang, which comes with clang.
if ! command -v clang++ >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing clang, which compiles RocksDB"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq clang libclang-dev >/dev/null \
      || fail "could not install it. Type: apt-get install clang libclang-dev"
  else
    fail "clang++ and libclang are missing. On Debian or Ubuntu, type: sudo apt-get install clang libclang-dev"
  fi
fi

target_folder=${CARGO_TARGET_DIR:-target}
if ! ls "$target_folder"/debug/deps/librocksdb-*.rlib >/dev/null 2>&1; then
  echo "setup: the first build compiles RocksDB and wasmtime: on two cores that takes 20 to 30 minutes, once for all"
  echo "       checkouts. Cargo shows how many of about 400 packages are done; the last of them, librocksdb-sys, alone"
  echo "       takes most of it"
fi

command -v cc >/dev/null || fail "a C linker is missing. On Debian or Ubuntu, type: apt-get install gcc"
