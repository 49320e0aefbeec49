//! The file format: `sentencepiece_model.proto` of SentencePiece 0.2, as far as it is needed to
//! encode and decode.

use std::path::Path;

use prost::Message;

use crate::data::TokenizerError;

/// Bytes of a model at most; the largest that are in use have 5 MB.
const LARGEST: u64 = 256 << 20;

/// A model.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Model {
    #[prost(message, repeated, tag = "1")]
    pub pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    pub trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    pub normalizer: Option<NormalizerSpec>,
}

/// A piece; its id is its place.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Piece {
    #[prost(string, optional, tag = "1")]
    pub piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub score: Option<f32>,
    #[prost(enumeration = "PieceKind", optional, tag = "3")]
    pub kind: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum PieceKind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// How it was trained.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Trainer {
    /// 1 unigram, 2 BPE, 3 word, 4 character.
    #[prost(int32, optional, tag = "3")]
    pub model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    pub treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    pub byte_fallback: Option<bool>,
}

/// How texts are normalized.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    pub precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3", default = "true")]
    pub add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4", default = "true")]
    pub remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5", default = "true")]
    pub escape_whitespaces: Option<bool>,
}

impl Piece {
    /// What kind of piece it is; most are not told.
    pub fn of_kind(&self) -> PieceKind {
        self.kind
            .and_then(|kind| PieceKind::try_from(kind).ok())
            .unwrap_or(PieceKind::Normal)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.piece.as_deref().unwrap_or_default()
    }
}

/// Reads a model, and digests its bytes with `digest`.
///
/// # Errors
/// The file cannot be read, or is no model.
pub(crate) fn read(path: &Path, digest: &mut dyn FnMut(&[u8])) -> Result<Model, TokenizerError> {
    let io = |source| TokenizerError::Io {
        path: path.to_owned(),
        source,
    };
    let invalid = |problem: String| TokenizerError::Invalid {
        path: path.to_owned(),
        problem,
    };
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > LARGEST {
        let problem = format!("{size} bytes are more than a SentencePiece model has");
        return Err(invalid(problem));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    digest(&bytes);
    let model = Model::decode(bytes.as_slice()).map_err(|error| {
        invalid(format!(
            "no SentencePiece model, or one that was cut off: {error}"
        ))
    })?;
    if model.pieces.is_empty() {
        return Err(invalid("a SentencePiece model without pieces".to_owned()));
    }
    if let Some(at) = model
        .pieces
        .iter()
        .position(|piece| piece.text().is_empty())
    {
        return Err(invalid(format!("piece {at} is empty")));
    }
    Ok(model)
}
