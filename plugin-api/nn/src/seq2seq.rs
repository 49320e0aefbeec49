//! The calls of an encoder–decoder, the same for all that are written over [`Reading`]; and the examples that it
//! learns from.

use tch::Tensor;
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::info::FieldInfo;
use tenon_plugin_api::model::{Build, Forward};
use tenon_plugin_api::record::Examples;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::{Result, ensure};

use crate::causal::{Reading, Tokens, seed};
use crate::loss::IGNORED;
use crate::packing::{Packing, Spans};

/// The head of an encoder–decoder: the next token at each position of the decoder.
pub const TOKENS: &str = "seq2seq-lm";

/// The fields of examples that [`example`] makes.
#[must_use]
pub fn fields() -> Vec<FieldInfo> {
    let decoder = FieldInfo::token_ids("decoder_input_ids");
    let labels = FieldInfo::ints("labels", IGNORED);
    vec![
        FieldInfo::token_ids("input_ids"),
        FieldInfo {
            length: false,
            ..decoder
        },
        FieldInfo {
            length: true,
            ..labels
        },
    ]
}

/// Adds the example of a pair of token sequences, for a decoder that begins with `start`.
pub fn example(source: &[i64], target: &[i64], start: i64, examples: &mut Examples) {
    let before = &target[..target.len().saturating_sub(1)];
    examples
        .example()
        .ints("input_ids", source)
        .ints("decoder_input_ids", &[&[start], before].concat())
        .ints("labels", target);
}

/// What encoder–decoders differ by. [`forward`], [`prefill`] and [`step`] are then those of
/// [`Model`](tenon_plugin_api::model::Model).
pub trait Seq2SeqModel {
    /// Hidden states of the sources, which lie at `spans`: `[rows, d]`.
    ///
    /// # Errors
    /// A token that the vocabulary lacks, a sequence that is too long; those of what is attached.
    fn encode(&self, tokens: &Tokens, spans: &Spans, forward: &Forward) -> Result<Tensor>;

    /// Hidden states of the decoder's tokens: `[rows, d]`. Its attention reads `source`, or of a cache what it read
    /// before.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn decode(
        &self,
        tokens: &Tokens,
        reading: &mut Reading<'_>,
        source: Option<&Source>,
        forward: &Forward,
    ) -> Result<Tensor>;

    /// Scores of the next token: `[rows, d]` to `[rows, vocab]`.
    ///
    /// # Errors
    /// Those of libtorch.
    fn logits(&self, hidden: &Tensor) -> Result<Tensor>;
}

/// What the encoder made of the sources.
#[derive(Debug)]
pub struct Source {
    /// `[rows, d]`.
    pub states: Tensor,
    /// Where each source lies.
    pub spans: Spans,
}

impl Source {
    /// Encodes `input_ids`.
    fn of(model: &impl Seq2SeqModel, inputs: &TensorMap, forward: &Forward) -> Result<Self> {
        let (tokens, packing) = Tokens::sequences(inputs)?;
        seed(forward, tokens.ids.device());
        let spans = packing.spans().clone();
        Ok(Self {
            states: model.encode(&tokens, &spans, forward)?,
            spans,
        })
    }

    /// Holds the number of targets against that of sources.
    fn check(&self, targets: &Spans) -> Result<()> {
        let (sources, targets) = (self.spans.sequences(), targets.sequences());
        ensure!(
            sources == targets,
            Tensor,
            "{targets} rows of decoder_input_ids for {sources} of input_ids"
        );
        Ok(())
    }
}

/// Refuses another head than [`TOKENS`]; without one, a model is built as with it.
///
/// # Errors
/// The task asks for another one.
pub fn check_head(model: &str, build: &Build) -> Result<()> {
    if let Some(head) = build.head() {
        ensure!(
            head.kind == TOKENS,
            Unsupported,
            "building {model}: no head `{}`; it has `{TOKENS}`",
            head.kind
        );
    }
    Ok(())
}

/// Whole pairs: [`Model::forward`](tenon_plugin_api::model::Model::forward).
///
/// # Errors
/// Inputs that do not fit, and those of the model.
pub fn forward(
    model: &impl Seq2SeqModel,
    inputs: &TensorMap,
    forward: &Forward,
) -> Result<TensorMap> {
    let source = Source::of(model, inputs, forward)?;
    let (tokens, packing) = Tokens::targets(inputs)?;
    source.check(packing.spans())?;
    let mut reading = Reading::Sequences(packing.spans());
    let hidden = model.decode(&tokens, &mut reading, Some(&source), forward)?; // [rows, d]
    let logits = match inputs.get("labels") {
        Some(labels) => labelled(model, &hidden, labels, &packing)?, // [n, vocab]
        None => packing.unpack(&model.logits(&hidden)?)?,            // [batch, time, vocab]
    };
    Ok(TensorMap::new().with("logits", logits))
}

/// Logits of the tokens that have labels, row by row: `[n, vocab]`.
fn labelled(
    model: &impl Seq2SeqModel,
    hidden: &Tensor,
    labels: &Tensor,
    packing: &Packing,
) -> Result<Tensor> {
    let tokens = packing.spans().tokens();
    let labelled = packing.labelled(labels)?;
    if labelled.size()[0] == tokens {
        // all rows, filler included, are as many as products gain from
        return Ok(model.logits(hidden)?.f_narrow(0, 0, tokens)?);
    }
    model.logits(&hidden.f_index_select(0, &labelled)?)
}

/// The sources, and how the decoder begins: [`Model::prefill`](tenon_plugin_api::model::Model::prefill).
///
/// # Errors
/// As [`forward()`].
pub fn prefill(
    model: &impl Seq2SeqModel,
    inputs: &TensorMap,
    cache: &mut Cache,
    forward: &Forward,
) -> Result<TensorMap> {
    let source = Source::of(model, inputs, forward)?;
    let (tokens, packing) = Tokens::beginnings(inputs, cache)?;
    source.check(packing.spans())?;
    let wants_hidden = cache.wants_hidden();
    let mut reading = Reading::Prompts(packing.spans(), cache);
    let hidden = model.decode(&tokens, &mut reading, Some(&source), forward)?; // [rows, d]
    let lasts = packing.spans().lasts(hidden.device())?;
    let last = hidden.f_index_select(0, &lasts)?; // [prompts, d]
    let outputs = TensorMap::new().with("logits", model.logits(&last)?);
    Ok(match wants_hidden {
        true => outputs.with("hidden", packing.unpack(&hidden)?),
        false => outputs,
    })
}

/// One token more for each row: [`Model::step`](tenon_plugin_api::model::Model::step).
///
/// # Errors
/// As [`prefill`].
pub fn step(
    model: &impl Seq2SeqModel,
    inputs: &TensorMap,
    cache: &mut Cache,
    forward: &Forward,
) -> Result<TensorMap> {
    let tokens = Tokens::next(inputs, cache)?;
    let wants_hidden = cache.wants_hidden();
    let hidden = model.decode(&tokens, &mut Reading::Next(cache), None, forward)?; // [rows, d]
    let outputs = TensorMap::new().with("logits", model.logits(&hidden)?);
    Ok(match wants_hidden {
        true => outputs.with("hidden", hidden),
        false => outputs,
    })
}
