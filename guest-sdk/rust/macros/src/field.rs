//! The fields of an operator's struct.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, Type};

use crate::migration::Migration;
use crate::name::Name;
use crate::options::Options;

/// A field of the struct: a part of the operator, or (`skip`) plain memory.
pub(crate) struct DeclaredField<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) name: Name,
    pub(crate) ty: &'a Type,
    pub(crate) skip: bool,
    pub(crate) ttl: Option<Tokens>,
    pub(crate) version: Option<u32>,
    migrations: Vec<Migration>,
}

impl DeclaredField<'_> {
    pub(crate) fn value(&self) -> Tokens {
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

pub(crate) fn fields_of(item: &DeriveInput) -> Result<Vec<DeclaredField<'_>>, Error> {
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
