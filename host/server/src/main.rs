//! The `weir` binary: everything is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// For RocksDB's memory too. State is millions of small pieces that come and go; the system's allocator looks for room in
/// long lists.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    weir::cli::main(Vec::new())
}
