//! How long a state lives, as it is written.

use syn::{Error, LitStr};

/// The milliseconds of a duration like `1h`.
pub(crate) fn millis_of(text: &LitStr) -> Result<u64, Error> {
    let value = text.value();
    let unit = value.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let digits = &value[..value.len() - unit.len()];
    if factor == 0 || digits.is_empty() {
        let mend = "expected a duration: a number and `ms`, `s`, `m`, `h` or `d`, like `\"30m\"`";
        return Err(Error::new_spanned(text, mend));
    }
    // What is no number now has too many digits for one.
    match digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(0) => Err(Error::new_spanned(text, "expected a duration above 0: this state would hold nothing")),
        Some(millis) => Ok(millis),
        None => Err(Error::new_spanned(text, "this is too long: a duration has at most 2^64 - 1 milliseconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::millis_of;
    use crate::tests::error_of;

    #[test]
    fn a_time_to_live_is_a_number_and_a_unit() {
        let millis = |text: &str| millis_of(&syn::LitStr::new(text, proc_macro2::Span::call_site())).ok();
        assert_eq!(["5ms", "5s", "5m", "5h", "7d"].map(millis), [5, 5_000, 300_000, 18_000_000, 604_800_000].map(Some));
        assert!(
            ["0s", "5", "h", "", "5 s", "5w", "-1s", "99999999999999999999d"]
                .into_iter()
                .all(|text| millis(text).is_none())
        );
        let of_field = |attribute: &str| error_of(&format!("struct A {{ {attribute} last: ValueState<u64> }}"));
        let of_ttl = |text: &str| of_field(&format!("#[describe(ttl = \"{text}\")]"));
        assert!(["1w", "5", "h", ""].into_iter().all(|text| of_ttl(text).starts_with("expected a duration: a number")));
        assert!(of_ttl("0s").starts_with("expected a duration above 0"));
        for too_long in ["9999999999999d", "99999999999999999999ms"] {
            assert!(of_ttl(too_long).starts_with("this is too long"), "{too_long}");
        }
        assert!(of_field("#[describe(refresh_on_read)]").starts_with("this needs a `ttl"));
        assert!(of_field("#[describe(skip, ttl = \"1s\")]").starts_with("what is skipped"));
    }
}
