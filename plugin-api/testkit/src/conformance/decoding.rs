//! What models that write text are held to: a decoding over a cache gives what reading whole texts gives.

use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::host::ModelHandle;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tch::Tensor;
use tenon_plugin_api::tensor::TensorMap;

use super::model::row_of;
use crate::columns::Draws;
use crate::model::largest_difference;

/// How far logits over a cache may lie from those of whole texts, relative to the largest.
const TOLERANCE: f64 = 1e-4;

/// The lengths of the prompts, which are filled up in front.
const PROMPTS: [usize; 3] = [1, 4, 2];

/// Which rows go on before each step, by their numbers before it: all, then with one twice and two swapped, then
/// fewer, then more again.
const SELECTIONS: [&[i64]; 5] = [
    &[0, 1, 2],
    &[2, 0, 0, 1],
    &[3, 1, 0],
    &[1, 1, 2, 0, 0],
    &[4, 2],
];

/// Checks that a prefill and steps put out the logits of whole texts, of prompts of different lengths and while rows
/// are repeated, reordered and dropped; and hidden states where they are wanted. `inputs` has at least three rows,
/// whose encoder's inputs are those of the prompts of an encoder–decoder.
#[track_caller]
pub(super) fn decoding(model: &ModelHandle, inputs: &TensorMap) {
    let mut draws = Draws(7);
    let mut token = || 5 + draws.below(15) as i64;
    let texts: Vec<Text> = (0_i64..)
        .zip(PROMPTS)
        .map(|(row, length)| Text {
            source: row,
            tokens: (0..length).map(|_| token()).collect(),
        })
        .collect();
    for hidden in [true, false] {
        let mut cache = cache(hidden);
        let outputs = model.prefill(&prompts(inputs, &texts), &mut cache, &forward());
        let outputs = crate::ok(outputs, "prefill");
        agree(model, inputs, &outputs, &texts, "prefill");
        crate::ok(cache.advance(LONGEST), "advancing");
        if hidden {
            let found = crate::ok(outputs.require("hidden"), "prefill").size();
            assert_eq!(found[..2], [texts.len() as i64, LONGEST], "hidden states");
        }
        let mut written = texts.clone();
        for (step, rows) in SELECTIONS.into_iter().enumerate() {
            crate::ok(cache.select(rows), "selecting rows");
            written = rows
                .iter()
                .map(|row| written[*row as usize].clone())
                .collect();
            written
                .iter_mut()
                .for_each(|text| text.tokens.push(token()));
            let outputs = model.step(&last(&written), &mut cache, &forward());
            let what = format!("step {step}");
            let outputs = crate::ok(outputs, &what);
            agree(model, inputs, &outputs, &written, &what);
            crate::ok(cache.advance(1), "advancing");
            if hidden {
                let found = crate::ok(outputs.require("hidden"), &what).size();
                assert_eq!(found[..1], [rows.len() as i64], "hidden states of {what}");
            }
        }
    }
    refusals(model, inputs, &texts);
}

/// With labels, logits are there for these positions only, and are what they are without.
#[track_caller]
pub(super) fn labelled(model: &ModelHandle, inputs: &TensorMap) {
    let (ids, mask) = match inputs.get("decoder_input_ids") {
        Some(ids) => (ids, "decoder_attention_mask"),
        None => (
            crate::ok(inputs.require("input_ids"), "the inputs"),
            "attention_mask",
        ),
    };
    let mask = crate::ok(inputs.require(mask), "the inputs");
    let columns = ids.ones_like().cumsum(1, ids.kind()) - 1; // [batch, time]
    for (what, unlabelled) in [
        ("labels at all tokens", mask.eq(0)),
        (
            "some labels",
            mask.eq(0).logical_or(&columns.remainder(3).eq(1)),
        ),
    ] {
        let labels = ids.masked_fill(&unlabelled, -100);
        let mut with = TensorMap::new().with("labels", labels);
        for (name, tensor) in inputs.iter() {
            with.insert(name, tensor.shallow_clone());
        }
        let found = crate::ok(model.forward(&with, &forward()), what);
        let found = crate::ok(found.require("logits"), what);
        let whole = crate::ok(model.forward(inputs, &forward()), "no labels");
        let whole = crate::ok(whole.require("logits"), "no labels");
        let places = unlabelled
            .logical_not()
            .reshape([-1])
            .nonzero()
            .reshape([-1]);
        let vocab = whole.size().last().copied().unwrap_or(0);
        let expected = whole.reshape([-1, vocab]).index_select(0, &places);
        assert_eq!(found.size(), expected.size(), "logits with {what}");
        let scale = expected.abs().max().double_value(&[]);
        let difference = largest_difference(found, &expected) / scale;
        assert!(
            difference < TOLERANCE,
            "logits with {what} differ by {difference:e}"
        );
    }
}

