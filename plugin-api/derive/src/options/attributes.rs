//! The attributes that `#[derive(Options)]` understands.

use proc_macro2::Span;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, LitStr, Meta, MetaNameValue, Result, Token};

use super::value::{Value, quoted};

/// What the attributes of one field say.
#[derive(Default)]
pub struct FieldAttributes {
    pub default: Option<(Value, Span)>,
    pub range: Option<Range>,
    pub examples: Vec<Value>,
    pub rename: Option<LitStr>,
    pub aliases: Vec<LitStr>,
}

/// `#[range(…)]`: bounds of a number.
#[derive(Default)]
pub struct Range {
    pub min: Option<Bound>,
    pub max: Option<Bound>,
    pub span: Option<Span>,
}

pub struct Bound {
    pub value: f64,
    pub json: String,
    pub exclusive: bool,
}

impl FieldAttributes {
    pub fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut all = Self::default();
        for attribute in attributes {
            let path = attribute.path();
            if path.is_ident("default") {
                all.parse_default(attribute)?;
            } else if path.is_ident("range") {
                if all.range.is_some() {
                    return Err(Error::new(attribute.span(), "a second `#[range]`"));
                }
                all.range = Some(Range::parse(attribute)?);
            } else if path.is_ident("example") {
                all.examples
                    .push(Value::parse(&attribute.parse_args::<Expr>()?)?);
            } else if path.is_ident("option") {
                all.parse_names(attribute)?;
            }
        }
        all.check_default_in_range()?;
        Ok(all)
    }

    fn parse_default(&mut self, attribute: &Attribute) -> Result<()> {
        if !matches!(attribute.meta, Meta::List(_)) {
            return Err(Error::new(
                attribute.span(),
                "write the value: `#[default(8)]`; it is published in the schema",
            ));
        }
        if self.default.is_some() {
            return Err(Error::new(attribute.span(), "a second `#[default]`"));
        }
        let expr: Expr = attribute.parse_args()?;
        self.default = Some((Value::parse(&expr)?, expr.span()));
        Ok(())
    }

    fn parse_names(&mut self, attribute: &Attribute) -> Result<()> {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("rename") {
                self.rename = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("alias") {
                self.aliases.push(meta.value()?.parse()?);
            } else {
                return Err(meta.error("expected `rename = \"…\"` or `alias = \"…\"`"));
            }
            Ok(())
        })
    }

    fn check_default_in_range(&self) -> Result<()> {
        let (Some((value, span)), Some(range)) = (&self.default, &self.range) else {
            return Ok(());
        };
        let value = if let Value::Some(inner) = value {
            inner
        } else {
            value
        };
        match value {
            Value::Number { json, value } if !range.contains(*value) => Err(Error::new(
                *span,
                format!("the default {json} lies outside `#[range]`"),
            )),
            _ => Ok(()),
        }
    }
}

impl Range {
    fn parse(attribute: &Attribute) -> Result<Self> {
        let pairs =
            attribute.parse_args_with(Punctuated::<MetaNameValue, Token![,]>::parse_terminated)?;
        let mut range = Self {
            span: Some(attribute.span()),
            ..Self::default()
        };
        for pair in &pairs {
            let (slot, exclusive) = if pair.path.is_ident("min") {
                (&mut range.min, false)
            } else if pair.path.is_ident("exclusive_min") {
                (&mut range.min, true)
            } else if pair.path.is_ident("max") {
                (&mut range.max, false)
            } else if pair.path.is_ident("exclusive_max") {
                (&mut range.max, true)
            } else {
                return Err(Error::new(
                    pair.path.span(),
                    "expected `min`, `max`, `exclusive_min` or `exclusive_max`",
                ));
            };
            let Value::Number { json, value } = Value::parse(&pair.value)? else {
                return Err(Error::new(pair.value.span(), "expected a number"));
            };
            if slot
                .replace(Bound {
                    value,
                    json,
                    exclusive,
                })
                .is_some()
            {
                return Err(Error::new(
                    pair.path.span(),
                    "a second bound on the same side",
                ));
            }
        }
        match (&range.min, &range.max) {
            (None, None) => Err(Error::new(
                attribute.span(),
                "expected a bound: `#[range(min = 0.0, max = 1.0)]`",
            )),
            (Some(min), Some(max)) if min.value > max.value => Err(Error::new(
                attribute.span(),
                "the lower bound exceeds the upper",
            )),
            _ => Ok(range),
        }
    }

    fn contains(&self, value: f64) -> bool {
        let above = |b: &Bound| {
            if b.exclusive {
                value > b.value
            } else {
                value >= b.value
            }
        };
        let below = |b: &Bound| {
            if b.exclusive {
                value < b.value
            } else {
                value <= b.value
            }
        };
        self.min.as_ref().is_none_or(above) && self.max.as_ref().is_none_or(below)
    }

    /// The bounds as entries of a schema: `"minimum":0.0,"maximum":1.0`.
    pub fn schema(&self) -> String {
        let entry = |bound: &Option<Bound>, inclusive: &str, exclusive: &str| {
            let bound = bound.as_ref()?;
            let key = if bound.exclusive {
                exclusive
            } else {
                inclusive
            };
            Some(format!("{}:{}", quoted(key), bound.json))
        };
        let min = entry(&self.min, "minimum", "exclusiveMinimum");
        let max = entry(&self.max, "maximum", "exclusiveMaximum");
        min.into_iter().chain(max).collect::<Vec<_>>().join(",")
    }
}

/// The name given by `#[option(rename = "…")]` to a variant.
pub fn variant_name(attributes: &[Attribute]) -> Result<Option<LitStr>> {
    let mut name = None;
    for attribute in attributes {
        let path = attribute.path();
        if path.is_ident("option") {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("rename") {
                    return Err(meta.error("expected `rename = \"…\"`"));
                }
                name = Some(meta.value()?.parse()?);
                Ok(())
            })?;
        } else if path.is_ident("range") || path.is_ident("example") {
            return Err(Error::new(
                attribute.span(),
                "this attribute belongs on a field",
            ));
        }
    }
    Ok(name)
}

/// Our attributes have no meaning on a type, where they would be ignored.
pub fn refuse_on_type(attributes: &[Attribute]) -> Result<()> {
    let ours = ["default", "range", "example", "option"];
    match attributes
        .iter()
        .find(|a| ours.iter().any(|name| a.path().is_ident(name)))
    {
        Some(misplaced) => Err(Error::new(
            misplaced.span(),
            "this attribute belongs on a field or a variant",
        )),
        None => Ok(()),
    }
}
