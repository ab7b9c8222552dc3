//! Panics of the thread that simulates: whatever catches them, none stays unseen. Those that operators are made to begin
//! are not among them, since they run no hook.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on the first panic of this thread is kept.
pub(super) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            FIRST.with_borrow_mut(|first| *first = first.take().or_else(|| Some(panic.to_string())));
            before(panic);
        }));
    });
    FIRST.take();
}

/// The first one since.
pub(super) fn first() -> Option<String> {
    FIRST.with_borrow(Clone::clone)
}
