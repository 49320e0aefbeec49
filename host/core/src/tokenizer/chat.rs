//! Chat templates: a conversation as the text that a model was trained on.
//!
//! A template is Jinja, as `transformers` runs it (`apply_chat_template`): blocks take the line end
//! behind them and the blanks before them away, `break` and `continue` are known, strings have
//! their Python methods, and there are `raise_exception`, `strftime_now`, `tojson`, the special
//! tokens (`bos_token`, …), `messages`, `tools` (none), `documents` (none) and
//! `add_generation_prompt`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, OnceLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, Error, ErrorKind};
use regex::Regex;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use tenon_plugin_api::tokenizer::Message;

use super::files::{Files, read};
use crate::data::TokenizerError;

/// The file that goes before what `tokenizer_config.json` says.
const FILE: &str = "chat_template.jinja";
const NAME: &str = "chat";
/// Steps after which a template is taken to be without end.
const FUEL: u64 = 20_000_000;
/// The template that is meant where several are named.
const DEFAULT: &str = "default";

/// A chat template, compiled when it is first used.
pub(crate) struct ChatTemplate {
    /// The file that it stands in.
    path: PathBuf,
    source: String,
    /// Special tokens by their names in templates.
    tokens: BTreeMap<String, String>,
    environment: OnceLock<Result<Environment<'static>, Error>>,
}

/// What a template sees.
#[derive(Serialize)]
struct Context<'a> {
    messages: &'a [Message],
    add_generation_prompt: bool,
    tools: Option<()>,
    documents: Option<()>,
    #[serde(flatten)]
    tokens: &'a BTreeMap<String, String>,
}

impl ChatTemplate {
    /// The template of a tokenizer, if it has one.
    ///
    /// # Errors
    /// Several are named and none is the default, or it is no text.
    pub fn find(files: &Files) -> Result<Option<Self>, TokenizerError> {
        let (path, source) = match read(&files.beside(FILE))? {
            Some(bytes) => {
                let path = files.beside(FILE);
                let source = String::from_utf8(bytes).map_err(|error| TokenizerError::Invalid {
                    path: path.clone(),
                    problem: format!("it is not UTF-8: {error}"),
                })?;
                (path, source)
            }
            None => {
                let path = files.beside("tokenizer_config.json");
                match files.tokenizer_config.get("chat_template") {
                    None | Some(serde_json::Value::Null) => return Ok(None),
                    Some(value) => (path.clone(), chosen(value, &path)?),
                }
            }
        };
        let roles = ["bos", "eos", "unk", "pad", "cls", "sep", "mask"];
        let token = |role: &str| Some((format!("{role}_token"), files.named(role)?.to_owned()));
        Ok(Some(Self {
            path,
            source,
            tokens: roles.into_iter().filter_map(token).collect(),
            environment: OnceLock::new(),
        }))
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// A conversation as text.
    ///
    /// # Errors
    /// The template is broken or refuses the conversation; the line is named.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TokenizerError> {
        let environment = self.environment.get_or_init(|| compile(&self.source));
        let environment = environment.as_ref().map_err(|error| self.fault(error))?;
        let template = environment.get_template(NAME);
        let context = Context {
            messages,
            add_generation_prompt,
            tools: None,
            documents: None,
            tokens: &self.tokens,
        };
        let text = template.and_then(|template| template.render(Value::from(Serde(context))));
        text.map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &Error) -> TokenizerError {
        let detail = error.detail().map(str::to_owned);
        let kind = error.kind().to_string();
        TokenizerError::Chat {
            path: self.path.clone(),
            line: error.line(),
            problem: match (error.kind(), detail) {
                (ErrorKind::InvalidOperation, Some(detail)) => detail,
                (ErrorKind::OutOfFuel, _) => "it does not come to an end".to_owned(),
                (_, Some(detail)) => format!("{kind}: {detail}"),
                (_, None) => kind,
            },
        }
    }
}

/// The template of `tokenizer_config.json`: a text, or the default of a list.
fn chosen(value: &serde_json::Value, path: &Path) -> Result<String, TokenizerError> {
    let invalid = |problem: String| TokenizerError::Invalid {
        path: path.to_owned(),
        problem,
    };
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    let entry = |entry: &serde_json::Value| {
        let text = |key: &str| Some(entry.get(key)?.as_str()?.to_owned());
        Some((text("name")?, text("template")?))
    };
    let list = value
        .as_array()
        .map(|list| list.iter().map(entry).collect::<Option<Vec<_>>>());
    let Some(Some(mut list)) = list else {
        let problem =
            "chat_template is neither a text nor a list of tables with `name` and `template`";
        return Err(invalid(problem.to_owned()));
    };
    if list.len() == 1 {
        return Ok(list.remove(0).1);
    }
    let names: Vec<String> = list.iter().map(|(name, _)| format!("`{name}`")).collect();
    let default = list.into_iter().find(|(name, _)| name == DEFAULT);
    default.map(|(_, template)| template).ok_or_else(|| {
        let names = names.join(", ");
        invalid(format!(
            "of the chat templates {names} none is the `{DEFAULT}`"
        ))
    })
}

fn compile(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    environment.set_syntax(syntax);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_fuel(Some(FUEL));
    environment.add_function("raise_exception", |text: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, text))
    });
    environment.add_function("strftime_now", |format: String| -> Result<String, Error> {
        let text = jiff::fmt::strtime::format(&format, &jiff::Zoned::now());
        text.map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    environment.add_filter("tojson", tojson);
    environment.add_template_owned(NAME, without_generation_blocks(source))?;
    Ok(environment)
}

/// `{% generation %} … {% endgeneration %}` marks what is learnt in training; the text is the same
/// without.
fn without_generation_blocks(source: &str) -> String {
    static BLOCKS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").ok());
    let Some(blocks) = &*BLOCKS else {
        return source.to_owned();
    };
    let replaced = blocks.replace_all(source, |found: &regex::Captures<'_>| {
        let word = if found.get(2).is_some() {
            "endif"
        } else {
            "if true"
        };
        format!("{{%{} {word} {}%}}", &found[1], &found[3])
    });
    replaced.into_owned()
}

/// As Python's `json.dumps(value, ensure_ascii=False)` writes it, with `indent` where it is given.
fn tojson(value: Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Known, and as they are in any case.
    let _: Option<Value> = options.get("ensure_ascii")?;
    let _: Option<Value> = options.get("separators")?;
    let _: Option<Value> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let mut bytes = Vec::new();
    let written = match indent.map(|width| " ".repeat(width.min(64))) {
        Some(indent) => {
            let pretty = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut bytes, pretty))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced)),
    };
    let fault =
        |problem: String| Error::new(ErrorKind::InvalidOperation, format!("tojson: {problem}"));
    written.map_err(|error| fault(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| fault(error.to_string()))?;
    Ok(Value::from(text))
}

/// Spaces behind commas and colons.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}
