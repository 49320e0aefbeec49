//! Generation: text from prompts, by greedy decoding, beam search, sampling or contrastive search.
//!
//! A model only reads prompts ([`prefill`](tenon_plugin_api::model::Model::prefill)) and goes on by a token
//! ([`step`](tenon_plugin_api::model::Model::step)); all else is here. Results do not depend on how prompts are
//! put into batches: every draw is seeded by the prompt's number, the text's and the position.
//!
//! Reading order: [`strategy`] (what the settings ask for) → [`generate`] → [`single`], [`beam`], [`contrastive`]
//! (the loops) → [`decoder`] (model and cache) → [`chain`] and [`processors`] (what changes the scores).

mod beam;
mod chain;
mod contrastive;
mod decoder;
mod each;
mod processors;
mod scores;
mod single;
mod stop;
mod strategy;
mod writer;

#[cfg(test)]
mod tests;

pub use decoder::Prompt;
pub use strategy::{Strategy, merged};
pub use writer::Writer;

use anyhow::{Result, ensure};
use tenon_plugin_api::host::ModelHandle;

use chain::Chain;
use decoder::Target;

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a token that ends sequences.
    Eos,
    /// At a stop string.
    Stop,
    /// At the most tokens.
    Length,
}

impl End {
    /// As it stands in the output of `tenon predict`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// A text that was written, in tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The tokens after the prompt, without the one that ended them.
    pub tokens: Vec<u32>,
    /// The log-probability of each token that was written, the one at the end included, under the model before
    /// any processor; empty unless asked for, and under beam search.
    pub log_probs: Vec<f32>,
    /// Under beam search the sum of log-probabilities divided by the length to the power of the length penalty.
    pub score: Option<f32>,
    /// Why it ended.
    pub end: End,
}

/// Told of every token as soon as it is certain: the prompt's number and the token.
pub type OnToken<'a> = &'a mut dyn FnMut(usize, u32) -> Result<()>;

/// What a decoding needs besides its prompts.
pub struct Engine<'a> {
    /// The model.
    pub model: &'a ModelHandle,
    /// Where it computes.
    pub device: tch::Device,
    /// The most tokens of a sequence that the model takes, 0 without a limit.
    pub context: usize,
    /// What to do.
    pub strategy: &'a Strategy,
    /// What changes the scores.
    pub chain: &'a Chain,
    /// Whether a text holds a stop string.
    pub stop: &'a stop::Stops<'a>,
}

/// Writes on from a batch of prompts, [`Strategy::returns`] texts each, the best first.
///
/// # Errors
/// A prompt is empty or fills the context, the model or a processor fails, or the user stops it.
pub fn generate(
    engine: &Engine<'_>,
    prompts: &[Prompt],
    on_token: Option<OnToken<'_>>,
) -> Result<Vec<Vec<Written>>> {
    let limits = prompts
        .iter()
        .map(|prompt| limit(engine, prompt))
        .collect::<Result<Vec<_>>>()?;
    let target = Target {
        model: engine.model,
        device: engine.device,
        log_probs: engine.strategy.beams > 1,
    };
    let strategy = engine.strategy;
    match (strategy.beams, strategy.alpha) {
        (1, None) => single::run(engine, &target, prompts, &limits, on_token),
        (1, Some(alpha)) => contrastive::run(engine, &target, prompts, &limits, alpha, on_token),
        _ => beam::run(engine, &target, prompts, &limits),
    }
}

/// The most tokens that may be written after a prompt.
fn limit(engine: &Engine<'_>, prompt: &Prompt) -> Result<usize> {
    let length = prompt.tokens.len();
    ensure!(
        length > 0,
        "prompt {} is empty, and the tokenizer has no token to begin a text with",
        prompt.number + 1
    );
    let context = engine.context;
    ensure!(
        context == 0 || length < context,
        "prompt {} has {length} tokens, and the model takes {context} with what it writes: shorten it, or let \
         the task cut it",
        prompt.number + 1
    );
    let room = if context == 0 {
        usize::MAX
    } else {
        context - length
    };
    Ok(engine.strategy.max_new_tokens.min(room))
}
