//! What `#[describe(…)]` says of an operator or of one of its fields.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, LitStr, Token};

use crate::migration::{Migration, version_of};
use crate::ttl::millis_of;

/// What `#[describe(…)]` says.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) skip: bool,
    /// Milliseconds.
    ttl: Option<u64>,
    refresh_on_read: bool,
    return_expired: bool,
    pub(crate) version: Option<u32>,
    pub(crate) migrations: Vec<Migration>,
}

impl Options {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<Self, Error> {
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
    pub(crate) fn ttl(&self) -> Option<Tokens> {
        let Self { ttl, refresh_on_read, return_expired, .. } = self;
        let duration_ms = (*ttl)?;
        Some(quote!(::weir_sdk::describe::Ttl {
            duration_ms: #duration_ms,
            refresh_on_read: #refresh_on_read,
            return_expired: #return_expired,
        }))
    }
}
