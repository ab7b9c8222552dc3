//! The bytes of a checkpoint file: all of them in memory, or read part by part where they lie.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use weir_operator::keyed_state::StateError;

use super::corrupt;

/// A file of which parts are read when they are needed. Whoever reads may hold its thread meanwhile.
pub trait Remote: fmt::Debug + Send + Sync {
    /// What errors call the file.
    fn name(&self) -> &str;

    /// Its length.
    fn bytes(&self) -> u64;

    /// A part of it, which lies within its length.
    ///
    /// # Errors
    /// [`weir_protocol::Fault::Unavailable`], or that the file is missing or shorter.
    fn read(&self, place: Range<u64>) -> Result<Bytes, StateError>;

    /// Nothing more is going to be read, or not soon: what of it is in memory may go.
    fn release(&self);
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Contents {
    /// Whole, with what errors call it where it has a name.
    Memory(Bytes, Option<Arc<str>>),
    Remote(Arc<dyn Remote>),
}

impl Contents {
    pub(super) fn len(&self) -> Result<usize, StateError> {
        match self {
            Self::Memory(bytes, _) => Ok(bytes.len()),
            Self::Remote(file) => usize::try_from(file.bytes()).map_err(corrupt),
        }
    }

    /// A part, which lies within the length.
    pub(super) fn part(&self, place: Range<usize>) -> Result<Bytes, StateError> {
        match self {
            Self::Memory(bytes, _) => Ok(bytes.slice(place)),
            Self::Remote(file) => {
                let wanted = place.len();
                let bytes = file.read(place.start as u64..place.end as u64)?;
                if bytes.len() != wanted {
                    return Err(corrupt(format_args!("it gives {} bytes where it has {wanted}", bytes.len())));
                }
                Ok(bytes)
            }
        }
    }

    /// The same error, with the file's name where it has one.
    pub(super) fn named(&self, error: StateError) -> StateError {
        let name = match self {
            Self::Memory(_, name) => name.as_deref(),
            Self::Remote(file) => Some(file.name()),
        };
        match name.filter(|name| !error.message.contains(name)) {
            Some(name) => StateError { message: format!("object `{name}`: {}", error.message), ..error },
            None => error,
        }
    }

    /// Nothing more is going to be read, or not soon.
    pub(super) fn release(&self) {
        if let Self::Remote(file) = self {
            file.release();
        }
    }
}
