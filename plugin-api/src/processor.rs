//! Processors: what changes the scores of the next token while text is generated. No libtorch is needed.
//!
//! The host computes the scores of every token of the vocabulary, passes them through the processors of the run one
//! after the other, and then takes the best token, goes on with beams, or draws one. A processor lowers scores
//! that it does not like, down to [`f32::NEG_INFINITY`] for what is forbidden.

use serde::{Deserialize, Serialize};

use crate::abi::processor::{ProcessorObject, ProcessorObject_TO, RawSequence};
use crate::abi::{AbiResult, RBox, RStr, TD_Opaque, from_json};
use crate::error::Result;
use crate::options::Options;
use crate::panic::{Contained, guard};
use abi_stable::std_types::RSliceMut;

/// What a processor author imports.
pub mod prelude {
    pub use super::{Decoding, Processor, Sequence};
    pub use crate::error::{Context as _, Error, ErrorCode, Result};
    pub use crate::options::Options;
    pub use crate::{bail, ensure, register};
}

/// A processor of scores, such as a repetition penalty or top-p filtering.
///
/// What it does depends on the sequence alone, so that beams may be reordered and rows computed in any order.
pub trait Processor: Sized + Send + Sync + 'static {
    /// The name that users write, in kebab-case.
    const ID: &'static str;
    /// One line on what it does, for `tenon plugin inspect`.
    const ABOUT: &'static str = "";
    /// What a run file may set.
    type Options: Options;

    /// Creates the processor from its options.
    ///
    /// # Errors
    /// The options do not fit together.
    fn new(options: Self::Options) -> Result<Self>;

    /// Told before the first token what is being decoded.
    ///
    /// # Errors
    /// It cannot work on that, such as a token that the vocabulary does not have.
    fn begin(&mut self, _decoding: &Decoding) -> Result<()> {
        Ok(())
    }

    /// Changes the scores of the next token of a sequence: `scores` `[vocab]`, logits when one token is taken or
    /// drawn, log-probabilities under beam search. Called from several threads at once.
    ///
    /// # Errors
    /// The sequence is not what it can work on.
    fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()>;
}

/// What is being decoded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decoding {
    /// The number of scores.
    pub vocab_size: usize,
    /// Tokens that end a sequence.
    #[serde(default)]
    pub eos: Vec<u32>,
    /// The token that begins one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos: Option<u32>,
    /// The token that fills up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad: Option<u32>,
    /// The most tokens of a sequence, prompt included.
    #[serde(default)]
    pub max_length: usize,
    /// Beams of a prompt, 1 without beam search.
    #[serde(default)]
    pub num_beams: usize,
    /// Whether the prompt is read by an encoder, so that sequences begin with a start token only.
    #[serde(default)]
    pub encoder_decoder: bool,
}

/// A sequence that is being written.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Its tokens so far: the prompt, and what was written.
    pub tokens: &'a [u32],
    /// How many of them are the prompt.
    pub prompt: usize,
    /// The tokens that the encoder read; empty for a causal model.
    pub source: &'a [u32],
    /// The tokens that beams of earlier groups of the same prompt have taken at this step, for diverse beam search.
    pub siblings: &'a [u32],
}

impl<'a> Sequence<'a> {
    /// The tokens that were written after the prompt.
    #[must_use]
    pub fn written(&self) -> &'a [u32] {
        self.tokens.get(self.prompt..).unwrap_or_default()
    }
}

struct Adapter<P>(Contained<P>);

impl<P: Processor> ProcessorObject for Adapter<P> {
    fn begin(&mut self, decoding: RStr<'_>) -> AbiResult<()> {
        guard(P::ID, || self.0.begin(&from_json(decoding.as_str())?))
    }

    fn process(&self, sequence: RawSequence<'_>, mut scores: RSliceMut<'_, f32>) -> AbiResult<()> {
        guard(P::ID, || {
            let sequence = Sequence {
                tokens: sequence.tokens.as_slice(),
                prompt: sequence.prompt as usize,
                source: sequence.source.as_slice(),
                siblings: sequence.siblings.as_slice(),
            };
            self.0.process(sequence, scores.as_mut_slice())
        })
    }
}

/// Creates a processor from its options as JSON; what `register!` puts in the plugin's table.
pub fn create<P: Processor>(options: &str) -> AbiResult<ProcessorObject_TO<'static, RBox<()>>> {
    guard(P::ID, || {
        let processor = P::new(P::Options::from_json(options)?)?;
        Ok(ProcessorObject_TO::from_value(
            Adapter(Contained::new(P::ID, processor)),
            TD_Opaque,
        ))
    })
}
