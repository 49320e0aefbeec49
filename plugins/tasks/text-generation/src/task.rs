//! The task: records to prompts and targets, what was written to predictions.

use tenon_nn::token_loss;
use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tokenizer::Message;

use crate::conversation::{self, ASSISTANT};
use crate::options::{Format, Options, Truncate, Turns};
use crate::sequence::{self, Frame, Line};
use crate::template::Template;

/// Tokens that are written when neither options nor model say.
const USUAL: usize = 128;

/// The task.
#[derive(Debug)]
pub struct TextGeneration {
    options: Options,
    source: Source,
    model: Model,
    /// The most tokens that the model takes.
    limit: Option<usize>,
}

/// Where prompts and targets come from.
#[derive(Debug)]
enum Source {
    Columns {
        prompt: Box<Template>,
        target: String,
    },
    Turns {
        column: String,
    },
}

/// How the model writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    Causal,
    EncoderDecoder { start: i64 },
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

impl Task for TextGeneration {
    const ID: &'static str = "text-generation";
    const ABOUT: &'static str = "Writes what follows a prompt or comes next in a conversation: summaries, answers, descriptions";
    const OUTPUTS: &'static [&'static str] = &["text"];
    type Options = Options;

    fn new(options: Options) -> Result<Self> {
        Ok(Self {
            source: source(&options)?,
            options,
            model: Model::Causal,
            limit: None,
        })
    }

    fn describe(&self) -> TaskInfo {
        let mut generation = serde_json::Map::new();
        generation.insert("max_new_tokens".to_owned(), self.room_to_write().into());
        let mut fields = vec![FieldInfo::token_ids("input_ids")];
        let labels = FieldInfo::ints("labels", tenon_nn::IGNORED);
        match self.model {
            Model::Causal => fields.push(labels),
            Model::EncoderDecoder { .. } => {
                fields.push(FieldInfo {
                    length: false,
                    ..FieldInfo::token_ids("decoder_input_ids")
                });
                fields.push(FieldInfo {
                    length: true,
                    ..labels
                });
            }
        }
        TaskInfo {
            columns: self.columns(),
            head: Some(HeadInfo {
                kind: match self.model {
                    Model::Causal => "causal-lm".to_owned(),
                    Model::EncoderDecoder { .. } => "seq2seq-lm".to_owned(),
                },
                ..HeadInfo::default()
            }),
            fields,
            output: OutputInfo {
                kind: ValueKind::Text.name().to_owned(),
                labels: Vec::new(),
            },
            metrics: vec![MetricRequest::new("rouge")],
            prompt: vec![FieldInfo::token_ids("input_ids")],
            concludes: true,
            generation,
            ..TaskInfo::default()
        }
    }

    fn prepare(&mut self, data: &DataInfo) -> Result<()> {
        self.model = match data.model.is_encoder_decoder() {
            false => Model::Causal,
            true => Model::EncoderDecoder {
                start: data.model.decoder_start_token_id.with_context(|| {
                    format!(
                        "the configuration of {} has no decoder_start_token_id, with which its decoder begins",
                        data.model.id
                    )
                })?,
            },
        };
        self.limit = (data.max_length > 0).then_some(data.max_length);
        if self.options.train_on_prompt && self.model != Model::Causal {
            bail!(
                Options,
                "train_on_prompt: the prompt of an encoder–decoder is not written, so it cannot be learned"
            );
        }
        let lengths = [
            ("max_source_length", self.options.max_source_length),
            ("max_target_length", self.options.max_target_length),
        ];
        for (key, length) in lengths {
            if let (Some(length), Some(limit)) = (length, self.limit)
                && length > limit
            {
                bail!(
                    Options,
                    "{key}: the model takes {limit} tokens, fewer than {length}"
                );
            }
        }
        Ok(())
    }

    fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        match &self.source {
            Source::Columns { prompt, target } => {
                let prompt = prompt.render(record)?;
                let targets = record.texts(target)?;
                let target = *targets
                    .first()
                    .with_context(|| format!("column `{target}`: a list without a text"))?;
                match self.options.chat {
                    true => {
                        let mut messages = self.asked(prompt);
                        messages.push(Message::new(ASSISTANT, target));
                        self.conversation(&messages, tokenizer, examples)
                    }
                    false => self.continuation(&self.told(prompt), target, tokenizer, examples),
                }
            }
            Source::Turns { column } => {
                let messages = self.turns(record, column)?;
                self.conversation(&messages, tokenizer, examples)
            }
        }
    }

    fn encode_prompt(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let (text, is_chat) = match &self.source {
            Source::Columns { prompt, .. } => {
                let prompt = prompt.render(record)?;
                match self.options.chat {
                    true => (tokenizer.chat(&self.asked(prompt), true)?, true),
                    false => (self.told(prompt), false),
                }
            }
            Source::Turns { column } => {
                let mut messages = self.turns(record, column)?;
                messages.pop_if(|last| last.role == ASSISTANT);
                (tokenizer.chat(&messages, true)?, true)
            }
        };
        let room = match (self.model, self.limit) {
            (Model::Causal, Some(limit)) => limit.saturating_sub(self.room_to_write()).max(1),
            (_, limit) => limit.unwrap_or(usize::MAX),
        };
        let ids = self.prompt(&text, is_chat, room, tokenizer)?;
        examples.example().ints("input_ids", &ids);
        Ok(())
    }

    fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss> {
        token_loss(outputs, batch, self.options.label_smoothing)
    }

    fn predict(&self, _outputs: &TensorMap, _batch: &TensorMap) -> Result<Predictions> {
        Err(Error::unsupported(
            "predictions of text generation are generated from prompts, not taken from logits",
        ))
    }

    fn conclude(&self, records: Records<'_>, found: Found<'_>) -> Result<Predictions> {
        let mut predictions = Values::new(ValueKind::Text);
        let mut references = Some(Values::new(ValueKind::Text));
        for (row, record) in records.iter().enumerate() {
            let written = found.of(row).flat_map(|at| found.values().texts_at(at));
            let written: Vec<&str> = written.map(str::trim).collect();
            match written.is_empty() {
                true => predictions.push_text(""),
                false => predictions.push_texts(written),
            }
            references = match (references, self.references(record)?) {
                (Some(mut all), Some(texts)) => {
                    all.push_texts(texts);
                    Some(all)
                }
                _ => None,
            };
        }
        Ok(Predictions {
            predictions,
            references,
        })
    }
}

