//! How values become bytes in state, and back.
//!
//! A codec is a type parameter of a state: `ValueState<Order>` is [`Plain`], `ValueState<Order, Postcard>` is the most
//! compact, and `ValueState<Order, MessagePack>` is compact and bears that fields come and go.
//! Which one it is belongs to the durable form of the state: to change it is to change the state.

use std::any::{Any, TypeId};

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, IgnoredAny};

/// An encoding of values of type `T`.
pub trait Codec<T>: 'static {
    /// What people and tools that look at the state are told.
    fn name() -> &'static str;

    /// Appends the value's bytes.
    ///
    /// # Errors
    /// What about the value cannot be encoded.
    fn encode(value: &T, into: &mut Vec<u8>) -> Result<(), String>;

    /// Reads back what `encode` wrote.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn decode(bytes: &[u8]) -> Result<T, String>;
}

/// The default: numbers and `bool` in their own width, little-endian (named as in Rust: `u64`); `String` as its bytes
/// (`utf-8`), `Vec<u8>` as it is (`bytes`); everything else as JSON (`json`).
#[derive(Debug, Clone, Copy)]
pub enum Plain {}

/// JSON, for any type of `serde`. As a codec it is written `Json`; `Json(&value)` is a value to emit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T = ()>(pub T);

/// Postcard, for any type of `serde`: a compact binary form that does not describe itself.
#[derive(Debug, Clone, Copy)]
pub enum Postcard {}

/// MessagePack with the names of fields, for any type of `serde`: smaller and faster than JSON, and as tolerant of fields
/// that were added (as an `Option`, or with `#[serde(default)]`), removed or moved.
#[derive(Debug, Clone, Copy)]
pub enum MessagePack {}

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn name() -> &'static str {
        "json"
    }

    fn encode(value: &T, into: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(into, value).map_err(|error| error.to_string())
    }

    fn decode(bytes: &[u8]) -> Result<T, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Postcard {
    fn name() -> &'static str {
        "postcard"
    }

    fn encode(value: &T, into: &mut Vec<u8>) -> Result<(), String> {
        let buffer = std::mem::take(into);
        *into = postcard::to_extend(value, buffer).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<T, String> {
        match postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(format!("{} bytes too many", rest.len())),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for MessagePack {
    fn name() -> &'static str {
        "messagepack"
    }

    fn encode(value: &T, into: &mut Vec<u8>) -> Result<(), String> {
        rmp_serde::encode::write_named(into, value).map_err(|error| error.to_string())
    }

    fn decode(bytes: &[u8]) -> Result<T, String> {
        let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
        let value = T::deserialize(&mut decoder).map_err(|error| error.to_string())?;
        // It does not tell how far it has come, but at the end there is no next value's first byte.
        match IgnoredAny::deserialize(&mut decoder) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
            Ok(_) | Err(_) => Err("there are bytes behind the value".to_owned()),
        }
    }
}

/// The value as a `U`, where that is what it is; the comparison is done by the compiler.
fn same<T: 'static, U: 'static>(value: &T) -> Option<&U> {
    if TypeId::of::<T>() == TypeId::of::<U>() { (value as &dyn Any).downcast_ref() } else { None }
}

/// The opposite of [`same`]: runs `make` where a `U` is wanted.
fn made<T: 'static, U: 'static>(make: impl FnOnce() -> Result<U, String>) -> Option<Result<T, String>> {
    if TypeId::of::<T>() != TypeId::of::<U>() {
        return None;
    }
    let mut made = None;
    let value = match make() {
        Ok(value) => value,
        Err(error) => return Some(Err(error)),
    };
    *(&mut made as &mut dyn Any).downcast_mut::<Option<U>>().expect("T and U are one type") = Some(value);
    made.map(Ok)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("expected {N} bytes, found {}", bytes.len()))
}

