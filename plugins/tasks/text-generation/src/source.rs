//! Where prompts and targets come from, by the format of the records.

use tenon_plugin_api::task::prelude::*;

use crate::options::{Format, Options};
use crate::template::Template;

/// Where prompts and targets come from.
#[derive(Debug)]
pub enum Source {
    /// Columns, which a template puts together.
    Columns {
        /// The template.
        prompt: Box<Template>,
        /// Column of the target.
        target: String,
    },
    /// Conversations.
    Turns {
        /// Column of the turns.
        column: String,
    },
}

/// The prompt of records that have it in a column.
const PLAIN: &str = "{{ prompt }}";

/// Prompt of Stanford Alpaca (`train.py`, `PROMPT_DICT`).
const ALPACA: &str = "Below is an instruction that describes a task\
{% if input %}, paired with an input that provides further context{% endif %}. \
Write a response that appropriately completes the request.\n\n\
### Instruction:\n{{ instruction }}\n\n\
{% if input %}### Input:\n{{ input }}\n\n{% endif %}### Response:";

/// The same as a turn of a user.
const ALPACA_TURN: &str = "{{ instruction }}{% if input %}\n\n{{ input }}{% endif %}";

impl Source {
    /// That of these options.
    ///
    /// # Errors
    /// An option says nothing of records of the format, or the template is none.
    pub fn new(options: &Options) -> Result<Self> {
        refuse_unused(options)?;
        let named = |column: &Option<Column>, usual: &str| {
            let named = column.as_ref().map(|column| column.name());
            named.unwrap_or(usual).to_owned()
        };
        let columns = |template: &str, usual: &str| -> Result<Self> {
            Ok(Self::Columns {
                prompt: Box::new(Template::new(template)?),
                target: named(&options.target, usual),
            })
        };
        let turns = |usual: &str| Self::Turns {
            column: named(&options.messages, usual),
        };
        let own = options.prompt.as_ref().map(|template| template.source());
        match (options.format, options.chat) {
            (Format::Prompt, _) => columns(own.unwrap_or(PLAIN), "target"),
            (Format::Alpaca, true) => columns(ALPACA_TURN, "output"),
            (Format::Alpaca, false) => columns(ALPACA, "output"),
            (Format::Messages, _) => Ok(turns("messages")),
            (Format::Sharegpt, _) => Ok(turns("conversations")),
        }
    }

    /// The columns that it reads.
    pub fn columns(&self) -> Vec<ColumnInfo> {
        let column = |name: &String, kind, for_prediction| ColumnInfo {
            name: name.clone(),
            kind,
            for_prediction,
        };
        match self {
            Self::Columns { prompt, target } => {
                let named = prompt.columns().iter().filter(|name| *name != target);
                let mut columns: Vec<_> = named
                    .map(|name| column(name, ColumnKind::Text, true))
                    .collect();
                let in_prompt = prompt.columns().contains(target);
                columns.push(column(target, ColumnKind::Text, in_prompt));
                columns
            }
            Self::Turns { column: turns } => vec![column(turns, ColumnKind::Json, true)],
        }
    }
}

fn refuse_unused(options: &Options) -> Result<()> {
    let turns = matches!(options.format, Format::Messages | Format::Sharegpt);
    let format = match options.format {
        Format::Prompt => "prompt",
        Format::Alpaca => "alpaca",
        Format::Messages => "messages",
        Format::Sharegpt => "sharegpt",
    };
    let unused = [
        (
            "prompt",
            options.prompt.is_some() && options.format != Format::Prompt,
        ),
        ("messages", options.messages.is_some() && !turns),
        ("target", options.target.is_some() && turns),
    ];
    match unused.into_iter().find(|(_, unused)| *unused) {
        Some((key, _)) => Err(Error::options(format!(
            "{key}: it says nothing of records of the format `{format}`"
        ))),
        None => Ok(()),
    }
}