/// A text so far.
#[derive(Clone)]
struct Text {
    /// Which of the inputs it is written of.
    source: i64,
    tokens: Vec<i64>,
}

/// The time of the longest prompt.
const LONGEST: i64 = 4;

fn forward() -> Forward {
    Forward::new(false, 0)
}

/// A cache for the prompts and all steps.
#[track_caller]
fn cache(hidden: bool) -> Cache {
    let starts = PROMPTS.map(|length| LONGEST - length as i64);
    let capacity = LONGEST + SELECTIONS.len() as i64;
    let mut cache = crate::ok(Cache::new(starts.to_vec(), 6, capacity), "a cache");
    cache.want_hidden(hidden);
    cache
}

/// The inputs of a prefill.
fn prompts(inputs: &TensorMap, texts: &[Text]) -> TensorMap {
    let rows = texts.len() as i64;
    let front = |text: &Text| vec![0; LONGEST as usize - text.tokens.len()];
    let ids: Vec<i64> = texts
        .iter()
        .flat_map(|text| front(text).into_iter().chain(text.tokens.clone()))
        .collect();
    let ids = Tensor::from_slice(&ids).reshape([rows, LONGEST]);
    if inputs.get("decoder_input_ids").is_none() {
        return TensorMap::new().with("input_ids", ids);
    }
    let sources = inputs
        .iter()
        .filter(|(name, _)| !name.starts_with("decoder_"));
    let sources = sources.map(|(name, tensor)| (name, tensor.narrow(0, 0, rows)));
    sources.chain([("decoder_input_ids", ids)]).collect()
}

/// The inputs of a step.
fn last(texts: &[Text]) -> TensorMap {
    let tokens = texts.iter().filter_map(|text| text.tokens.last().copied());
    let tokens: Vec<i64> = tokens.collect();
    TensorMap::new().with("input_ids", Tensor::from_slice(&tokens))
}

/// Holds the logits `[rows, vocab]` of a call against those of each text read as a whole, alone.
#[track_caller]
fn agree(model: &ModelHandle, inputs: &TensorMap, outputs: &TensorMap, texts: &[Text], what: &str) {
    let logits = crate::ok(outputs.require("logits"), what);
    assert_eq!(
        logits.size()[0],
        texts.len() as i64,
        "rows of logits of {what}"
    );
    for (row, text) in (0_i64..).zip(texts) {
        let ids = Tensor::from_slice(&text.tokens).unsqueeze(0);
        let whole = match inputs.get("decoder_input_ids") {
            None => TensorMap::new().with("input_ids", ids),
            Some(_) => {
                let source = row_of(inputs, text.source);
                let source = source
                    .iter()
                    .filter(|(name, _)| !name.starts_with("decoder_"));
                let source = source.map(|(name, tensor)| (name, tensor.shallow_clone()));
                source.chain([("decoder_input_ids", ids)]).collect()
            }
        };
        let whole = crate::ok(model.forward(&whole, &forward()), "reading a whole text");
        let whole = crate::ok(whole.require("logits"), "reading a whole text");
        let expected = whole.select(1, text.tokens.len() as i64 - 1); // [1, vocab]
        let scale = expected.abs().max().double_value(&[]);
        let difference = largest_difference(&logits.narrow(0, row, 1), &expected) / scale;
        assert!(
            difference < TOLERANCE,
            "{what}: logits of row {row} differ by {difference:e} from those of the text read as a whole"
        );
    }
}

/// What a host must not ask for is an error, not a panic.
#[track_caller]
fn refusals(model: &ModelHandle, inputs: &TensorMap, texts: &[Text]) {
    let not_a_panic = |what: &str, result| {
        let error: tenon_plugin_api::Error = crate::error::<TensorMap>(result, what);
        let code = error.code();
        assert!(
            code != tenon_plugin_api::ErrorCode::Panic,
            "{what}: {error:?}"
        );
    };
    let mut of_one = crate::ok(Cache::new(vec![0], 1, 8), "a cache");
    let prompts = prompts(inputs, texts);
    let what = "prompts for a cache of one row";
    not_a_panic(what, model.prefill(&prompts, &mut of_one, &forward()));

    let starts = PROMPTS.map(|length| LONGEST - length as i64);
    let mut full = crate::ok(Cache::new(starts.to_vec(), 3, LONGEST), "a cache");
    let what = "prompts that fill the cache";
    crate::ok(model.prefill(&prompts, &mut full, &forward()), what);
    crate::ok(full.advance(LONGEST), what);
    let what = "a step over a full cache";
    not_a_panic(what, model.step(&last(texts), &mut full, &forward()));
}
