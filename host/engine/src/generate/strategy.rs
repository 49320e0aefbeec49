//! What a decoding does, resolved: `[generation]` of the run file, over what the task asks for, over the model's
//! `generation_config.json`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use tenon_core::config::options::{EarlyStopping, GenerationOptions, OneOrMany, TokenName};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::tokenizer::{Encode, Tokenizer};

/// When beam search ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// When there are enough texts.
    Enough,
    /// When a better one is unlikely.
    Unlikely,
    /// When there can be no better one.
    Never,
}

/// What a decoding does.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// The most tokens of a text.
    pub max_new_tokens: usize,
    /// Beams of a prompt.
    pub beams: usize,
    /// Groups of beams.
    pub groups: usize,
    /// Exponent of the length.
    pub length_penalty: f32,
    /// When beam search ends.
    pub early: Early,
    /// Texts of a prompt.
    pub returns: usize,
    /// Whether tokens are drawn.
    pub sample: bool,
    /// Candidates of contrastive search.
    pub top_k: usize,
    /// Weight of contrastive search's penalty.
    pub alpha: Option<f32>,
    /// Tokens that end a text.
    pub eos: Vec<u32>,
    /// Texts that end one.
    pub stop: Vec<String>,
    /// Tokens that every text begins with.
    pub prefix: Vec<u32>,
    /// Whether special tokens stay in the text.
    pub keep_special_tokens: bool,
    /// Prompts at a time.
    pub batch_size: usize,
    /// Whether log-probabilities are kept.
    pub log_probs: bool,
    /// Seed of all draws.
    pub seed: u64,
    /// The processors that this amounts to, with their options, in order.
    pub processors: Vec<(&'static str, Value)>,
}

/// The options of a decoding, those that weigh more over the others.
///
/// # Errors
/// What the task or the file asks for is not understood.
pub fn merged(
    run: &GenerationOptions,
    task: &Map<String, Value>,
    folder: Option<&Path>,
) -> Result<GenerationOptions> {
    let mut all = match folder.map(|folder| folder.join("generation_config.json")) {
        Some(path) if path.is_file() => file_options(&path)?,
        _ => Map::new(),
    };
    all.extend(task.iter().map(|(key, value)| (key.clone(), value.clone())));
    let Value::Object(own) = serde_json::to_value(run)? else {
        bail!("the options of [generation] are no table");
    };
    all.extend(own);
    serde_json::from_value(Value::Object(all)).context("the options of the generation")
}

/// What a `generation_config.json` says, in our keys. It decides what the model is for (tokens, beams), not how
/// long texts are.
fn file_options(path: &Path) -> Result<Map<String, Value>> {
    let reading = || format!("reading {}", path.display());
    let text = std::fs::read_to_string(path).with_context(reading)?;
    let file: Map<String, Value> = serde_json::from_str(&text).with_context(reading)?;
    const SAME: [&str; 21] = [
        "num_beams",
        "num_beam_groups",
        "diversity_penalty",
        "length_penalty",
        "early_stopping",
        "do_sample",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "penalty_alpha",
        "repetition_penalty",
        "encoder_repetition_penalty",
        "no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size",
        "min_new_tokens",
        "max_new_tokens",
        "suppress_tokens",
        "begin_suppress_tokens",
        "stop_strings",
    ];
    const RENAMED: [(&str, &str); 3] = [
        ("forced_bos_token_id", "forced_bos_token"),
        ("forced_eos_token_id", "forced_eos_token"),
        ("eos_token_id", "eos_token"),
    ];
    let same = SAME.iter().map(|key| (*key, *key));
    let mut options = Map::new();
    for (from, to) in same.chain(RENAMED) {
        if let Some(value) = file.get(from).filter(|value| !value.is_null()) {
            options.insert(to.to_owned(), value.clone());
        }
    }
    // Words that are one token each, as `pad` in Marian's models, are tokens that are not written.
    let bad = file.get("bad_words_ids").and_then(Value::as_array);
    let single = |word: &Value| match word.as_array().map(Vec::as_slice) {
        Some([token]) => Some(token.clone()),
        _ => None,
    };
    let bad: Vec<Value> = bad.into_iter().flatten().filter_map(single).collect();
    if !bad.is_empty() {
        let known = options
            .entry("suppress_tokens")
            .or_insert_with(|| json!([]));
        if let Value::Array(known) = known {
            known.extend(bad);
        }
    }
    Ok(options)
}