impl TextGeneration {
    fn columns(&self) -> Vec<ColumnInfo> {
        let column = |name: &String, kind, for_prediction| ColumnInfo {
            name: name.clone(),
            kind,
            for_prediction,
        };
        match &self.source {
            Source::Columns { prompt, target } => {
                let named = prompt.columns().iter().filter(|name| *name != target);
                let mut columns: Vec<_> = named
                    .map(|name| column(name, ColumnKind::Text, true))
                    .collect();
                let in_prompt = prompt.columns().contains(target);
                columns.push(column(target, ColumnKind::Text, in_prompt));
                columns
            }
            Source::Turns { column: turns } => vec![column(turns, ColumnKind::Json, true)],
        }
    }

    /// Tokens that may be written: a quarter of what the model takes at most, when no option says.
    fn room_to_write(&self) -> usize {
        let quarter = self.limit.map_or(USUAL, |limit| (limit / 4).max(1));
        let usual = quarter.min(USUAL);
        self.options.max_target_length.unwrap_or(usual)
    }

    fn turns(&self, record: Record<'_>, column: &str) -> Result<Vec<Message>> {
        let system = self.options.system.as_deref();
        conversation::turns(record, column, self.options.format, system)
    }

    /// A prompt as a turn of the user.
    fn asked(&self, prompt: String) -> Vec<Message> {
        let mut messages = conversation::with_system(self.options.system.as_deref());
        messages.push(Message::new("user", prompt));
        messages
    }

