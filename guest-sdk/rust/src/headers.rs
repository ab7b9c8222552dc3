//! Headers of the records being processed; asked of the host only when they are read.

use std::cell::OnceCell;

use crate::bindings::weir::operator::types::OptionalColumn;
use crate::column::Column;
use crate::host;

/// The headers of a batch. Each name's column is fetched once, when it is first asked for.
pub struct Headers {
    first: OnceCell<Box<Fetched>>,
}

/// One name's column, and those fetched after it.
struct Fetched {
    name: String,
    column: OptionalColumn,
    next: OnceCell<Box<Fetched>>,
}

impl Headers {
    pub(crate) fn new() -> Self {
        Self { first: OnceCell::new() }
    }

    /// The names that occur in the batch.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        host::headers::names()
    }

    /// The values of one header, one for each row; where a record has several of the name, the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Column<'_> {
        let mut place = &self.first;
        loop {
            let fetched = place.get_or_init(|| {
                let column = host::headers::get(name);
                Box::new(Fetched { name: name.to_owned(), column, next: OnceCell::new() })
            });
            if fetched.name == name {
                return Column::of(&fetched.column);
            }
            place = &fetched.next;
        }
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Headers").finish_non_exhaustive()
    }
}
