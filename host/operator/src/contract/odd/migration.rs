//! What the odd operator makes of values that an older version of it wrote.

use crate::native::NativeError;

/// Tells where a value was held and since when, and the value; `fail` and `flood` are commands.
pub(super) fn migrate(state: &str, from_version: u32, value: &[u8]) -> Result<Vec<u8>, NativeError> {
    match value {
        b"fail" => Err(NativeError::failure("it cannot read this")),
        b"flood" => Ok(vec![b'x'; 2_000_000]),
        value => Ok(format!("{state}/{from_version}/{}", super::text(value)).into_bytes()),
    }
}
