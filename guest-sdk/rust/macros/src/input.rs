//! The inputs that an operator declares.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Ident, Token};

use crate::name::{Name, check_names};

pub(crate) fn inputs_of(attributes: &[Attribute]) -> Result<Vec<Input>, Error> {
    let inputs = attributes.iter().filter(|attribute| attribute.path().is_ident("input"));
    let inputs: Vec<Input> = inputs.map(Attribute::parse_args).collect::<Result<_, _>>()?;
    check_names("input", inputs.iter().map(|input| &input.name))?;
    Ok(inputs)
}

/// What `#[input(…)]` says: `NAME: KIND`, or `NAME: KIND, reads(COLUMN, …)`.
pub(crate) struct Input {
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
    pub(crate) fn declaration(&self) -> Tokens {
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
