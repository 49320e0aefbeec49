//! The task: pairs to examples, what was written to predictions.

use serde_json::Value;
use tenon_nn::{seq2seq, token_loss};
use tenon_plugin_api::task::prelude::*;

use crate::options::Options;
use crate::side::Side;

/// The task.
#[derive(Debug)]
pub struct Translation {
    texts: Texts,
    options: Options,
    /// The token that the decoder starts with.
    start: i64,
    /// The most tokens that the model takes on either side.
    limit: Option<usize>,
}

/// Where the two sides of a record are.
#[derive(Debug)]
enum Texts {
    Columns {
        source: String,
        target: String,
    },
    Pair {
        column: String,
        source: String,
        target: String,
    },
}

impl Task for Translation {
    const ID: &'static str = "translation";
    const ABOUT: &'static str = "Translates from one language into another";
    const OUTPUTS: &'static [&'static str] = &["text"];
    type Options = Options;

    fn new(options: Options) -> Result<Self> {
        Ok(Self {
            texts: texts(&options)?,
            options,
            start: 0,
            limit: None,
        })
    }

    fn describe(&self) -> TaskInfo {
        let mut generation = serde_json::Map::new();
        if let Some(most) = self.options.max_target_length {
            generation.insert("max_new_tokens".to_owned(), most.into());
        }
        if let Some(token) = &self.options.target_token {
            generation.insert("forced_bos_token".to_owned(), token.as_str().into());
        }
        TaskInfo {
            columns: self.columns(),
            head: Some(HeadInfo {
                kind: seq2seq::TOKENS.to_owned(),
                ..HeadInfo::default()
            }),
            fields: seq2seq::fields(),
            output: OutputInfo {
                kind: ValueKind::Text.name().to_owned(),
                labels: Vec::new(),
            },
            metrics: vec![MetricRequest::new("bleu"), MetricRequest::new("chrf")],
            prompt: vec![FieldInfo::token_ids("input_ids")],
            concludes: true,
            generation,
            ..TaskInfo::default()
        }
    }

    fn prepare(&mut self, data: &DataInfo) -> Result<()> {
        let model = &data.model;
        self.start = match model.decoder_start_token_id {
            Some(start) => start,
            None if model.offers.is_empty() || model.is_encoder_decoder() => {
                return Err(Error::data(format!(
                    "the configuration of {} has no decoder_start_token_id, with which its decoder begins",
                    model.id
                )));
            }
            None => {
                return Err(Error::unsupported(format!(
                    "{} is no encoder–decoder, which this task needs",
                    model.id
                ))
                .with_help("`text-generation` translates with causal models, by a prompt"));
            }
        };
        self.limit = (data.max_length > 0).then_some(data.max_length);
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
        let source = self.source(record, tokenizer)?;
        let targets = self.targets(record)?;
        let target = targets.first().context("a pair without a target")?;
        let token = self.options.target_token.as_deref();
        let most = self.options.max_target_length.or(self.limit);
        let labels = Side::new(tokenizer, true, token)?.tokens(target, most)?;
        seq2seq::example(&source, &labels, self.start, examples);
        Ok(())
    }

    fn encode_prompt(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let source = self.source(record, tokenizer)?;
        examples.example().ints("input_ids", &source);
        Ok(())
    }

    fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss> {
        token_loss(outputs, batch, self.options.label_smoothing)
    }

    fn predict(&self, _outputs: &TensorMap, _batch: &TensorMap) -> Result<Predictions> {
        Err(Error::unsupported(
            "translations are generated from sources, not taken from logits",
        ))
    }

    fn conclude(&self, records: Records<'_>, found: Found<'_>) -> Result<Predictions> {
        Predictions::written(records, found, |record| {
            let has_target = self.has_target(record)?;
            has_target.then(|| self.targets(record)).transpose()
        })
    }
}

