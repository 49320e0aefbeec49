//! The processors in the box, one file each, through the same trait as those of plugins. Names are of the options
//! of `[generation]`; definitions are those of `transformers.generation.logits_process`, so that texts agree.

mod bad_words;
mod diversity_penalty;
mod encoder_no_repeat_ngram;
mod encoder_repetition_penalty;
mod forced_bos_token;
mod forced_eos_token;
mod min_new_tokens;
mod min_p;
mod no_repeat_ngram;
mod prefix;
mod presence_penalty;
mod repetition_penalty;
mod suppress_tokens;
mod temperature;
mod top_k;
mod top_p;
mod typical_p;

#[cfg(test)]
mod tests;

use anyhow::{Result, bail};
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::host::ProcessorHandle;
use tenon_plugin_api::processor::Processor;

const NEVER: f32 = f32::NEG_INFINITY;

type Create = fn(&str) -> tenon_plugin_api::Result<ProcessorHandle>;

fn entry<P: Processor>() -> (&'static str, Create) {
    (P::ID, ProcessorHandle::of::<P>)
}

/// The processor of that name, with options as JSON.
///
/// # Errors
/// There is none, or it refuses the options.
pub fn create(name: &str, options: &str) -> Result<ProcessorHandle> {
    let all: [(&str, Create); 17] = [
        entry::<bad_words::BadWords>(),
        entry::<diversity_penalty::DiversityPenalty>(),
        entry::<encoder_no_repeat_ngram::EncoderNoRepeatNgram>(),
        entry::<encoder_repetition_penalty::EncoderRepetitionPenalty>(),
        entry::<forced_bos_token::ForcedBosToken>(),
        entry::<forced_eos_token::ForcedEosToken>(),
        entry::<min_new_tokens::MinNewTokens>(),
        entry::<min_p::MinP>(),
        entry::<no_repeat_ngram::NoRepeatNgram>(),
        entry::<prefix::Prefix>(),
        entry::<presence_penalty::PresencePenalty>(),
        entry::<repetition_penalty::RepetitionPenalty>(),
        entry::<suppress_tokens::SuppressTokens>(),
        entry::<temperature::Temperature>(),
        entry::<top_k::TopK>(),
        entry::<top_p::TopP>(),
        entry::<typical_p::TypicalP>(),
    ];
    match all.iter().find(|(id, _)| *id == name) {
        Some((_, create)) => Ok(create(options).map_err(StdError)?),
        None => bail!("there is no processor `{name}`"),
    }
}

/// The score of a token, if the vocabulary has it.
fn at(scores: &mut [f32], token: u32) -> Option<&mut f32> {
    scores.get_mut(token as usize)
}

/// Forbids all tokens but these.
fn force(scores: &mut [f32], tokens: &[u32]) {
    scores.fill(NEVER);
    for token in tokens {
        if let Some(score) = at(scores, *token) {
            *score = 0.0;
        }
    }
}

/// The tokens that came, at any place of `tokens`, after what its last `size - 1` tokens are.
fn after_same<'a>(
    tokens: &'a [u32],
    last: &'a [u32],
    size: usize,
) -> impl Iterator<Item = u32> + 'a {
    let before = size - 1;
    let end = (last.len() >= before).then(|| &last[last.len() - before..]);
    let windows = tokens.windows(size);
    windows
        .filter(move |window| end.is_some_and(|end| window[..before] == *end))
        .map(move |window| window[before])
}
