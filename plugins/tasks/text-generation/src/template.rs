//! Prompt templates: Jinja over the columns of a record.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use tenon_plugin_api::names::did_you_mean;
use tenon_plugin_api::task::prelude::*;

/// A compiled template.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    columns: Vec<String>,
}

const NAME: &str = "prompt";

impl Template {
    /// Compiles a template, and finds the columns that it names.
    ///
    /// # Errors
    /// It is no template, or names no column.
    pub fn new(source: &str) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| fault(&error, source))?);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| fault(&error, source))?;
        let template = environment.get_template(NAME);
        let template = template.map_err(|error| fault(&error, source))?;
        let globals: Vec<String> = environment
            .globals()
            .map(|(name, _)| name.to_owned())
            .collect();
        let mut columns: Vec<String> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !globals.contains(name))
            .collect();
        columns.sort();
        if columns.is_empty() {
            return Err(
                Error::options(format!("prompt: {source:?} names no column"))
                    .with_help("put a column into double braces, as in \"{{ text }}\""),
            );
        }
        let template = Self {
            environment,
            columns,
        };
        template.check_names(source)?;
        Ok(template)
    }

    /// Filters, tests and functions that do not exist show only when a template is filled: with nothing, here.
    fn check_names(&self, source: &str) -> Result<()> {
        let cells = self
            .columns
            .iter()
            .map(|name| (name.as_str(), Value::from("")));
        let cells: BTreeMap<&str, Value> = cells.collect();
        match self.fill(cells) {
            Err(error) if is_unknown_name(&error) => Err(fault(&error, source)),
            _ => Ok(()),
        }
    }

    fn fill(&self, cells: BTreeMap<&str, Value>) -> Result<String, minijinja::Error> {
        self.environment
            .get_template(NAME)?
            .render(Value::from(cells))
    }

    /// The columns that it names, in alphabetical order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The prompt of a record.
    ///
    /// # Errors
    /// The record lacks a column, or the template cannot be filled with what it holds.
    pub fn render(&self, record: Record<'_>) -> Result<String> {
        let mut cells = BTreeMap::new();
        for column in &self.columns {
            cells.insert(column.as_str(), cell(record, column)?);
        }
        self.fill(cells).map_err(|error| {
            let (line, problem) = told(&error);
            Error::data(format!(
                "filling the prompt's template, line {line}: {problem}"
            ))
        })
    }
}

fn is_unknown_name(error: &minijinja::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
    )
}

/// A cell as a template sees it; empty cells are empty texts.
fn cell(record: Record<'_>, column: &str) -> Result<Value> {
    if record.has(column) && record.opt_text(column).is_none() {
        return Ok(Value::from(""));
    }
    let texts = record.texts(column)?;
    Ok(match texts.as_slice() {
        [one] => Value::from(*one),
        many => many.iter().map(|text| Value::from(*text)).collect(),
    })
}

/// What is wrong with a template, with the line and a guess at what was meant.
fn fault(error: &minijinja::Error, source: &str) -> Error {
    let (line, problem) = told(error);
    let shown = source.lines().nth(line.saturating_sub(1)).unwrap_or(source);
    let filters = [
        "default", "first", "join", "last", "length", "lower", "replace", "title", "trim", "upper",
    ];
    let named = problem.strip_prefix("unknown filter: filter ");
    let named = named.and_then(|rest| rest.split_whitespace().next());
    let guess = named.map_or_else(String::new, |name| did_you_mean(name, filters));
    Error::options(format!(
        "prompt: line {line}: {problem}{guess}, in {shown:?}"
    ))
}

/// The line, 1-based, and the words of the innermost cause.
fn told(error: &minijinja::Error) -> (usize, String) {
    let kind = error.kind();
    let problem = match error.detail() {
        Some(detail) => format!("{kind}: {detail}"),
        None => kind.to_string(),
    };
    (error.line().unwrap_or(1), problem)
}
