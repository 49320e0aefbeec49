//! Prompt templates: Jinja over the columns of a problem.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior};
use tenon_plugin_api::names::did_you_mean;
use tenon_plugin_api::task::prelude::*;

use crate::problem::Cells;

/// A compiled template.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
}

const NAME: &str = "prompt";

impl Template {
    /// Compiles a template over these columns.
    ///
    /// # Errors
    /// It is no template, or names another column.
    pub fn new(source: &str, columns: &[&str]) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| fault(&error))?);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|error| fault(&error))?;
        let template = environment
            .get_template(NAME)
            .map_err(|error| fault(&error))?;
        let globals: Vec<&str> = environment.globals().map(|(name, _)| name).collect();
        let named = template.undeclared_variables(false);
        let mut unknown = named
            .iter()
            .filter(|name| !columns.contains(&name.as_str()) && !globals.contains(&name.as_str()));
        if let Some(name) = unknown.next() {
            bail!(
                Options,
                "prompt: the format has no column `{name}`{} (columns: {})",
                did_you_mean(name, columns.iter().copied()),
                columns.join(", ")
            );
        }
        drop(globals);
        Ok(Self { environment })
    }

    /// The prompt of a problem.
    ///
    /// # Errors
    /// The template cannot be filled.
    pub fn fill(&self, cells: &Cells) -> Result<String> {
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(cells))
            .map_err(|error| Error::data(told(&error)))
    }
}

fn fault(error: &minijinja::Error) -> Error {
    Error::options(told(error))
}

fn told(error: &minijinja::Error) -> String {
    let (line, kind) = (error.line().unwrap_or(1), error.kind());
    match error.detail() {
        Some(detail) => format!("prompt: line {line}: {kind}: {detail}"),
        None => format!("prompt: line {line}: {kind}"),
    }
}