    /// A prompt as plain text.
    fn told(&self, prompt: String) -> String {
        match &self.options.system {
            Some(system) => format!("{system}\n\n{prompt}"),
            None => prompt,
        }
    }

    /// What is right for a record, where it says.
    fn references<'a>(&self, record: Record<'a>) -> Result<Option<Vec<String>>> {
        match &self.source {
            Source::Columns { target, .. } if record.has(target) => {
                let texts: Vec<&'a str> = record.texts(target)?;
                Ok(Some(texts.into_iter().map(str::to_owned).collect()))
            }
            Source::Columns { .. } => Ok(None),
            Source::Turns { column } => {
                let last = self.turns(record, column)?.pop();
                let answer = last.filter(|last| last.role == ASSISTANT);
                Ok(answer.map(|answer| vec![answer.content]))
            }
        }
    }

    fn cuts_the_start(&self) -> bool {
        match self.options.truncation {
            Truncate::Auto => self.model == Model::Causal,
            Truncate::Left => true,
            Truncate::Right => false,
        }
    }

    /// The tokens of a prompt: at most `room`. What a chat template wrote has its special tokens, but for those that
    /// an encoder wants around every text.
    fn prompt(
        &self,
        text: &str,
        is_chat: bool,
        room: usize,
        tokenizer: &Tokenizer<'_>,
    ) -> Result<Vec<i64>> {
        let mut frame = Frame::of(tokenizer, false)?;
        match self.model {
            Model::Causal if is_chat => frame = Frame::default(),
            Model::Causal => frame.after.clear(),
            Model::EncoderDecoder { .. } => {}
        }
        let room = room.min(self.options.max_source_length.unwrap_or(usize::MAX));
        let ids = sequence::tokens(text, false, tokenizer)?;
        let most = room.saturating_sub(frame.len());
        let ids = frame.around(sequence::cut(&ids, most, self.cuts_the_start()));
        ensure!(!ids.is_empty(), Data, "the prompt is empty");
        Ok(ids)
    }

    /// A prompt and what follows it, as an example.
    fn continuation(
        &self,
        prompt: &str,
        target: &str,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        if let Model::EncoderDecoder { start } = self.model {
            let room = self.limit.unwrap_or(usize::MAX);
            let source = self.prompt(prompt, false, room, tokenizer)?;
            let target = self.target(target, tokenizer)?;
            sequence::pair(&source, &target, start, examples);
            return Ok(());
        }
        let frame = Frame::of(tokenizer, false)?;
        let mut ids = sequence::tokens(target, false, tokenizer)?;
        // A target that is cut off does not end there.
        ids.extend(sequence::end(tokenizer, &frame));
        let most = self.options.max_target_length.unwrap_or(usize::MAX);
        ids.truncate(most.min(self.limit.unwrap_or(usize::MAX)));
        // The last token is no input.
        let room = self
            .limit
            .map_or(usize::MAX, |limit| (limit + 1).saturating_sub(ids.len()));
        let prompt = self.prompt(prompt, false, room.max(1), tokenizer)?;
        let mut line = Line::default();
        line.push(&prompt, self.options.train_on_prompt);
        line.push(&ids, true);
        line.example(examples);
        Ok(())
    }

    /// The target of an encoder–decoder, with what the tokenizer puts around it.
    fn target(&self, text: &str, tokenizer: &Tokenizer<'_>) -> Result<Vec<i64>> {
        let mut frame = Frame::of(tokenizer, true)?;
        if frame.after.is_empty() {
            frame.after.extend(sequence::end(tokenizer, &frame));
        }
        let limits = [self.options.max_target_length, self.limit];
        let most = limits.into_iter().flatten().min().unwrap_or(usize::MAX);
        let ids = sequence::tokens(text, true, tokenizer)?;
        let most = most.saturating_sub(frame.len());
        Ok(frame.around(sequence::cut(&ids, most, false)))
    }

    /// A conversation as an example.
    fn conversation(
        &self,
        messages: &[Message],
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let only_last = self.options.turns == Turns::Last;
        let Model::EncoderDecoder { start } = self.model else {
            let written = conversation::write(messages, only_last, tokenizer)?;
            let mut line = self.learned(&written, tokenizer)?;
            line.cut(self.room_for_conversations(), self.cuts_the_start());
            line.example(examples);
            return Ok(());
        };
        let answer = messages.iter().rposition(|turn| turn.role == ASSISTANT);
        let answer = answer.context("a conversation without a turn of the assistant")?;
        let text = tokenizer.chat(&messages[..answer], true)?;
        let room = self.limit.unwrap_or(usize::MAX);
        let source = self.prompt(&text, true, room, tokenizer)?;
        let target = self.target(&messages[answer].content, tokenizer)?;
        sequence::pair(&source, &target, start, examples);
        Ok(())
    }

    /// The tokens of a conversation: of the assistant's are those that begin in its turns.
    fn learned(&self, written: &conversation::Written, tokenizer: &Tokenizer<'_>) -> Result<Line> {
        let how = Encode {
            no_special_tokens: true,
            offsets: true,
            ..Encode::default()
        };
        let encoding = tokenizer.encode(&written.text, &how)?;
        let mut line = Line::default();
        for (id, (from, _)) in encoding.ids.iter().zip(&encoding.offsets) {
            let within = |(start, end): &(usize, usize)| (*start..*end).contains(from);
            let learned = self.options.train_on_prompt || written.spans.iter().any(within);
            line.push(&[*id], learned);
        }
        Ok(line)
    }

    /// The most tokens of a conversation, of which the last is no input.
    fn room_for_conversations(&self) -> usize {
        let options = &self.options;
        let both = match (options.max_source_length, options.max_target_length) {
            (Some(source), Some(target)) => Some(source + target),
            _ => None,
        };
        let most = [self.limit, both].into_iter().flatten().min();
        most.map_or(usize::MAX, |most| most + 1)
    }
}

