//! The derive macro of `weir-sdk`: receives an operator's struct, gives what the contract's `describe` says of it.
//!
//! It only translates: what an input or a field means is the business of `weir_sdk::describe`.

mod field;
mod input;
mod migration;
mod name;
mod options;
mod ttl;

use field::{DeclaredField, fields_of};
use input::{Input, inputs_of};
use name::{Name, check_fields};
use options::Options;
use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Attribute, DeriveInput, Error};

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
    use super::{expand, kebab_case};

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
}
