//! Structs: a table of named options.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Field, Ident, Result, Type};

use super::attributes::{Bound, FieldAttributes, Range};
use super::value::{Piece, Value, quoted};
use super::{Faults, description};

/// One field, understood.
struct Entry<'a> {
    ident: &'a Ident,
    kind: &'a Type,
    name: String,
    aliases: Vec<String>,
    doc: String,
    default: Option<(Value, Span)>,
    range: Option<Range>,
    examples: Vec<Value>,
}

pub fn expand<'a>(
    input: &DeriveInput,
    fields: impl Iterator<Item = &'a Field>,
    unit: bool,
) -> Result<TokenStream> {
    let entries = read(fields)?;
    let ident = &input.ident;
    let schema = schema(input, &entries);
    let shadow = shadow(&entries);
    let names: Vec<_> = entries.iter().map(|entry| entry.ident).collect();
    let whole = if unit {
        quote!(#ident)
    } else {
        quote!(#ident { #(#names: shadow.#names),* })
    };
    let default = default_impl(ident, &entries, unit);
    Ok(quote! {
        const _: () = {
            #[automatically_derived]
            impl ::tenon_plugin_api::__private::options::OptionValue for #ident {
                const SCHEMA: &'static str = { #schema };
            }

            #[automatically_derived]
            impl ::tenon_plugin_api::__private::options::Options for #ident {
                const SCHEMA: &'static str =
                    <Self as ::tenon_plugin_api::__private::options::OptionValue>::SCHEMA;

                fn from_json(
                    text: &str,
                ) -> ::core::result::Result<
                    Self,
                    ::tenon_plugin_api::__private::options::OptionsError,
                > {
                    ::tenon_plugin_api::__private::options::from_json(text)
                }
            }

            #[automatically_derived]
            impl<'de> ::tenon_plugin_api::__private::serde::Deserialize<'de> for #ident {
                fn deserialize<D>(deserializer: D) -> ::core::result::Result<Self, D::Error>
                where
                    D: ::tenon_plugin_api::__private::serde::Deserializer<'de>,
                {
                    let shadow: __Shadow =
                        ::tenon_plugin_api::__private::options::table(deserializer)?;
                    let _ = &shadow;
                    ::core::result::Result::Ok(#whole)
                }
            }

            #default
            #shadow
        };
    })
}

fn read<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<Vec<Entry<'a>>> {
    let mut faults = Faults::default();
    let mut entries: Vec<Entry> = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    for field in fields {
        let Some(ident) = &field.ident else { continue };
        let Some(entry) = faults.take(Entry::read(ident, field)) else {
            continue;
        };
        for name in entry.aliases.iter().chain([&entry.name]) {
            if taken.contains(name) {
                faults.push(Error::new(
                    ident.span(),
                    format!("two options are named `{name}`"),
                ));
            }
            taken.push(name.clone());
        }
        entries.push(entry);
    }
    faults.finish()?;
    Ok(entries)
}

impl<'a> Entry<'a> {
    fn read(ident: &'a Ident, field: &'a Field) -> Result<Self> {
        let name = ident.unraw().to_string();
        let attributes = FieldAttributes::parse(&field.attrs)?;
        let doc = description::of(&field.attrs).ok_or_else(|| {
            let message = format!("option `{name}` needs a doc comment: users read it as its help");
            Error::new(ident.span(), message)
        })?;
        let optional = is_option(&field.ty);
        let default = match attributes.default {
            Some((value @ (Value::None | Value::Some(_)), span)) if !optional => {
                let _ = value;
                return Err(Error::new(
                    span,
                    "only a field of type `Option<…>` has this default",
                ));
            }
            // `#[default(8)]` on an `Option` means `Some(8)`.
            Some((value, span)) if optional && !matches!(value, Value::None | Value::Some(_)) => {
                Some((Value::Some(Box::new(value)), span))
            }
            None if optional => Some((Value::None, field.ty.span())),
            given => given,
        };
        Ok(Self {
            ident,
            kind: &field.ty,
            name: attributes.rename.map_or(name, |text| text.value()),
            aliases: attributes.aliases.iter().map(syn::LitStr::value).collect(),
            doc,
            default,
            range: attributes.range,
            examples: attributes.examples,
        })
    }

    /// What the field adds to the schema of its type, as entries of an object.
    fn annotations(&self) -> Vec<Piece> {
        let mut text = Text::default();
        text.push(&format!("\"description\":{}", quoted(&self.doc)));
        match &self.default {
            // Text formats such as TOML have no null: absent is the only way to say it.
            None | Some((Value::None, _)) => {}
            Some((value, _)) => {
                text.push(",\"default\":");
                text.extend(value.json());
            }
        }
        if let Some(range) = &self.range {
            text.push(",");
            text.push(&range.schema());
        }
        for (index, example) in self.examples.iter().enumerate() {
            text.push(if index == 0 { ",\"examples\":[" } else { "," });
            text.extend(example.json());
        }
        if !self.examples.is_empty() {
            text.push("]");
        }
        if !self.aliases.is_empty() {
            let aliases: Vec<_> = self.aliases.iter().map(|alias| quoted(alias)).collect();
            text.push(&format!(",\"x-tenon-alias\":[{}]", aliases.join(",")));
        }
        text.pieces
    }
}

/// Pieces of a constant string; adjacent literals are joined.
#[derive(Default)]
struct Text {
    pieces: Vec<Piece>,
}

