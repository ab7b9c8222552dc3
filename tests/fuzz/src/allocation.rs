//! The largest single allocation of a thread: how a target sees that a lie in its input was believed.
//!
//! Receives every allocation of any program that this crate is linked into, and passes it on to the system unchanged.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

struct Watched;

#[global_allocator]
static WATCHED: Watched = Watched;

/// Runs something, and gives the size of the largest allocation that it made on this thread.
pub fn largest_of<T>(run: impl FnOnce() -> T) -> (T, usize) {
    LARGEST.set(0);
    let done = run();
    (done, LARGEST.get())
}

fn note(bytes: usize) {
    // A thread that is ending has no counter any more, and nobody who asks for it.
    let _gone = LARGEST.try_with(|largest| largest.set(largest.get().max(bytes)));
}

#[expect(
    unsafe_code,
    reason = "an allocator can be written in no other way; each call goes to the system's as it came"
)]
// SAFETY: every method passes its arguments to the system's allocator and gives back what that gives.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps what the trait asks for, which is what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::largest_of;

    #[test]
    fn the_largest_of_several_allocations_is_seen() {
        let (kept, largest) = largest_of(|| [vec![1_u8; 10], vec![2; 12_345], vec![3; 100]]);
        assert_eq!(kept.len(), 3);
        assert_eq!(largest, 12_345);
    }
}
