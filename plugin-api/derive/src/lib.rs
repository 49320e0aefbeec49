//! Derive macros of `tenon-plugin-api`; use them through that crate.

mod options;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct the options of a component, or an enum a value of an option.
///
/// A struct with named fields (or none) gets `Options` and `OptionValue`; an
/// enum without fields gets `OptionValue`, its variants named in `snake_case`.
/// A struct of which no option is required gets `Default` too.
///
/// | attribute | on | meaning |
/// | --- | --- | --- |
/// | `/// …` | fields (required), variants, types | the description that users read |
/// | `#[default(8)]` | fields | value when the key is absent: a literal, a negative number, a list of these, a variant (`Average::Macro`), `None`, `Some(…)`, or `{}` for a nested table that needs no key |
/// | `#[range(min = 0.0, exclusive_max = 1.0)]` | numeric fields | bounds, checked and published; also `max`, `exclusive_min` |
/// | `#[example("text")]` | fields | a value worth showing; repeatable |
/// | `#[option(rename = "type")]` | fields, variants | the name that users write |
/// | `#[option(alias = "rank")]` | fields | another name that is understood; repeatable |
///
/// A field without a default is required unless it is an `Option<T>`.
/// An unknown key is an error.
#[proc_macro_derive(Options, attributes(default, range, example, option))]
pub fn derive_options(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    options::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
