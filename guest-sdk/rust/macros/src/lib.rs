//! The derive macro of `weir-sdk`: receives an operator's struct, gives what the contract's `describe` says of it.
//!
//! It only translates: what an input or a field means is the business of `weir_sdk::describe`.

mod name;

use name::{Name, check_fields, check_names};
use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Ident, LitInt, LitStr, Path, Token, Type};

/// Derives `Describe`: the name is the struct's in kebab-case, the description its doc comment, the inputs its
/// `#[input(…)]` attributes, and its fields are the states, outputs, configuration and metrics.
///
/// - `#[input(lines: unkeyed)]`: an input, in order; `keyed`, `unkeyed` or `broadcast`. `reads(keys, values,
///   timestamps)` after it names the columns that the operator looks at; without it, all of them. An operator without
///   this attribute has one keyed input, `in`.
/// - `#[describe(name = "word-count")]` on the struct or on a field: another name than its own.
/// - `#[describe(ttl = "1h")]` on a state: each value, element or entry expires so long after it was last written; a
///   number and `ms`, `s`, `m`, `h` or `d`. With `refresh_on_read` behind it a read makes it live longer too; with
///   `return_expired` a read may still see what has expired and was not cleaned up yet.
/// - `#[describe(version = 2, migrate(1 = from_count))]` on a state: its values are encoded in another way than in version
///   1, which every state has that says nothing; the function makes a value of it out of one of version 1. Where that had
///   another codec than `Plain`, it is named: `migrate(1 = from_count, 2: Postcard = from_tally)`.
/// - `#[describe(skip)]` on a field: plain memory, made by `Default`. It is lost whenever the host replaces the
///   instance.
#[proc_macro_derive(Describe, attributes(describe, input))]
pub fn describe(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as DeriveInput);
    expand(&item).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(item: &DeriveInput) -> Result<Tokens, Error> {
    let ident = &item.ident;
    let (impl_generics, type_generics, where_clause) = item.generics.split_for_impl();
    let name = Name::of(Options::of(&item.attrs)?.name, ident, kebab_case);
    name.check()?;
    let name = name.text;
    let doc = doc_of(&item.attrs);
    let inputs = inputs_of(&item.attrs)?;
    let inputs = inputs.iter().map(Input::declaration);
    let fields = fields_of(item)?;
    check_fields(&fields)?;
    let values = fields.iter().map(DeclaredField::value);
    let visited = fields.iter().filter(|field| !field.skip).map(|field| field.ident);
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::weir_sdk::describe::Describe for #ident #type_generics #where_clause {
            const NAME: &'static str = #name;
            const DOC: &'static str = #doc;

            fn declare(spec: &mut ::weir_sdk::describe::Spec) -> Self {
                #(#inputs)*
                Self { #(#values),* }
            }

            fn visit(
                &mut self,
                visitor: &mut dyn ::core::ops::FnMut(&mut dyn ::weir_sdk::describe::Field) -> ::weir_sdk::Result,
            ) -> ::weir_sdk::Result {
                #(visitor(&mut self.#visited)?;)*
                ::core::result::Result::Ok(())
            }
        }
    })
}

/// What `#[describe(…)]` says.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    skip: bool,
    /// Milliseconds.
    ttl: Option<u64>,
    refresh_on_read: bool,
    return_expired: bool,
    version: Option<u32>,
    migrations: Vec<Migration>,
}