impl Translation {
    fn columns(&self) -> Vec<ColumnInfo> {
        let column = |name: &String, kind, for_prediction| ColumnInfo {
            name: name.clone(),
            kind,
            for_prediction,
        };
        match &self.texts {
            Texts::Columns { source, target } => vec![
                column(source, ColumnKind::Text, true),
                column(target, ColumnKind::Text, false),
            ],
            Texts::Pair { column: pair, .. } => vec![column(pair, ColumnKind::Json, true)],
        }
    }

    /// The tokens of the source.
    fn source(&self, record: Record<'_>, tokenizer: &Tokenizer<'_>) -> Result<Vec<i64>> {
        let text = match &self.texts {
            Texts::Columns { source, .. } => record.text(source)?.to_owned(),
            Texts::Pair { column, source, .. } => {
                let texts = of_language(record, column, source)?;
                let text = texts.and_then(|texts| texts.into_iter().next());
                text.ok_or_else(|| no_text(column, source))?
            }
        };
        let token = self.options.source_token.as_deref();
        let most = self.options.max_source_length.or(self.limit);
        let side = Side::new(tokenizer, false, token)?;
        side.tokens(&format!("{}{text}", self.options.prefix), most)
    }

    fn has_target(&self, record: Record<'_>) -> Result<bool> {
        match &self.texts {
            Texts::Columns { target, .. } => Ok(record.has(target)),
            Texts::Pair { column, target, .. } => {
                Ok(of_language(record, column, target)?.is_some())
            }
        }
    }

    /// All translations of a record.
    fn targets(&self, record: Record<'_>) -> Result<Vec<String>> {
        match &self.texts {
            Texts::Columns { target, .. } => {
                let texts = record.texts(target)?;
                Ok(texts.into_iter().map(str::to_owned).collect())
            }
            Texts::Pair { column, target, .. } => {
                of_language(record, column, target)?.ok_or_else(|| no_text(column, target))
            }
        }
    }
}

fn no_text(column: &str, language: &str) -> Error {
    Error::data(format!("column `{column}`: no text of {language:?}"))
}

/// The texts of a language in a cell that maps languages to texts; `None` where it has none of it.
fn of_language(record: Record<'_>, column: &str, language: &str) -> Result<Option<Vec<String>>> {
    let cell = record.json(column)?;
    let Some(Value::Object(pair)) = cell else {
        bail!(
            Data,
            "column `{column}`: expected a map from languages to texts, such as {{\"en\": \"…\"}}"
        );
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts: Option<Vec<String>> = match pair.get(language) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(one) => text(one).map(|text| vec![text]),
    };
    let problem = "expected a text, or a list of texts";
    texts
        .map(Some)
        .ok_or_else(|| Error::data(format!("column `{column}`, {language:?}: {problem}")))
}

/// Where the two sides are, by the options.
fn texts(options: &Options) -> Result<Texts> {
    let languages = [
        ("source_language", &options.source_language),
        ("target_language", &options.target_language),
    ];
    let Some(pair) = &options.pair else {
        if let Some((key, _)) = languages.iter().find(|(_, language)| language.is_some()) {
            bail!(
                Options,
                "{key}: it is a key of the map in the column `pair`, which is not set"
            );
        }
        let named = |column: &Option<Column>, usual: &str| {
            let name = column.as_ref().map_or(usual, |column| column.name());
            name.to_owned()
        };
        return Ok(Texts::Columns {
            source: named(&options.source, "source"),
            target: named(&options.target, "target"),
        });
    };
    let columns = [("source", &options.source), ("target", &options.target)];
    if let Some((key, _)) = columns.iter().find(|(_, column)| column.is_some()) {
        bail!(
            Options,
            "{key}: with `pair` both sides are in its column, by `source_language` and `target_language`"
        );
    }
    let [source, target] = languages.map(|(key, language)| {
        language.clone().ok_or_else(|| {
            Error::options(format!(
                "{key}: `pair` needs it, to find the text in the map"
            ))
        })
    });
    Ok(Texts::Pair {
        column: pair.name().to_owned(),
        source: source?,
        target: target?,
    })
}
