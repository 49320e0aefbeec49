//! Values written in attributes: `8`, `-1.0`, `"cls"`, `["query", "value"]`,
//! `Average::Macro`, `None`, `Some(3)`, `{}`.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, ExprPath, Lit, Path, Result, UnOp};

/// One value of an attribute, understood.
pub enum Value {
    Bool(bool),
    /// A number and its JSON text; the text keeps the author's digits.
    Number {
        json: String,
        value: f64,
    },
    Text(String),
    List(Vec<(Value, Span)>),
    /// A variant of an enum that derives `Options`.
    Variant(Path),
    None,
    Some(Box<Value>),
    /// `{}`: a table of which every key is absent.
    EmptyTable,
}

/// A part of a constant string.
pub enum Piece {
    Text(String),
    /// An expression of type `&'static str`, constant.
    Const(TokenStream),
}

impl Value {
    pub fn parse(expr: &Expr) -> Result<Self> {
        match expr {
            Expr::Lit(ExprLit { lit, .. }) => Self::of_literal(lit, ""),
            Expr::Group(group) => Self::parse(&group.expr),
            Expr::Paren(paren) => Self::parse(&paren.expr),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => match &*unary.expr {
                Expr::Lit(ExprLit {
                    lit: lit @ (Lit::Int(_) | Lit::Float(_)),
                    ..
                }) => Self::of_literal(lit, "-"),
                _ => Err(unsupported(expr)),
            },
            Expr::Array(array) => array
                .elems
                .iter()
                .map(|item| Ok((Self::parse(item)?, item.span())))
                .collect::<Result<_>>()
                .map(Self::List),
            Expr::Path(path) => Self::of_path(path, expr),
            Expr::Call(call) if is_path(&call.func, "Some") && call.args.len() == 1 => {
                Ok(Self::Some(Box::new(Self::parse(&call.args[0])?)))
            }
            Expr::Block(block) if block.block.stmts.is_empty() => Ok(Self::EmptyTable),
            _ => Err(unsupported(expr)),
        }
    }

    fn of_literal(lit: &Lit, sign: &str) -> Result<Self> {
        match lit {
            Lit::Bool(value) => Ok(Self::Bool(value.value)),
            Lit::Str(text) => Ok(Self::Text(text.value())),
            Lit::Int(number) => number_of(&format!("{sign}{}", number.base10_digits()), lit),
            Lit::Float(number) => number_of(&format!("{sign}{}", number.base10_digits()), lit),
            _ => Err(unsupported(lit)),
        }
    }

    fn of_path(path: &ExprPath, expr: &Expr) -> Result<Self> {
        if is_path(expr, "None") {
            return Ok(Self::None);
        }
        let camel_case = |name: String| name.starts_with(char::is_uppercase);
        let segments = &path.path.segments;
        match segments.last() {
            Some(last) if segments.len() > 1 && camel_case(last.ident.to_string()) => {
                Ok(Self::Variant(path.path.clone()))
            }
            _ => Err(unsupported(expr)),
        }
    }

    /// The value as JSON, in pieces because only the enum knows what its
    /// variants are called.
    pub fn json(&self) -> Vec<Piece> {
        match self {
            Self::Bool(value) => vec![Piece::Text(value.to_string())],
            Self::Number { json, .. } => vec![Piece::Text(json.clone())],
            Self::Text(text) => vec![Piece::Text(quoted(text))],
            Self::Variant(path) => vec![Piece::Const(quote!(#path.__tenon_json()))],
            Self::None => vec![Piece::Text("null".into())],
            Self::Some(inner) => inner.json(),
            Self::EmptyTable => vec![Piece::Text("{}".into())],
            Self::List(items) => {
                let mut pieces = vec![Piece::Text("[".into())];
                for (index, (item, _)) in items.iter().enumerate() {
                    if index > 0 {
                        pieces.push(Piece::Text(",".into()));
                    }
                    pieces.extend(item.json());
                }
                pieces.push(Piece::Text("]".into()));
                pieces
            }
        }
    }

    /// The value as an expression of the field's type, all of it at `span`, so
    /// that the compiler blames what the author wrote.
    pub fn expression(&self, span: Span) -> TokenStream {
        let tokens = match self {
            Self::Bool(value) => quote!(#value),
            Self::Number { json, .. } => json.parse().unwrap_or_default(),
            Self::Text(text) => {
                quote!(::tenon_plugin_api::__private::options::DefaultText::from_text(#text))
            }
            // As written: its own spans are finer.
            Self::Variant(path) => return quote!(#path),
            Self::None => quote!(::core::option::Option::None),
            Self::Some(inner) => {
                let inner = inner.expression(span);
                return quote_spanned!(span=> ::core::option::Option::Some(#inner));
            }
            Self::EmptyTable => quote!(::core::default::Default::default()),
            Self::List(items) => {
                let items = items.iter().map(|(item, span)| item.expression(*span));
                return quote_spanned! {span=>
                    ::tenon_plugin_api::__private::options::DefaultList::from_items([#(#items),*])
                };
            }
        };
        at(span, tokens)
    }
}

fn at(span: Span, tokens: TokenStream) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut token| {
            if let TokenTree::Group(group) = &token {
                let mut inner = Group::new(group.delimiter(), at(span, group.stream()));
                inner.set_span(span);
                return TokenTree::Group(inner);
            }
            token.set_span(span);
            token
        })
        .collect()
}

/// `text` as a JSON string, quotes included.
pub fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            control if control < ' ' => json.push_str(&format!("\\u{:04x}", control as u32)),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

fn number_of(digits: &str, lit: &Lit) -> Result<Value> {
    // `1.` is a number in Rust, not in JSON.
    let json = if digits.ends_with('.') {
        format!("{digits}0")
    } else {
        digits.to_owned()
    };
    match json.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Value::Number { json, value }),
        _ => Err(Error::new(lit.span(), "expected a finite number")),
    }
}

fn is_path(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Path(path) if path.path.is_ident(name))
}

fn unsupported(tokens: impl Spanned) -> Error {
    Error::new(
        tokens.span(),
        "expected a literal, a negative number, a list of these, an enum variant such as \
         `Average::Macro`, `None`, `Some(…)` or `{}`; the value is published in the schema",
    )
}
