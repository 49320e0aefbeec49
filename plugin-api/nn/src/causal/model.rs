//! The calls of a causal language model, the same for all that are written over [`Reading`].

use tch::Tensor;
use tenon_plugin_api::Result;
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tensor::TensorMap;

use super::{Head, Reading, Tokens, nothing_before, seed};
use crate::packing::Spans;

/// What causal language models differ by: tokens go through [`embed`](Self::embed), [`read`](Self::read) and
/// [`norm`](Self::norm) to a head. [`forward`], [`prefill`] and [`step`] are then those of
/// [`Model`](tenon_plugin_api::model::Model).
pub trait CausalModel {
    /// What the tokens, in sequences at `spans`, enter the first layer as: `[rows, hidden]`, and where the
    /// sequences lie then, which is elsewhere when what is attached has put tokens before them.
    ///
    /// # Errors
    /// A token that the vocabulary lacks, a sequence that is too long.
    fn embed(&self, tokens: &Tokens, spans: &Spans, forward: &Forward) -> Result<(Tensor, Spans)>;

    /// Passes `x` `[rows, hidden]`, rows at `positions` of their sequences, through the layers.
    ///
    /// # Errors
    /// Those of libtorch and of what is attached.
    fn read(
        &self,
        x: Tensor,
        positions: &[i64],
        reading: &mut Reading<'_>,
        forward: &Forward,
    ) -> Result<Tensor>;

    /// The norm after the last layer.
    ///
    /// # Errors
    /// Those of libtorch.
    fn norm(&self, x: &Tensor) -> Result<Tensor>;

    /// The head.
    fn head(&self) -> &Head;
}

/// Whole sequences: [`Model::forward`](tenon_plugin_api::model::Model::forward).
///
/// # Errors
/// Inputs that do not fit, and those of the model.
pub fn forward(
    model: &impl CausalModel,
    inputs: &TensorMap,
    forward: &Forward,
) -> Result<TensorMap> {
    let (tokens, packing) = Tokens::sequences(inputs)?;
    seed(forward, tokens.ids.device());
    let (x, spans) = model.embed(&tokens, packing.spans(), forward)?;
    let positions = spans.positions();
    let hidden = model.read(x, &positions, &mut Reading::Sequences(&spans), forward)?;
    let hidden = spans.without_front(&hidden, packing.spans())?;
    let hidden = model.norm(&hidden)?;
    let labels = inputs.get("labels");
    (model.head()).forward(&hidden, &tokens.ids, &packing, labels, forward)
}

/// The prompts of a decoding: [`Model::prefill`](tenon_plugin_api::model::Model::prefill).
///
/// # Errors
/// As [`forward()`]; tokens that what is attached puts before a text that is written.
pub fn prefill(
    model: &impl CausalModel,
    inputs: &TensorMap,
    cache: &mut Cache,
    forward: &Forward,
) -> Result<TensorMap> {
    let (tokens, packing) = Tokens::prompts(inputs, cache)?;
    let spans = packing.spans();
    let (x, grown) = model.embed(&tokens, spans, forward)?;
    if grown != *spans {
        return Err(nothing_before("embeddings"));
    }
    let wants_hidden = cache.wants_hidden();
    let mut reading = Reading::Prompts(spans, cache);
    let x = model.read(x, &tokens.positions, &mut reading, forward)?;
    let lasts = spans.lasts(x.device())?;
    let last = model.norm(&x.f_index_select(0, &lasts)?)?; // [prompts, hidden]
    let outputs = TensorMap::new().with("logits", model.head().next(&last)?);
    Ok(match wants_hidden {
        true => outputs.with("hidden", packing.unpack(&model.norm(&x)?)?),
        false => outputs,
    })
}

/// One token more for each row: [`Model::step`](tenon_plugin_api::model::Model::step).
///
/// # Errors
/// As [`prefill`].
pub fn step(
    model: &impl CausalModel,
    inputs: &TensorMap,
    cache: &mut Cache,
    forward: &Forward,
) -> Result<TensorMap> {
    let tokens = Tokens::next(inputs, cache)?;
    let ones = Spans::from_lengths(&vec![1; tokens.positions.len()]);
    let (x, grown) = model.embed(&tokens, &ones, forward)?;
    if grown != ones {
        return Err(nothing_before("embeddings"));
    }
    let wants_hidden = cache.wants_hidden();
    let x = model.read(x, &tokens.positions, &mut Reading::Next(cache), forward)?;
    let hidden = model.norm(&x)?; // [rows, hidden]
    let outputs = TensorMap::new().with("logits", model.head().next(&hidden)?);
    Ok(match wants_hidden {
        true => outputs.with("hidden", hidden),
        false => outputs,
    })
}