impl Options {
    fn of(attributes: &[Attribute]) -> Result<Self, Error> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("describe")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    options.name = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("skip") {
                    options.skip = true;
                } else if meta.path.is_ident("ttl") {
                    options.ttl = Some(millis_of(&meta.value()?.parse()?)?);
                } else if meta.path.is_ident("version") {
                    options.version = Some(version_of(&meta.value()?.parse()?)?);
                } else if meta.path.is_ident("migrate") {
                    let content;
                    syn::parenthesized!(content in meta.input);
                    let migrations = Punctuated::<Migration, Token![,]>::parse_terminated(&content)?;
                    options.migrations = migrations.into_iter().collect();
                } else if meta.path.is_ident("refresh_on_read") {
                    options.refresh_on_read = true;
                } else if meta.path.is_ident("return_expired") {
                    options.return_expired = true;
                } else {
                    return Err(meta.error(
                        "expected `name = \"…\"`, `skip`, `ttl = \"…\"`, `refresh_on_read`, `return_expired`, \
                         `version = …` or `migrate(…)`",
                    ));
                }
                Ok(())
            })?;
            if options.ttl.is_none() && (options.refresh_on_read || options.return_expired) {
                return Err(Error::new_spanned(attribute, "this needs a `ttl = \"…\"` beside it"));
            }
            if options.ttl.is_some() && options.skip {
                return Err(Error::new_spanned(attribute, "what is skipped is no state: it cannot have a `ttl`"));
            }
            if options.version.is_some() && options.skip {
                return Err(Error::new_spanned(attribute, "what is skipped is no state: it has no version"));
            }
            options.check_migrations()?;
        }
        Ok(options)
    }

    /// Each migration leads from another version below the declared one.
    fn check_migrations(&self) -> Result<(), Error> {
        for (index, Migration { from, version, .. }) in self.migrations.iter().enumerate() {
            if self.version.is_none_or(|declared| *version >= declared) {
                let text = "a migration leads from a version below that of the state: write `version = …` beside it";
                return Err(Error::new_spanned(from, text));
            }
            if self.migrations[..index].iter().any(|other| other.version == *version) {
                return Err(Error::new_spanned(from, "there is a migration from this version already"));
            }
        }
        Ok(())
    }

    /// The time to live, if there is one.
    fn ttl(&self) -> Option<Tokens> {
        let Self { ttl, refresh_on_read, return_expired, .. } = self;
        let duration_ms = (*ttl)?;
        Some(quote!(::weir_sdk::describe::Ttl {
            duration_ms: #duration_ms,
            refresh_on_read: #refresh_on_read,
            return_expired: #return_expired,
        }))
    }
}