impl Text {
    fn push(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.into())),
        }
    }

    fn extend(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.push(&text),
                constant => self.pieces.push(constant),
            }
        }
    }

    fn into_tokens(self) -> Vec<TokenStream> {
        self.pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => quote!(#text),
                Piece::Const(tokens) => tokens,
            })
            .collect()
    }
}

/// Statements of a block whose value is the schema.
fn schema(input: &DeriveInput, entries: &[Entry]) -> TokenStream {
    let codegen = quote!(::tenon_plugin_api::__private::options);
    let mut text = Text::default();
    let mut properties = Vec::new();
    text.push("{\"type\":\"object\"");
    if let Some(doc) = description::of(&input.attrs) {
        text.push(&format!(",\"description\":{}", quoted(&doc)));
    }
    text.push(",\"properties\":{");
    for (index, entry) in entries.iter().enumerate() {
        let property = format_ident!("PROPERTY_{index}");
        let (kind, span) = (entry.kind, entry.kind.span());
        let annotations = Text {
            pieces: entry.annotations(),
        }
        .into_tokens();
        properties.push(quote_spanned! {span=>
            const #property: &#codegen::Buf = &#codegen::Buf::property(
                &["{", #(#annotations,)* "}"],
                <#kind as #codegen::OptionValue>::SCHEMA,
            );
        });
        text.push(if index == 0 { "" } else { "," });
        text.push(&format!("{}:", quoted(&entry.name)));
        text.pieces.push(Piece::Const(quote!(#property.as_str())));
    }
    text.push("}");
    let required: Vec<_> = entries
        .iter()
        .filter(|entry| entry.default.is_none())
        .map(|entry| quoted(&entry.name))
        .collect();
    if !required.is_empty() {
        text.push(&format!(",\"required\":[{}]", required.join(",")));
    }
    text.push(",\"additionalProperties\":false}");
    let pieces = text.into_tokens();
    quote! {
        #(#properties)*
        const PIECES: &[&str] = &[#(#pieces),*];
        const BYTES: &[u8; #codegen::total_len(PIECES)] = &#codegen::join(PIECES);
        #codegen::text(BYTES)
    }
}

/// The struct that serde reads, with the functions it calls for defaults and
/// ranges. It is another type than the author's so that serde's derive and
/// attributes stay out of sight.
fn shadow(entries: &[Entry]) -> TokenStream {
    let codegen = quote!(::tenon_plugin_api::__private::options);
    let mut functions = Vec::new();
    let fields = entries.iter().enumerate().map(|(index, entry)| {
        let (ident, kind, name, aliases) = (entry.ident, entry.kind, &entry.name, &entry.aliases);
        let span = kind.span();
        let mut attributes = vec![quote!(rename = #name)];
        attributes.extend(aliases.iter().map(|alias| quote!(alias = #alias)));
        if let Some((value, span)) = &entry.default {
            let function = format_ident!("__default_{index}");
            let path = function.to_string();
            let value = value.expression(*span);
            attributes.push(quote!(default = #path));
            functions.push(quote!(fn #function() -> #kind { #value }));
        }
        if let Some(range) = &entry.range {
            let function = format_ident!("__read_{index}");
            let path = function.to_string();
            let (min, max) = (bound(&range.min), bound(&range.max));
            let range_span = range.span.unwrap_or(span);
            attributes.push(quote!(deserialize_with = #path));
            let check = quote_spanned!(range_span=> #codegen::in_range::<#kind, D>);
            functions.push(quote! {
                fn #function<'de, D>(deserializer: D) -> ::core::result::Result<#kind, D::Error>
                where
                    D: ::tenon_plugin_api::__private::serde::Deserializer<'de>,
                {
                    #check(deserializer, #codegen::Range { min: #min, max: #max })
                }
            });
        }
        quote_spanned!(span=> #[serde(#(#attributes),*)] #ident: #kind)
    });
    let fields: Vec<_> = fields.collect();
    quote! {
        #[derive(::tenon_plugin_api::__private::serde::Deserialize)]
        #[serde(crate = "::tenon_plugin_api::__private::serde", deny_unknown_fields)]
        struct __Shadow { #(#fields),* }
        #(#functions)*
    }
}

fn bound(bound: &Option<Bound>) -> TokenStream {
    match bound {
        Some(Bound {
            value, exclusive, ..
        }) => quote!(::core::option::Option::Some(
            ::tenon_plugin_api::__private::options::Bound { value: #value, exclusive: #exclusive }
        )),
        None => quote!(::core::option::Option::None),
    }
}

/// `Default` for a table that may be empty.
fn default_impl(ident: &Ident, entries: &[Entry], unit: bool) -> TokenStream {
    if entries.iter().any(|entry| entry.default.is_none()) {
        return TokenStream::new();
    }
    let names = entries.iter().map(|entry| entry.ident);
    let functions = (0..entries.len()).map(|index| format_ident!("__default_{index}"));
    let whole = if unit {
        quote!(Self)
    } else {
        quote!(Self { #(#names: #functions()),* })
    };
    quote! {
        #[automatically_derived]
        impl ::core::default::Default for #ident {
            fn default() -> Self { #whole }
        }
    }
}

fn is_option(kind: &Type) -> bool {
    let Type::Path(path) = kind else { return false };
    path.path
        .segments
        .last()
        .is_some_and(|last| last.ident == "Option")
}