macro_rules! plain {
    ($($number:ident)*) => {
        impl<T: Serialize + DeserializeOwned + 'static> Codec<T> for Plain {
            fn name() -> &'static str {
                let wanted = TypeId::of::<T>();
                $(if wanted == TypeId::of::<$number>() {
                    return stringify!($number);
                })*
                if wanted == TypeId::of::<bool>() {
                    "bool"
                } else if wanted == TypeId::of::<String>() {
                    "utf-8"
                } else if wanted == TypeId::of::<Vec<u8>>() {
                    "bytes"
                } else {
                    <Json as Codec<T>>::name()
                }
            }

            #[inline]
            fn encode(value: &T, into: &mut Vec<u8>) -> Result<(), String> {
                $(if let Some(number) = same::<T, $number>(value) {
                    into.extend_from_slice(&number.to_le_bytes());
                    return Ok(());
                })*
                if let Some(flag) = same::<T, bool>(value) {
                    into.push(u8::from(*flag));
                } else if let Some(text) = same::<T, String>(value) {
                    into.extend_from_slice(text.as_bytes());
                } else if let Some(bytes) = same::<T, Vec<u8>>(value) {
                    into.extend_from_slice(bytes);
                } else {
                    return <Json as Codec<T>>::encode(value, into);
                }
                Ok(())
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<T, String> {
                $(if let Some(made) = made::<T, $number>(|| Ok($number::from_le_bytes(fixed(bytes)?))) {
                    return made;
                })*
                made::<T, bool>(|| flag(bytes))
                    .or_else(|| made::<T, String>(|| text(bytes)))
                    .or_else(|| made::<T, Vec<u8>>(|| Ok(bytes.to_vec())))
                    .unwrap_or_else(|| <Json as Codec<T>>::decode(bytes))
            }
        }
    };
}
plain!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64);

fn flag(bytes: &[u8]) -> Result<bool, String> {
    match bytes {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err("expected one byte, 0 or 1".to_owned()),
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
}

/// What can be an entry's key in a [`MapState`](crate::state::MapState): its bytes sort as its values do, so that a
/// scan goes in order. Unsigned numbers are big-endian; signed ones too, with the sign bit turned over.
pub trait EntryKey: Sized + 'static {
    /// Appends the key's bytes.
    fn encode_key(&self, into: &mut Vec<u8>);

    /// Reads them back.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn decode_key(bytes: &[u8]) -> Result<Self, String>;
}

macro_rules! entry_keys {
    ($($number:ident $flip:expr;)*) => {
        $(impl EntryKey for $number {
            fn encode_key(&self, into: &mut Vec<u8>) {
                into.extend_from_slice(&(self ^ $flip).to_be_bytes());
            }

            fn decode_key(bytes: &[u8]) -> Result<Self, String> {
                Ok(Self::from_be_bytes(fixed(bytes)?) ^ $flip)
            }
        })*
    };
}
entry_keys! {
    u8 0; u16 0; u32 0; u64 0; u128 0;
    i8 Self::MIN; i16 Self::MIN; i32 Self::MIN; i64 Self::MIN; i128 Self::MIN;
}

impl EntryKey for String {
    fn encode_key(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.as_bytes());
    }

    fn decode_key(bytes: &[u8]) -> Result<Self, String> {
        text(bytes)
    }
}

impl EntryKey for Vec<u8> {
    fn encode_key(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }

    fn decode_key(bytes: &[u8]) -> Result<Self, String> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::{Codec, EntryKey, Json, MessagePack, Plain, Postcard};

    fn comes_back<C: Codec<T>, T: PartialEq + Debug>(value: &T) -> Vec<u8> {
        let mut bytes = b"before".to_vec();
        C::encode(value, &mut bytes).unwrap();
        let encoded = bytes.split_off(6);
        assert_eq!(bytes, b"before", "encode only appends");
        assert_eq!(&C::decode(&encoded).unwrap(), value);
        encoded
    }

