//! The names that an operator gives: refused here where the host would refuse them when the component is uploaded.
//!
//! The macro sees types as they are written. What an alias hides, the host still checks.

use proc_macro2::Span;
use syn::{Error, Ident, LitStr, Type};

use crate::field::DeclaredField;

/// The longest name, in bytes.
const BYTES_MAX: usize = 128;

/// A name, and where it was given.
pub(crate) struct Name {
    pub(crate) text: String,
    at: Span,
}

impl Name {
    /// The one that was given, else one made of the identifier.
    pub(crate) fn of(given: Option<LitStr>, ident: &Ident, make: impl FnOnce(&str) -> String) -> Self {
        match given {
            Some(given) => Self { text: given.value(), at: given.span() },
            None => Self { text: make(ident.to_string().trim_start_matches("r#")), at: ident.span() },
        }
    }

    /// Whether the host takes it.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Self { text, at } = self;
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if begins && is_plain && text.len() <= BYTES_MAX {
            return Ok(());
        }
        let rule = "use 1 to 128 of a-z A-Z 0-9 . _ - and begin with a letter or digit";
        Err(Error::new(*at, format!("`{text}` is no name: {rule}")))
    }
}

/// Whether the host takes the names of an operator's states, and those of its outputs.
pub(crate) fn check_fields(fields: &[DeclaredField<'_>]) -> Result<(), Error> {
    let named = |is_of: fn(&DeclaredField<'_>) -> bool| {
        fields.iter().filter(move |field| !field.skip && is_of(field)).map(|field| &field.name)
    };
    check_names("state", named(is_state))?;
    check_names("output", named(is_output))?;
    match named(is_output).find(|name| name.text == "out") {
        Some(name) => Err(Error::new(name.at, "the main output has the name `out` already; rename this one")),
        None => Ok(()),
    }
}

/// Whether the host takes names of one kind beside each other.
pub(crate) fn check_names<'a>(what: &str, names: impl Iterator<Item = &'a Name>) -> Result<(), Error> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        name.check()?;
        if seen.contains(&name.text.as_str()) {
            return Err(Error::new(
                name.at,
                format!("there are two {what}s with the name `{}`; rename one", name.text),
            ));
        }
        seen.push(&name.text);
    }
    Ok(())
}

/// Other fields have metrics' names, which may be any text, or none that the host gets to know.
fn is_state(field: &DeclaredField<'_>) -> bool {
    field.ttl.is_some() || field.version.is_some() || written_type(field.ty).is_some_and(|ty| ty.ends_with("State"))
}

fn is_output(field: &DeclaredField<'_>) -> bool {
    written_type(field.ty).is_some_and(|ty| ty == "Port")
}

fn written_type(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    Some(path.path.segments.last()?.ident.to_string())
}

#[cfg(test)]
mod tests {
    use crate::expand;
    use crate::tests::error_of;

    #[test]
    fn names_that_the_host_refuses_are_refused_where_they_stand() {
        let of_fields = |fields: &str| error_of(&format!("struct A {{ {fields} }}"));
        for name in ["", "a b", "-a", "ä", &"a".repeat(129)] {
            let message =
                format!("`{name}` is no name: use 1 to 128 of a-z A-Z 0-9 . _ - and begin with a letter or digit");
            assert_eq!(of_fields(&format!("#[describe(name = \"{name}\")] a: ValueState<u64>")), message);
            assert_eq!(of_fields(&format!("#[describe(name = \"{name}\")] a: Port")), message);
            assert_eq!(error_of(&format!("#[describe(name = \"{name}\")] struct A;")), message);
        }
        assert!(of_fields("_last: weir_sdk::state::ValueState<u64>").starts_with("`_last` is no name"));
        assert!(of_fields("#[describe(ttl = \"1s\")] _last: Last").starts_with("`_last` is no name"));
        assert!(error_of("#[input(_lines: unkeyed)] struct A;").starts_with("`_lines` is no name"));
        let twice = of_fields("last: ValueState<u64>, #[describe(name = \"last\")] all: ListState<u64>");
        assert_eq!(twice, "there are two states with the name `last`; rename one");
        assert_eq!(
            of_fields("a: Port, #[describe(name = \"a\")] b: Port"),
            "there are two outputs with the name `a`; rename one"
        );
        assert_eq!(of_fields("out: Port"), "the main output has the name `out` already; rename this one");
        assert!(error_of("#[input(a: keyed)] #[input(a: unkeyed)] struct A;").starts_with("there are two inputs"));
    }

    #[test]
    fn names_that_the_host_takes_are_taken() {
        for fields in [
            "late: Port, #[describe(name = \"late\")] kept: ListState<u64>",
            "_config: Config<u64>, #[describe(name = \"records read\")] read: Counter",
            "last: ValueState<u64>, #[describe(skip, name = \"last\")] memory: OtherState",
            "r#type: ValueState<u64>, #[describe(name = \"9.a_-Z\")] b: ValueState<u64>",
        ] {
            let item = syn::parse_str(&format!("#[input(last: keyed)] struct A {{ {fields} }}")).unwrap();
            assert!(expand(&item).is_ok(), "{fields}");
        }
    }
}
