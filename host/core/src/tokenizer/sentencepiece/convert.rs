//! Pieces as a Unigram or BPE model.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::json;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::{DecoderWrapper, ModelWrapper, PreTokenizerWrapper};

use super::normalize::Normalizer;
use super::proto::{Model, PieceKind};
use crate::data::TokenizerError;

const UNIGRAM: i32 = 1;
const BPE_TYPE: i32 = 2;
const MARK: char = '▁';
/// In front of pieces that no text may be cut into. It is no character of any text.
const HIDDEN: char = '\u{10ffff}';

/// A model in parts that `tokenizers` computes with.
pub(crate) struct Converted {
    pub model: ModelWrapper,
    pub normalizer: Normalizer,
    pub pre_tokenizer: Option<PreTokenizerWrapper>,
    pub decoder: DecoderWrapper,
    /// The text of each piece by id, also of hidden ones.
    pub pieces: Vec<String>,
    pub unknown: Option<String>,
    /// Control pieces, such as `<s>`.
    pub control: Vec<String>,
    /// Pieces that a text is always cut at.
    pub user_defined: Vec<String>,
}

/// Turns a model into parts. Control pieces that are not among `special` are found in no text.
///
/// # Errors
/// The model is of a kind that is not supported, or contradicts itself.
pub(crate) fn convert(
    path: &Path,
    model: &Model,
    special: &HashSet<String>,
) -> Result<Converted, TokenizerError> {
    let invalid = |problem: String| TokenizerError::Invalid {
        path: path.to_owned(),
        problem,
    };
    let trainer = model.trainer.clone().unwrap_or_default();
    if trainer.treat_whitespace_as_suffix() {
        let problem = "a SentencePiece model with spaces behind words, which is not supported";
        return Err(invalid(problem.to_owned()));
    }
    let of_kind = |kind: PieceKind| {
        let pieces = model
            .pieces
            .iter()
            .filter(move |piece| piece.of_kind() == kind);
        pieces.map(|piece| piece.text().to_owned())
    };
    let mut unknown = of_kind(PieceKind::Unknown);
    let (unknown, second) = (unknown.next(), unknown.next());
    if let Some(second) = second {
        let first = unknown.unwrap_or_default();
        return Err(invalid(format!(
            "two unknown pieces: {first:?} and {second:?}"
        )));
    }
    let normalizer = Normalizer::new(model.normalizer.as_ref()).map_err(invalid)?;
    let byte_fallback = trainer.byte_fallback();
    let converted = match trainer.model_type.unwrap_or(UNIGRAM) {
        UNIGRAM => unigram(model, special, byte_fallback),
        BPE_TYPE => bpe(model, unknown.as_deref(), byte_fallback),
        other => Err(format!(
            "a SentencePiece model of type {other}; those that are supported are unigram (1) and BPE (2)"
        )),
    };
    let spaces_inside = |piece: &str| piece.chars().skip(1).any(|c| c == MARK);
    let can_split = !model.pieces.iter().any(|piece| spaces_inside(piece.text()));
    let split = json!({"type": "Split", "pattern": {"String": MARK}, "behavior": "MergedWithNext", "invert": false});
    let part = |part: serde_json::Error| invalid(part.to_string());
    Ok(Converted {
        model: converted.map_err(invalid)?,
        pre_tokenizer: match can_split {
            true => Some(serde_json::from_value(split).map_err(part)?),
            false => None,
        },
        decoder: serde_json::from_value(decoder(model, byte_fallback)).map_err(part)?,
        normalizer,
        pieces: model
            .pieces
            .iter()
            .map(|piece| piece.text().to_owned())
            .collect(),
        unknown,
        control: of_kind(PieceKind::Control).collect(),
        user_defined: of_kind(PieceKind::UserDefined).collect(),
    })
}

fn decoder(model: &Model, byte_fallback: bool) -> serde_json::Value {
    let prefix = model
        .normalizer
        .clone()
        .unwrap_or_default()
        .add_dummy_prefix();
    match byte_fallback {
        false => {
            let scheme = if prefix { "always" } else { "never" };
            json!({"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": true})
        }
        true => json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": MARK}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": usize::from(prefix), "stop": 0},
        ]}),
    }
}

fn unigram(
    model: &Model,
    special: &HashSet<String>,
    byte_fallback: bool,
) -> Result<ModelWrapper, String> {
    let scores = model.pieces.iter().map(|piece| piece.score.unwrap_or(0.0));
    if let Some(at) = scores.clone().position(|score| !score.is_finite()) {
        return Err(format!("piece {at} has no finite score"));
    }
    let unknown = model
        .pieces
        .iter()
        .position(|piece| piece.of_kind() == PieceKind::Unknown);
    let pieces = model.pieces.iter().zip(scores).map(|(piece, score)| {
        let text = piece.text();
        let found = match piece.of_kind() {
            PieceKind::Normal | PieceKind::UserDefined | PieceKind::Byte => true,
            PieceKind::Unknown | PieceKind::Control => special.contains(text),
            PieceKind::Unused => false,
        };
        let text = match found {
            true => text.to_owned(),
            false => format!("{HIDDEN}{text}"),
        };
        (text, f64::from(score))
    });
    let made = Unigram::from(pieces.collect(), unknown, byte_fallback);
    Ok(made.map_err(|error| error.to_string())?.into())
}

/// Merges are not in the file: any two pieces that make a third may become it, the pieces of the
/// highest score first.
fn bpe(model: &Model, unknown: Option<&str>, byte_fallback: bool) -> Result<ModelWrapper, String> {
    let mut ids: HashMap<String, u32> = HashMap::with_capacity(model.pieces.len());
    for (piece, id) in model.pieces.iter().zip(0..) {
        if ids.insert(piece.text().to_owned(), id).is_some() {
            return Err(format!("the piece {:?} is there twice", piece.text()));
        }
    }
    let in_texts = |piece: &&super::proto::Piece| {
        matches!(
            piece.of_kind(),
            PieceKind::Normal | PieceKind::Unused | PieceKind::UserDefined
        )
    };
    let known: HashSet<&str> = model
        .pieces
        .iter()
        .filter(in_texts)
        .map(|piece| piece.text())
        .collect();
    let mut merges = Vec::new();
    for piece in model.pieces.iter().filter(in_texts) {
        let text = piece.text();
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if known.contains(left) && known.contains(right) {
                merges.push((
                    piece.score.unwrap_or(0.0),
                    left.to_owned(),
                    right.to_owned(),
                ));
            }
        }
    }
    // Stable: of one piece, the merge with the shorter left part first.
    merges.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let merges = merges
        .into_iter()
        .map(|(_, left, right)| (left, right))
        .collect();
    let mut builder = BPE::builder()
        .vocab_and_merges(ids.into_iter().collect::<Vocab>(), merges)
        .fuse_unk(true)
        .byte_fallback(byte_fallback);
    if let Some(unknown) = unknown {
        builder = builder.unk_token(unknown.to_owned());
    }
    let made = builder.build();
    Ok(made.map_err(|error| error.to_string())?.into())
}
