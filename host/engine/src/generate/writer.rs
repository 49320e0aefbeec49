//! A run's decoding: the session's model, tokenizer and settings put together, over any number of prompts.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tenon_core::config::ComponentSettings;
use tenon_core::data::{
    Batch, BatchSize, Buffer, Loader, LoaderOptions, Order, Plan, PlanOptions, Prepared, rng,
};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::processor::Decoding;

use super::chain::Chain;
use super::stop::Stops;
use super::{Engine, OnToken, Prompt, Strategy, Written, generate, merged, processors};
use crate::session::Session;

/// Texts that were written for one prompt, the best first.
pub type Texts = Vec<(String, Written)>;

/// Writes for a session.
pub struct Writer<'a> {
    session: &'a Session,
    strategy: Strategy,
    chain: Chain,
}

impl<'a> Writer<'a> {
    /// Resolves what the run file, the task and the model ask for.
    ///
    /// # Errors
    /// Options that do not go together, a token that the vocabulary does not have, a processor that refuses.
    pub fn new(session: &'a Session) -> Result<Self> {
        let settings = &session.settings;
        let folder = session.pretrained.as_deref();
        let options = merged(&settings.generation, &session.task_info.generation, folder)?;
        let seed = rng::derive_seed(settings.run.seed, 0, 0, "generation");
        let tokenizer = session.tokenizer.as_tokenizer();
        let strategy = Strategy::new(&options, &tokenizer, seed)?;
        let config = session
            .config
            .get("vocab_size")
            .and_then(serde_json::Value::as_u64);
        let decoding = Decoding {
            vocab_size: config.map_or(tokenizer.vocab_size(), |size| size as usize),
            eos: strategy.eos.clone(),
            bos: tokenizer.special("bos"),
            pad: tokenizer.special("pad"),
            max_length: session.model_info.max_length,
            num_beams: strategy.beams,
            encoder_decoder: session.facts.is_encoder_decoder(),
        };
        let mut chain = Chain::default();
        let (before, drawing): (Vec<_>, Vec<_>) =
            (strategy.processors.iter()).partition(|(name, _)| !DRAWING.contains(name));
        for (name, options) in before {
            chain.push(
                name,
                processors::create(name, &options.to_string())?,
                &decoding,
            )?;
        }
        for component in &settings.processors {
            chain.push(&component.id, open(session, component)?, &decoding)?;
        }
        for (name, options) in drawing {
            chain.push(
                name,
                processors::create(name, &options.to_string())?,
                &decoding,
            )?;
        }
        Ok(Self {
            session,
            strategy,
            chain,
        })
    }

    /// Keeps the log-probability of every token.
    #[must_use]
    pub fn with_log_probs(mut self) -> Self {
        self.strategy.log_probs = true;
        self
    }

    /// What it does.
    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// The prompts of a prepared set, in its order, with the row that each was made of.
    ///
    /// # Errors
    /// A prompt lacks a field, or cannot be read.
    pub fn prompts(&self, prepared: &Arc<Prepared>) -> Result<Vec<(usize, Prompt)>> {
        let options = PlanOptions {
            batch: BatchSize::Examples(1),
            order: Order::Sequential,
            ..PlanOptions::default()
        };
        let plan = Plan::new(Arc::clone(prepared.lengths()), options)?;
        let loader = Loader::new(
            Arc::clone(prepared),
            Arc::new(plan),
            LoaderOptions::default(),
        );
        let prompt = |batch: Result<Batch, _>| -> Result<(usize, Prompt)> {
            let batch = batch?;
            let number = batch.examples.first().copied().unwrap_or(0);
            let row = batch.rows.first().copied().unwrap_or(0);
            Ok((row, self.prompt(&batch, number)?))
        };
        loader.map(prompt).collect()
    }

