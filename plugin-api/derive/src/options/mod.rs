//! `#[derive(Options)]`: what may be derived, and the two kinds of output.

mod attributes;
mod choice;
mod description;
mod table;
mod value;

#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Result};

/// The code for one type, or every fault of its declaration at once.
pub fn expand(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() || input.generics.where_clause.is_some() {
        return Err(Error::new(
            input.generics.span(),
            "options have neither type parameters nor lifetimes: they are read from text, and \
             their schema is one constant",
        ));
    }
    attributes::refuse_on_type(&input.attrs)?;
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => table::expand(input, fields.named.iter(), false),
            Fields::Unit => table::expand(input, std::iter::empty(), true),
            Fields::Unnamed(fields) => Err(Error::new(
                fields.span(),
                "options need names: write a struct with named fields",
            )),
        },
        Data::Enum(data) => choice::expand(input, data),
        Data::Union(data) => Err(Error::new(
            data.union_token.span,
            "a union cannot hold options: write a struct with named fields",
        )),
    }
}

/// Faults gathered so far; all are reported together.
#[derive(Default)]
struct Faults(Option<Error>);

impl Faults {
    fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(all) => all.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value, or `None` with its fault kept.
    fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
