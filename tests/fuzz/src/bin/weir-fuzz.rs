//! One target under libFuzzer: `WEIR_FUZZ_TARGET` names it; arguments are libFuzzer's own.
//!
//! `main` is libFuzzer's, and `scripts/fuzz.sh` links it.

#![no_main]

use std::ffi::c_int;
use std::sync::OnceLock;

use weir_fuzz::{TARGETS, Target, target};

fn chosen() -> Target {
    static CHOSEN: OnceLock<Target> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let names = TARGETS.map(|target| target.name).join(", ");
        let name = std::env::var("WEIR_FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| unreachable!("WEIR_FUZZ_TARGET is `{name}`; there are: {names}"))
    })
}

/// What libFuzzer calls for each input. A panic ends the process, which is how libFuzzer learns of it.
///
/// # Safety
/// `bytes` points to `count` bytes that live as long as the call.
#[expect(unsafe_code, reason = "libFuzzer calls by this name, with a pointer and a length")]
// SAFETY: no other function of the program has this name; libFuzzer looks for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(bytes: *const u8, count: usize) -> c_int {
    let data = if count == 0 {
        &[]
    } else {
        // SAFETY: libFuzzer gives a pointer to so many bytes, which it does not touch during the call.
        unsafe { std::slice::from_raw_parts(bytes, count) }
    };
    if std::panic::catch_unwind(|| (chosen().check)(data)).is_err() {
        std::process::abort();
    }
    0
}
