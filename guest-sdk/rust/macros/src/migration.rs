//! The versions of a state, and what leads from one to the next.

use syn::parse::{Parse, ParseStream};
use syn::{Error, LitInt, Path, Token, Type};

/// `VERSION = FUNCTION`, or `VERSION: CODEC = FUNCTION`.
pub(crate) struct Migration {
    pub(crate) from: LitInt,
    pub(crate) version: u32,
    pub(crate) codec: Option<Type>,
    pub(crate) function: Path,
}

impl Parse for Migration {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        const FORM: &str = "write `migrate(VERSION = FUNCTION)`, like `migrate(1 = from_count)`";
        let from: LitInt = input.parse().map_err(|error| Error::new(error.span(), FORM))?;
        let version = from.base10_parse()?;
        let codec = if input.peek(Token![:]) {
            input.parse::<Token![:]>()?;
            Some(input.parse()?)
        } else {
            None
        };
        input.parse::<Token![=]>().map_err(|error| Error::new(error.span(), FORM))?;
        Ok(Self { from, version, codec, function: input.parse()? })
    }
}

/// A version that a state may declare: without any it has version 1.
pub(crate) fn version_of(number: &LitInt) -> Result<u32, Error> {
    match number.base10_parse::<u32>() {
        Ok(version) if version > 1 => Ok(version),
        Ok(_) | Err(_) => Err(Error::new_spanned(number, "expected a version above 1, which a state has without any")),
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::error_of;

    #[test]
    fn migrations_lead_from_lower_versions_each_once() {
        let of_field = |attribute: &str| error_of(&format!("struct A {{ {attribute} last: ValueState<u64> }}"));
        assert!(of_field("#[describe(version = 1)]").starts_with("expected a version above 1"));
        assert!(of_field("#[describe(version = 2, skip)]").starts_with("what is skipped"));
        assert!(of_field("#[describe(migrate(1 = a))]").contains("write `version = …` beside it"));
        assert!(
            of_field("#[describe(version = 2, migrate(2 = a))]").starts_with("a migration leads from a version below")
        );
        assert!(
            of_field("#[describe(version = 3, migrate(1 = a, 1: Postcard = b))]").starts_with("there is a migration")
        );
        assert!(of_field("#[describe(version = 3, migrate(a))]").starts_with("write `migrate(VERSION = FUNCTION)`"));
    }
}
