//! Enums: a choice among names.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{DataEnum, DeriveInput, Error, Result, Variant};

use super::value::quoted;
use super::{Faults, attributes, description};

struct Choice<'a> {
    variant: &'a Variant,
    name: String,
    doc: Option<String>,
}

pub fn expand(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let choices = read(input, data)?;
    let schema = schema(input, &choices);
    let ident = &input.ident;
    let variants: Vec<_> = choices.iter().map(|choice| &choice.variant.ident).collect();
    let names: Vec<_> = choices.iter().map(|choice| choice.name.as_str()).collect();
    let json: Vec<_> = names.iter().map(|name| quoted(name)).collect();
    let Some((last, first)) = variants.split_last() else {
        return Ok(TokenStream::new());
    };
    let indices = 0..first.len();
    Ok(quote! {
        const _: () = {
            #[automatically_derived]
            impl #ident {
                /// The name of the variant as a JSON string, quotes included.
                #[doc(hidden)]
                #[allow(dead_code)]
                pub const fn __tenon_json(&self) -> &'static str {
                    match self { #(Self::#variants => #json,)* }
                }
            }

            #[automatically_derived]
            impl ::tenon_plugin_api::__private::options::OptionValue for #ident {
                const SCHEMA: &'static str = #schema;
            }

            #[automatically_derived]
            impl<'de> ::tenon_plugin_api::__private::serde::Deserialize<'de> for #ident {
                fn deserialize<D>(deserializer: D) -> ::core::result::Result<Self, D::Error>
                where
                    D: ::tenon_plugin_api::__private::serde::Deserializer<'de>,
                {
                    let index = ::tenon_plugin_api::__private::options::choice(
                        deserializer,
                        &[#(#names),*],
                    )?;
                    ::core::result::Result::Ok(match index {
                        #(#indices => Self::#first,)*
                        _ => Self::#last,
                    })
                }
            }
        };
    })
}

fn read<'a>(input: &DeriveInput, data: &'a DataEnum) -> Result<Vec<Choice<'a>>> {
    let mut faults = Faults::default();
    let mut choices: Vec<Choice> = Vec::new();
    if data.variants.is_empty() {
        return Err(Error::new(
            input.ident.span(),
            "an enum without variants has no value",
        ));
    }
    for variant in &data.variants {
        if !variant.fields.is_empty() {
            faults.push(Error::new(
                variant.fields.span(),
                "a choice is a name: variants of an option have no fields",
            ));
            continue;
        }
        let Some(rename) = faults.take(attributes::variant_name(&variant.attrs)) else {
            continue;
        };
        let name = match &rename {
            Some(name) => name.value(),
            None => snake_case(&variant.ident.unraw().to_string()),
        };
        if choices.iter().any(|other| other.name == name) {
            let message = format!("two variants are named \"{name}\"");
            faults.push(Error::new(variant.span(), message));
        }
        choices.push(Choice {
            variant,
            name,
            doc: description::of(&variant.attrs),
        });
    }
    faults.finish()?;
    Ok(choices)
}

fn schema(input: &DeriveInput, choices: &[Choice]) -> String {
    let list = |items: Vec<String>| items.join(",");
    let names = list(choices.iter().map(|choice| quoted(&choice.name)).collect());
    let mut schema = format!("{{\"type\":\"string\",\"enum\":[{names}]");
    if choices.iter().any(|choice| choice.doc.is_some()) {
        let docs = choices
            .iter()
            .map(|choice| quoted(choice.doc.as_deref().unwrap_or_default()));
        schema.push_str(&format!(",\"enumDescriptions\":[{}]", list(docs.collect())));
    }
    if let Some(doc) = description::of(&input.attrs) {
        schema.push_str(&format!(",\"description\":{}", quoted(&doc)));
    }
    schema.push('}');
    schema
}

/// `OneVsRest` → `one_vs_rest`, `Utf8` → `utf8`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}
