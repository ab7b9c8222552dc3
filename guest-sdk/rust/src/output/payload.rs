//! What can be emitted as a record's value.

use std::fmt::{self, Write};

use serde::Serialize;

use crate::codec::Json;
use crate::error::{Error, Result};

/// A value that writes itself into the column that leaves: text, bytes, a whole number (in decimal digits),
/// `format_args!(…)` (nothing is allocated), or `Json(&value)`. `None` is a deletion.
pub trait Payload {
    /// Appends the value's bytes.
    ///
    /// # Errors
    /// If it cannot be written.
    fn write_to(&self, into: &mut Vec<u8>) -> Result;

    /// Whether the record has no value: it is a deletion.
    fn is_missing(&self) -> bool {
        false
    }
}

macro_rules! payload_of_bytes {
    ($($type:ty)*) => {
        $(impl Payload for $type {
            #[inline]
            fn write_to(&self, into: &mut Vec<u8>) -> Result {
                into.extend_from_slice(self.as_ref());
                Ok(())
            }
        })*
    };
}
payload_of_bytes!(str String [u8] Vec<u8>);

impl<const N: usize> Payload for [u8; N] {
    fn write_to(&self, into: &mut Vec<u8>) -> Result {
        into.extend_from_slice(self);
        Ok(())
    }
}

impl<P: Payload + ?Sized> Payload for &P {
    #[inline]
    fn write_to(&self, into: &mut Vec<u8>) -> Result {
        (**self).write_to(into)
    }

    #[inline]
    fn is_missing(&self) -> bool {
        (**self).is_missing()
    }
}

impl<P: Payload> Payload for Option<P> {
    fn write_to(&self, into: &mut Vec<u8>) -> Result {
        self.as_ref().map_or(Ok(()), |value| value.write_to(into))
    }

    fn is_missing(&self) -> bool {
        self.as_ref().is_none_or(Payload::is_missing)
    }
}

macro_rules! payload_of_number {
    ($($number:ident)*) => {
        $(impl Payload for $number {
            #[inline]
            fn write_to(&self, into: &mut Vec<u8>) -> Result {
                Json(self).write_to(into)
            }
        })*
    };
}
payload_of_number!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);

impl Payload for fmt::Arguments<'_> {
    fn write_to(&self, into: &mut Vec<u8>) -> Result {
        struct Text<'a>(&'a mut Vec<u8>);
        impl Write for Text<'_> {
            #[inline]
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        Text(into).write_fmt(*self).map_err(|_| Error::failure("a value to emit failed to format itself"))
    }
}

impl<T: Serialize> Payload for Json<T> {
    fn write_to(&self, into: &mut Vec<u8>) -> Result {
        serde_json::to_writer(into, &self.0)
            .map_err(|error| Error::failure(format_args!("a value to emit cannot be written as JSON: {error}")))
    }
}