/// `VERSION = FUNCTION`, or `VERSION: CODEC = FUNCTION`.
struct Migration {
    from: LitInt,
    version: u32,
    codec: Option<Type>,
    function: Path,
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
fn version_of(number: &LitInt) -> Result<u32, Error> {
    match number.base10_parse::<u32>() {
        Ok(version) if version > 1 => Ok(version),
        Ok(_) | Err(_) => Err(Error::new_spanned(number, "expected a version above 1, which a state has without any")),
    }
}

/// The milliseconds of a duration like `1h`.
fn millis_of(text: &LitStr) -> Result<u64, Error> {
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

/// A field of the struct: a part of the operator, or (`skip`) plain memory.
struct DeclaredField<'a> {
    ident: &'a Ident,
    name: Name,
    ty: &'a Type,
    skip: bool,
    ttl: Option<Tokens>,
    version: Option<u32>,
    migrations: Vec<Migration>,
}

impl DeclaredField<'_> {
    fn value(&self) -> Tokens {
        let Self { ident, name: Name { text: name, .. }, ty, skip, ttl, version, migrations } = self;
        let declared = match ttl {
            _ if *skip => quote!(::core::default::Default::default()),
            Some(ttl) => quote!(spec.expiring(#name, #ttl)),
            None => quote!(::weir_sdk::describe::Field::declare(#name, spec)),
        };
        let Some(version) = version else { return quote!(#ident: #declared) };
        let migrations = migrations.iter().map(|Migration { version, codec, function, .. }| {
            let codec = codec.as_ref().map_or_else(|| quote!(::weir_sdk::codec::Plain), |codec| quote!(#codec));
            quote!(.from::<#codec, _>(#version, #function))
        });
        quote!(#ident: {
            let state = #declared;
            spec.versioned(#name, #version, ::weir_sdk::migration::Migrations::<#ty>::none()#(#migrations)*);
            state
        })
    }
}

fn fields_of(item: &DeriveInput) -> Result<Vec<DeclaredField<'_>>, Error> {
    let Data::Struct(data) = &item.data else {
        return Err(Error::new_spanned(&item.ident, "an operator is a struct: its fields are its states and outputs"));
    };
    match &data.fields {
        Fields::Unit => Ok(Vec::new()),
        Fields::Named(fields) => fields.named.iter().map(declared_field).collect(),
        Fields::Unnamed(fields) => {
            Err(Error::new_spanned(fields, "name the fields: a state is known by the name of its field"))
        }
    }
}

fn declared_field(field: &Field) -> Result<DeclaredField<'_>, Error> {
    let options = Options::of(&field.attrs)?;
    let ident = field.ident.as_ref().ok_or_else(|| Error::new_spanned(field, "this field has no name"))?;
    let ttl = options.ttl();
    let Options { name, skip, version, migrations, .. } = options;
    let name = Name::of(name, ident, str::to_owned);
    Ok(DeclaredField { ident, name, ty: &field.ty, skip, ttl, version, migrations })
}

fn inputs_of(attributes: &[Attribute]) -> Result<Vec<Input>, Error> {
    let inputs = attributes.iter().filter(|attribute| attribute.path().is_ident("input"));
    let inputs: Vec<Input> = inputs.map(Attribute::parse_args).collect::<Result<_, _>>()?;
    check_names("input", inputs.iter().map(|input| &input.name))?;
    Ok(inputs)
}

/// What `#[input(…)]` says: `NAME: KIND`, or `NAME: KIND, reads(COLUMN, …)`.
struct Input {
    name: Name,
    kind: Tokens,
    columns: Option<Vec<Tokens>>,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        let name = Name::of(None, &input.parse()?, str::to_owned);
        input.parse::<Token![:]>().map_err(|error| Error::new(error.span(), INPUT_FORM))?;
        let kind = kind_of(&input.parse()?)?;
        if input.is_empty() {
            return Ok(Self { name, kind, columns: None });
        }
        input.parse::<Token![,]>()?;
        let word = input.parse::<Ident>()?;
        if word != "reads" {
            return Err(Error::new_spanned(word, "expected `reads(keys, values, timestamps)`"));
        }
        let content;
        syn::parenthesized!(content in input);
        let words = Punctuated::<Ident, Token![,]>::parse_terminated(&content)?;
        let columns = words.iter().map(column_of).collect::<Result<_, _>>()?;
        Ok(Self { name, kind, columns: Some(columns) })
    }
}

const INPUT_FORM: &str = "write `#[input(name: keyed)]`; or `unkeyed`, or `broadcast`";

impl Input {
    fn declaration(&self) -> Tokens {
        let Self { name: Name { text: name, .. }, kind, columns } = self;
        let columns = match columns {
            Some(columns) => {
                quote!(::weir_sdk::describe::Columns::empty() #(| ::weir_sdk::describe::Columns::#columns)*)
            }
            None => quote!(::weir_sdk::describe::Columns::all()),
        };
        quote!(spec.input(#name, ::weir_sdk::describe::InputKind::#kind, #columns);)
    }
}

fn kind_of(word: &Ident) -> Result<Tokens, Error> {
    match word.to_string().as_str() {
        "keyed" => Ok(quote!(Keyed)),
        "unkeyed" => Ok(quote!(Unkeyed)),
        "broadcast" => Ok(quote!(Broadcast)),
        _ => Err(Error::new_spanned(word, "expected `keyed`, `unkeyed` or `broadcast`")),
    }
}

fn column_of(word: &Ident) -> Result<Tokens, Error> {
    match word.to_string().as_str() {
        "keys" => Ok(quote!(KEYS)),
        "values" => Ok(quote!(VALUES)),
        "timestamps" => Ok(quote!(TIMESTAMPS)),
        _ => Err(Error::new_spanned(word, "expected `keys`, `values` or `timestamps`")),
    }
}

/// The doc comment as one text.
fn doc_of(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).filter_map(|attribute| {
        let syn::Expr::Lit(literal) = &attribute.meta.require_name_value().ok()?.value else { return None };
        let syn::Lit::Str(text) = &literal.lit else { return None };
        Some(text.value().trim().to_owned())
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// `WordCount` becomes `word-count`.
fn kebab_case(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    let mut after_lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && after_lower {
            text.push('-');
        }
        after_lower = letter.is_lowercase() || letter.is_ascii_digit();
        text.extend(letter.to_lowercase().map(|letter| if letter == '_' { '-' } else { letter }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{expand, kebab_case, millis_of};

    pub(crate) fn error_of(item: &str) -> String {
        expand(&syn::parse_str(item).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn operator_is_named_by_its_struct_in_kebab_case() {
        assert_eq!(kebab_case("Count"), "count");
        assert_eq!(kebab_case("WordCount"), "word-count");
        assert_eq!(kebab_case("Top10Words"), "top10-words");
    }

    #[test]
    fn mistakes_are_refused_with_the_mend() {
        assert!(error_of("enum Count { A }").starts_with("an operator is a struct"));
        assert!(error_of("struct Count(u64);").starts_with("name the fields"));
        assert!(error_of("#[input(lines)] struct Split;").starts_with("write `#[input(name: keyed)]`"));
        assert_eq!(error_of("#[input(lines: keyless)] struct A;"), "expected `keyed`, `unkeyed` or `broadcast`");
        assert_eq!(error_of("#[input(a: keyed, reads(key))] struct A;"), "expected `keys`, `values` or `timestamps`");
        assert!(
            error_of("#[describe(nam = \"a\")] struct A;")
                .starts_with("expected `name = \"…\"`, `skip`, `ttl = \"…\"`")
        );
    }

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