/// Where prompts and targets come from, by the format.
fn source(options: &Options) -> Result<Source> {
    let turns = matches!(options.format, Format::Messages | Format::Sharegpt);
    let unused = |key: &str, format: &str| {
        Err(Error::options(format!(
            "{key}: it says nothing of records of the format `{format}`"
        )))
    };
    let name = match options.format {
        Format::Prompt => "prompt",
        Format::Alpaca => "alpaca",
        Format::Messages => "messages",
        Format::Sharegpt => "sharegpt",
    };
    if options.format != Format::Prompt && options.prompt.is_some() {
        return unused("prompt", name);
    }
    match &options.messages {
        Some(_) if !turns => return unused("messages", name),
        _ => {}
    }
    if turns && options.target.is_some() {
        return unused("target", name);
    }
    let named = |column: &Option<Column>, usual: &str| {
        column
            .as_ref()
            .map_or(usual, |column| column.name())
            .to_owned()
    };
    Ok(match options.format {
        Format::Prompt => Source::Columns {
            prompt: Box::new(Template::new(match &options.prompt {
                Some(template) => template.source(),
                None => PLAIN,
            })?),
            target: named(&options.target, "target"),
        },
        Format::Alpaca => Source::Columns {
            prompt: Box::new(Template::new(if options.chat {
                ALPACA_TURN
            } else {
                ALPACA
            })?),
            target: named(&options.target, "output"),
        },
        Format::Messages => Source::Turns {
            column: named(&options.messages, "messages"),
        },
        Format::Sharegpt => Source::Turns {
            column: named(&options.messages, "conversations"),
        },
    })
}