    #[test]
    fn plain_keeps_numbers_in_their_width_and_text_as_it_is() {
        assert_eq!(comes_back::<Plain, u64>(&258), [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(comes_back::<Plain, i16>(&-2), [0xfe, 0xff]);
        assert_eq!(comes_back::<Plain, bool>(&true), [1]);
        assert_eq!(comes_back::<Plain, String>(&"häuser".to_owned()), "häuser".as_bytes());
        assert_eq!(comes_back::<Plain, Vec<u8>>(&vec![0, 255]), [0, 255]);
        assert_eq!(comes_back::<Plain, BTreeMap<String, u32>>(&BTreeMap::from([("a".into(), 1)])), b"{\"a\":1}");
    }

    #[test]
    fn codec_is_named_by_what_it_writes() {
        assert_eq!(<Plain as Codec<u64>>::name(), "u64");
        assert_eq!(<Plain as Codec<String>>::name(), "utf-8");
        assert_eq!(<Plain as Codec<Vec<u8>>>::name(), "bytes");
        assert_eq!(<Plain as Codec<(u64, u64)>>::name(), "json");
        assert_eq!(<Json as Codec<u64>>::name(), "json");
        assert_eq!(<Postcard as Codec<u64>>::name(), "postcard");
        assert_eq!(<MessagePack as Codec<u64>>::name(), "messagepack");
    }

    #[test]
    fn wrong_bytes_are_refused_and_say_why() {
        assert_eq!(<Plain as Codec<u64>>::decode(b"abc").unwrap_err(), "expected 8 bytes, found 3");
        assert_eq!(<Plain as Codec<bool>>::decode(&[2]).unwrap_err(), "expected one byte, 0 or 1");
        assert!(<Plain as Codec<String>>::decode(&[0xff]).unwrap_err().contains("utf-8"));
        assert!(<Json as Codec<u64>>::decode(b"x").unwrap_err().contains("expected value"));
        assert_eq!(<Postcard as Codec<u8>>::decode(&[1, 2]).unwrap_err(), "1 bytes too many");
        for behind in [2, 0xd9, 0xc1] {
            let error = <MessagePack as Codec<u8>>::decode(&[1, behind]).unwrap_err();
            assert_eq!(error, "there are bytes behind the value");
        }
        assert!(<MessagePack as Codec<String>>::decode(&[0xd9, 200, b'a']).is_err(), "cut short");
        assert!(<MessagePack as Codec<Vec<u64>>>::decode(&[0xdd, 255, 255, 255, 255]).is_err(), "claims too much");
    }

    proptest! {
        #[test]
        fn every_value_comes_back(number: u64, signed: i128, float: f32, text: String, pair: (Vec<u16>, Option<bool>)) {
            comes_back::<Plain, _>(&number);
            comes_back::<Plain, _>(&signed);
            comes_back::<Plain, _>(&float.to_bits());
            comes_back::<Plain, _>(&text);
            comes_back::<Json, _>(&pair);
            comes_back::<Postcard, _>(&pair);
            comes_back::<Postcard, _>(&number);
            comes_back::<MessagePack, _>(&pair);
            comes_back::<MessagePack, _>(&number);
            comes_back::<MessagePack, _>(&signed);
            comes_back::<MessagePack, _>(&text);
        }

        #[test]
        fn entry_keys_sort_as_their_values(a: i64, b: i64, c: u32, d: u32) {
            let bytes = |key: i64| { let mut bytes = Vec::new(); key.encode_key(&mut bytes); bytes };
            prop_assert_eq!(bytes(a).cmp(&bytes(b)), a.cmp(&b));
            prop_assert_eq!(i64::decode_key(&bytes(a)).unwrap(), a);
            let bytes = |key: u32| { let mut bytes = Vec::new(); key.encode_key(&mut bytes); bytes };
            prop_assert_eq!(bytes(c).cmp(&bytes(d)), c.cmp(&d));
        }
    }
}
