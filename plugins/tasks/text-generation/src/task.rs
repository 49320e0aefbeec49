//! The task: records to prompts and targets, what was written to predictions.

use tenon_nn::{causal, seq2seq, token_loss};
use tenon_plugin_api::prompt::fitting;
use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tokenizer::Message;

use crate::conversation::{self, ASSISTANT};
use crate::options::{Options, Truncate, Turns};
use crate::sequence::{self, Line};
use crate::shots::{self, Asked, Shots};
use crate::source::Source;

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
    /// What stands before each prompt.
    shots: Shots,
    /// Where what is written after demonstrations ends.
    end: Option<String>,
}

/// How the model writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    Causal,
    EncoderDecoder { start: i64 },
}

impl Task for TextGeneration {
    const ID: &'static str = "text-generation";
    const ABOUT: &'static str = "Writes what follows a prompt or comes next in a conversation: summaries, answers, descriptions";
    const OUTPUTS: &'static [&'static str] = &["text"];
    type Options = Options;

    fn new(options: Options) -> Result<Self> {
        Ok(Self {
            source: Source::new(&options)?,
            options,
            model: Model::Causal,
            limit: None,
            shots: Shots::default(),
            end: None,
        })
    }

    fn describe(&self) -> TaskInfo {
        let mut generation = serde_json::Map::new();
        generation.insert("max_new_tokens".to_owned(), self.room_to_write().into());
        if let Some(end) = &self.end {
            generation.insert("stop_strings".to_owned(), vec![end.as_str()].into());
        }
        let fields = match self.model {
            Model::Causal => vec![
                FieldInfo::token_ids("input_ids"),
                FieldInfo::ints("labels", tenon_nn::IGNORED),
            ],
            Model::EncoderDecoder { .. } => seq2seq::fields(),
        };
        let kind = match self.model {
            Model::Causal => causal::TOKENS,
            Model::EncoderDecoder { .. } => seq2seq::TOKENS,
        };
        TaskInfo {
            columns: self.source.columns(),
            head: Some(HeadInfo {
                kind: kind.to_owned(),
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
            promptable: true,
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
        match &data.prompt {
            Some(info) => self.demonstrate(info),
            None => Ok(()),
        }
    }

    fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        match self.asked(record)? {
            Asked::Text(prompt) => {
                let target = self.target_of(record)?;
                self.continuation(&Asked::Text(prompt), target, tokenizer, examples)
            }
            Asked::Turns(mut turns) => {
                if let Source::Columns { .. } = self.source {
                    turns.push(Message::new(ASSISTANT, self.target_of(record)?));
                }
                self.conversation(&turns, tokenizer, examples)
            }
        }
    }

    fn encode_prompt(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let mut asked = self.asked(record)?;
        if let Asked::Turns(turns) = &mut asked {
            turns.pop_if(|last| last.role == ASSISTANT);
        }
        let room = match (self.model, self.limit) {
            (Model::Causal, Some(limit)) => limit.saturating_sub(self.room_to_write()).max(1),
            (_, limit) => limit.unwrap_or(usize::MAX),
        };
        let ids = self.prompt(&asked, room, tokenizer)?;
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
        Predictions::written(records, found, |record| self.references(record))
    }
}

impl TextGeneration {
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

    /// What a model is asked of a record: a conversation with all of its turns.
    fn asked(&self, record: Record<'_>) -> Result<Asked> {
        let system = self.options.system.as_deref();
        match &self.source {
            Source::Columns { prompt, .. } if self.options.chat => {
                let mut turns = conversation::with_system(system);
                turns.push(Message::new("user", prompt.render(record)?));
                Ok(Asked::Turns(turns))
            }
            Source::Columns { prompt, .. } => Ok(Asked::Text(prompt.render(record)?)),
            Source::Turns { column } => Ok(Asked::Turns(self.turns(record, column)?)),
        }
    }

    /// What is to be learned of a record with a target.
    fn target_of<'a>(&self, record: Record<'a>) -> Result<&'a str> {
        let Source::Columns { target, .. } = &self.source else {
            bail!(Data, "conversations have no target of their own");
        };
        let targets = record.texts(target)?;
        let first = targets.first().copied();
        first.with_context(|| format!("column `{target}`: a list without a text"))
    }

    /// Takes over what is to stand before each prompt.
    fn demonstrate(&mut self, info: &PromptInfo) -> Result<()> {
        shots::check(info)?;
        let solved = info.records()?;
        let (mut texts, mut turns, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..solved.len() {
            let record = solved.record(row);
            match self.asked(record)? {
                Asked::Text(prompt) => {
                    let target = self.target_of(record)?;
                    texts.push(format!("{prompt}{target}{}", info.separator));
                    targets.push(target.to_owned());
                }
                Asked::Turns(mut all) => {
                    if let Source::Columns { .. } = self.source {
                        all.push(Message::new(ASSISTANT, self.target_of(record)?));
                    }
                    turns.push(shots::shown(all)?);
                }
            }
        }
        if self.model == Model::Causal {
            self.end = shots::end(&info.separator, &targets);
        }
        self.shots = match turns.is_empty() {
            true => Shots::Texts(texts),
            false => Shots::Turns(turns),
        };
        Ok(())
    }

    /// What is asked, as text: after the system's words and all but the first `skipped` demonstrations.
    fn text(&self, asked: &Asked, skipped: usize, tokenizer: &Tokenizer<'_>) -> Result<String> {
        match (asked, &self.options.system) {
            (Asked::Turns(turns), _) => tokenizer.chat(&self.shots.before(turns, skipped).0, true),
            (Asked::Text(prompt), None) => Ok(self.shots.text(skipped) + prompt),
            (Asked::Text(prompt), Some(system)) => {
                Ok(format!("{system}\n\n{}{prompt}", self.shots.text(skipped)))
            }
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

    /// The tokens of a prompt: at most `room`, after as many demonstrations as there is room for. What a chat template
    /// wrote has its special tokens, but for those that an encoder wants around every text.
    fn prompt(&self, asked: &Asked, room: usize, tokenizer: &Tokenizer<'_>) -> Result<Vec<i64>> {
        let mut frame = tokenizer.frame(false)?;
        match (self.model, asked) {
            (Model::Causal, Asked::Turns(_)) => frame = Frame::default(),
            (Model::Causal, Asked::Text(_)) => frame.after.clear(),
            (Model::EncoderDecoder { .. }, _) => {}
        }
        let room = room.min(self.options.max_source_length.unwrap_or(usize::MAX));
        let most = room.saturating_sub(frame.len());
        let make = |skipped: usize| {
            let text = self.text(asked, skipped, tokenizer)?;
            tokenizer.tokens(&text, false)
        };
        let ids = fitting(self.shots.len(), make, |ids| ids.len() <= most)?;
        let ids = frame.around(sequence::cut(&ids, most, self.cuts_the_start()));
        ensure!(!ids.is_empty(), Data, "the prompt is empty");
        Ok(ids)
    }

    /// A prompt and what follows it, as an example.
    fn continuation(
        &self,
        asked: &Asked,
        target: &str,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        if let Model::EncoderDecoder { start } = self.model {
            let room = self.limit.unwrap_or(usize::MAX);
            let source = self.prompt(asked, room, tokenizer)?;
            let target = self.target(target, tokenizer)?;
            seq2seq::example(&source, &target, start, examples);
            return Ok(());
        }
        let frame = tokenizer.frame(false)?;
        let mut ids = tokenizer.tokens(target, false)?;
        // A target that is cut off does not end there.
        ids.extend(sequence::end(tokenizer, &frame));
        let most = self.options.max_target_length.unwrap_or(usize::MAX);
        ids.truncate(most.min(self.limit.unwrap_or(usize::MAX)));
        // The last token is no input.
        let room = self
            .limit
            .map_or(usize::MAX, |limit| (limit + 1).saturating_sub(ids.len()));
        let prompt = self.prompt(asked, room.max(1), tokenizer)?;
        let mut line = Line::default();
        line.push(&prompt, self.options.train_on_prompt);
        line.push(&ids, true);
        line.example(examples);
        Ok(())
    }

    /// The target of an encoder–decoder, with what the tokenizer puts around it.
    fn target(&self, text: &str, tokenizer: &Tokenizer<'_>) -> Result<Vec<i64>> {
        let mut frame = tokenizer.frame(true)?;
        if frame.after.is_empty() {
            frame.after.extend(sequence::end(tokenizer, &frame));
        }
        let limits = [self.options.max_target_length, self.limit];
        let most = limits.into_iter().flatten().min().unwrap_or(usize::MAX);
        let ids = tokenizer.tokens(text, true)?;
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
            let room = self.room_for_conversations();
            let make = |skipped: usize| {
                let (turns, own) = self.shots.before(messages, skipped);
                let written = conversation::write(&turns, own, only_last, tokenizer)?;
                self.learned(&written, tokenizer)
            };
            let mut line = fitting(self.shots.len(), make, |line| line.len() <= room)?;
            line.cut(room, self.cuts_the_start());
            line.example(examples);
            return Ok(());
        };
        let answer = messages.iter().rposition(|turn| turn.role == ASSISTANT);
        let answer = answer.context("a conversation without a turn of the assistant")?;
        let asked = Asked::Turns(messages[..answer].to_vec());
        let room = self.limit.unwrap_or(usize::MAX);
        let source = self.prompt(&asked, room, tokenizer)?;
        let target = self.target(&messages[answer].content, tokenizer)?;
        seq2seq::example(&source, &target, start, examples);
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