impl Strategy {
    /// Resolves options with a tokenizer.
    ///
    /// # Errors
    /// A token that the vocabulary does not have, or options that do not go together.
    pub fn new(options: &GenerationOptions, tokenizer: &Tokenizer<'_>, seed: u64) -> Result<Self> {
        let eos = match &options.eos_token {
            Some(OneOrMany::One(name)) => vec![token(name, tokenizer, "eos_token")?],
            Some(OneOrMany::Many(names)) => tokens(names, tokenizer, "eos_token")?,
            None => tokenizer.special("eos").into_iter().collect(),
        };
        let number = |value: Option<u32>, default: u32| value.unwrap_or(default) as usize;
        let prefix = match &options.prefix {
            Some(text) => plain(text, tokenizer)?,
            None => Vec::new(),
        };
        let mut strategy = Self {
            max_new_tokens: number(options.max_new_tokens, 128),
            beams: number(options.num_beams, 1),
            groups: number(options.num_beam_groups, 1),
            length_penalty: options.length_penalty.unwrap_or(1.0),
            early: match options.early_stopping {
                None | Some(EarlyStopping::When(false)) => Early::Unlikely,
                Some(EarlyStopping::When(true)) => Early::Enough,
                Some(EarlyStopping::Word(_)) => Early::Never,
            },
            returns: number(options.num_return_sequences, 1),
            sample: options.do_sample.unwrap_or(false),
            top_k: number(options.top_k, 50),
            alpha: options.penalty_alpha.filter(|alpha| *alpha > 0.0),
            eos,
            stop: options.stop_strings.clone().unwrap_or_default(),
            prefix,
            keep_special_tokens: options.keep_special_tokens.unwrap_or(false),
            batch_size: number(options.batch_size, 16),
            log_probs: false,
            seed,
            processors: Vec::new(),
        };
        strategy.check(options)?;
        strategy.processors = strategy.built_in(options, tokenizer)?;
        Ok(strategy)
    }

    fn check(&self, options: &GenerationOptions) -> Result<()> {
        let (beams, groups, returns) = (self.beams, self.groups, self.returns);
        ensure!(
            beams.is_multiple_of(groups),
            "generation.num_beam_groups: {beams} beams do not divide into {groups} groups"
        );
        ensure!(
            beams == 1 || returns <= beams,
            "generation.num_return_sequences: {returns} texts of {beams} beams; raise num_beams"
        );
        ensure!(
            beams > 1 || returns == 1 || self.sample,
            "generation.num_return_sequences: {returns} texts would all be the same; set do_sample = true or num_beams"
        );
        ensure!(
            self.alpha.is_none() || (beams == 1 && !self.sample && returns == 1),
            "generation.penalty_alpha: contrastive search goes with neither beams nor sampling"
        );
        ensure!(
            groups == 1 || !self.sample,
            "generation.num_beam_groups: diverse beam search goes with no sampling"
        );
        ensure!(
            groups == 1
                || options
                    .diversity_penalty
                    .is_some_and(|penalty| penalty > 0.0),
            "generation.num_beam_groups: without diversity_penalty all groups write the same"
        );
        let drawn = [
            (
                "temperature",
                options.temperature.is_some_and(|value| value != 1.0),
            ),
            ("top_p", options.top_p.is_some_and(|value| value < 1.0)),
            ("min_p", options.min_p.is_some_and(|value| value > 0.0)),
            (
                "typical_p",
                options.typical_p.is_some_and(|value| value < 1.0),
            ),
        ];
        for (key, set) in drawn {
            if set && !self.sample {
                tracing::warn!("generation.{key} has no effect without do_sample = true");
            }
        }
        Ok(())
    }

