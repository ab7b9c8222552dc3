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

command -v cc >/dev/null || fail "a C linker is missing. On Debian or Ubuntu, type: apt-get install gcc"