    fn prompt(&self, batch: &Batch, number: usize) -> Result<Prompt> {
        let tokenizer = self.session.tokenizer.as_tokenizer();
        let read =
            ids(batch, "input_ids")?.context("the task's prompts have no field `input_ids`")?;
        if !self.session.facts.is_encoder_decoder() {
            let mut tokens = read;
            if tokens.is_empty() {
                // As `transformers` begins where there is no prompt.
                tokens.extend(tokenizer.special("bos").or(tokenizer.special("eos")));
            }
            return Ok(Prompt {
                number,
                tokens,
                source: Vec::new(),
            });
        }
        let begin = self.session.facts.decoder_start_token_id;
        let begin = begin.and_then(|token| u32::try_from(token).ok());
        let tokens = match ids(batch, "decoder_input_ids")? {
            Some(tokens) => tokens,
            None => vec![begin.context(
                "the model's config.json has no decoder_start_token_id, and the task gives no decoder_input_ids",
            )?],
        };
        Ok(Prompt {
            number,
            tokens,
            source: read,
        })
    }

    /// Writes on from prompts. `each` is given the texts of each prompt, by its place among `prompts`, batch by
    /// batch.
    ///
    /// # Errors
    /// A prompt is empty or too long, the model or a processor fails, or the user stops it.
    pub fn write(
        &self,
        prompts: &[Prompt],
        mut each: impl FnMut(usize, Texts) -> Result<()>,
    ) -> Result<()> {
        // Like lengths together, the longest first, so that little is filled up and memory is known at once.
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        let length = |at: &usize| (prompts[*at].source.len(), prompts[*at].tokens.len());
        order.sort_by_key(|at| std::cmp::Reverse(length(at)));
        for batch in order.chunks(self.strategy.batch_size.max(1)) {
            let chosen: Vec<Prompt> = batch.iter().map(|at| prompts[*at].clone()).collect();
            let written = self.generate(&chosen, None)?;
            for (at, texts) in batch.iter().zip(written) {
                each(*at, texts)?;
            }
        }
        Ok(())
    }

    /// Writes on from one prompt, telling of every token as soon as it is certain.
    ///
    /// # Errors
    /// As [`Writer::write`]; beam search, which is certain of nothing before its end.
    pub fn stream(&self, prompt: Prompt, on_token: OnToken<'_>) -> Result<Texts> {
        if self.strategy.beams > 1 {
            bail!(
                "beam search cannot be streamed: which text is the best is known at its end only"
            );
        }
        let texts = self.generate(&[prompt], Some(on_token))?;
        Ok(texts.into_iter().next().unwrap_or_default())
    }

    fn generate(&self, prompts: &[Prompt], on_token: Option<OnToken<'_>>) -> Result<Vec<Texts>> {
        let tokenizer = self.session.tokenizer.as_tokenizer();
        let stop = Stops::new(self.session.tokenizer.as_tokenizer(), &self.strategy.stop);
        let engine = Engine {
            model: &self.session.model,
            device: self.session.device,
            context: self.session.model_info.max_length,
            strategy: &self.strategy,
            chain: &self.chain,
            stop: &stop,
        };
        let _guard = tch::no_grad_guard();
        let target = self.session.facts.is_encoder_decoder();
        let text = |written: Written| -> Result<(String, Written)> {
            let skip = !self.strategy.keep_special_tokens;
            let text = match target {
                true => tokenizer.decode_target(&written.tokens, skip),
                false => tokenizer.decode(&written.tokens, skip),
            };
            Ok((stop.cut(&text.map_err(StdError)?).to_owned(), written))
        };
        generate(&engine, prompts, on_token)?
            .into_iter()
            .map(|texts| texts.into_iter().map(text).collect())
            .collect()
    }
}

/// Processors that come last: what they leave is drawn from.
const DRAWING: [&str; 5] = ["temperature", "top-k", "top-p", "min-p", "typical-p"];

fn open(
    session: &Session,
    component: &ComponentSettings,
) -> Result<tenon_plugin_api::host::ProcessorHandle> {
    let plugin = session.registry.open(&component.plugin)?;
    let options = serde_json::to_string(&component.options)?;
    plugin
        .processor(&component.id, &options)
        .map_err(StdError)
        .with_context(|| format!("processor {}", component.id))
}

/// The tokens of a field of a batch of one.
fn ids(batch: &Batch, name: &str) -> Result<Option<Vec<u32>>> {
    let Some(field) = batch.fields.iter().find(|field| field.name == name) else {
        return Ok(None);
    };
    let Buffer::Ints(values) = &field.data else {
        bail!("the field `{name}` of a prompt holds no integers");
    };
    let id = |value: &i64| u32::try_from(*value).with_context(|| format!("{value} is no token"));
    values.iter().map(id).collect::<Result<_>>().map(Some)
}