    /// The processors that the options amount to, in the order of `transformers`.
    fn built_in(
        &self,
        options: &GenerationOptions,
        tokenizer: &Tokenizer<'_>,
    ) -> Result<Vec<(&'static str, Value)>> {
        let mut list = Vec::new();
        let mut add = |name: &'static str, value: Value| list.push((name, value));
        if let Some(penalty) = options.encoder_repetition_penalty.filter(|p| *p != 1.0) {
            add("encoder-repetition-penalty", json!({ "penalty": penalty }));
        }
        if let Some(penalty) = options.repetition_penalty.filter(|p| *p != 1.0) {
            add("repetition-penalty", json!({ "penalty": penalty }));
        }
        let presence = options.presence_penalty.unwrap_or(0.0);
        let frequency = options.frequency_penalty.unwrap_or(0.0);
        if presence != 0.0 || frequency != 0.0 {
            add(
                "presence-penalty",
                json!({ "presence": presence, "frequency": frequency }),
            );
        }
        if let Some(size) = options.no_repeat_ngram_size.filter(|size| *size > 0) {
            add("no-repeat-ngram", json!({ "size": size }));
        }
        if let Some(size) = options
            .encoder_no_repeat_ngram_size
            .filter(|size| *size > 0)
        {
            add("encoder-no-repeat-ngram", json!({ "size": size }));
        }
        if let Some(words) = options.bad_words.as_ref().filter(|words| !words.is_empty()) {
            add(
                "bad-words",
                json!({ "words": spellings(words, tokenizer)? }),
            );
        }
        if let Some(least) = options.min_new_tokens.filter(|least| *least > 0) {
            add("min-new-tokens", json!({ "least": least }));
        }
        if let Some(name) = &options.forced_bos_token {
            let token = token(name, tokenizer, "forced_bos_token")?;
            add("forced-bos-token", json!({ "token": token }));
        }
        if !self.prefix.is_empty() {
            add("prefix", json!({ "tokens": self.prefix }));
        }
        if let Some(name) = &options.forced_eos_token {
            let token = token(name, tokenizer, "forced_eos_token")?;
            add(
                "forced-eos-token",
                json!({ "token": token, "most": self.max_new_tokens }),
            );
        }
        if let Some(names) = options
            .suppress_tokens
            .as_ref()
            .filter(|names| !names.is_empty())
        {
            let tokens = tokens(names, tokenizer, "suppress_tokens")?;
            add("suppress-tokens", json!({ "tokens": tokens }));
        }
        if let Some(names) = options
            .begin_suppress_tokens
            .as_ref()
            .filter(|n| !n.is_empty())
        {
            let tokens = tokens(names, tokenizer, "begin_suppress_tokens")?;
            add(
                "suppress-tokens",
                json!({ "tokens": tokens, "first_only": true }),
            );
        }
        if self.groups > 1 {
            add(
                "diversity-penalty",
                json!({ "penalty": options.diversity_penalty }),
            );
        }
        list.extend(self.drawing(options));
        Ok(list)
    }

    /// Processors that only count where tokens are drawn.
    fn drawing(&self, options: &GenerationOptions) -> Vec<(&'static str, Value)> {
        let mut list = Vec::new();
        if !self.sample {
            return list;
        }
        // Beams need a token besides those that end a text.
        let keep = if self.beams > 1 {
            self.eos.len() + 1
        } else {
            1
        };
        if let Some(value) = options.temperature.filter(|value| *value != 1.0) {
            list.push(("temperature", json!({ "temperature": value })));
        }
        if self.top_k > 0 {
            list.push(("top-k", json!({ "k": self.top_k, "keep": keep })));
        }
        let shares = [
            ("top-p", options.top_p.filter(|value| *value < 1.0)),
            ("min-p", options.min_p.filter(|value| *value > 0.0)),
            ("typical-p", options.typical_p.filter(|value| *value < 1.0)),
        ];
        for (name, value) in shares {
            if let Some(value) = value {
                list.push((name, json!({ "p": value, "keep": keep })));
            }
        }
        list
    }
}

/// Tokens of a text without special ones.
fn plain(text: &str, tokenizer: &Tokenizer<'_>) -> Result<Vec<u32>> {
    let how = Encode {
        no_special_tokens: true,
        ..Encode::default()
    };
    let encoded = tokenizer.encode(text, &how).map_err(StdError)?;
    Ok(encoded.ids.iter().map(|id| *id as u32).collect())
}

/// Each word as it is tokenized at the beginning of a text and after a space.
fn spellings(words: &[String], tokenizer: &Tokenizer<'_>) -> Result<Vec<Vec<u32>>> {
    let mut all = Vec::new();
    for word in words {
        for text in [word.clone(), format!(" {word}")] {
            let tokens = plain(&text, tokenizer)?;
            if !tokens.is_empty() && !all.contains(&tokens) {
                all.push(tokens);
            }
        }
    }
    Ok(all)
}

fn token(name: &TokenName, tokenizer: &Tokenizer<'_>, key: &str) -> Result<u32> {
    match name {
        TokenName::Id(id) => Ok(*id),
        TokenName::Name(name) => tokenizer
            .token_id(name)
            .with_context(|| format!("generation.{key}: the tokenizer has no token {name:?}")),
    }
}

fn tokens(names: &[TokenName], tokenizer: &Tokenizer<'_>, key: &str) -> Result<Vec<u32>> {
    names
        .iter()
        .map(|name| token(name, tokenizer, key))
        .collect()
}
