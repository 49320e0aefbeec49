//! SentencePiece models, as T5, Marian and Llama ship them: read, and turned into what
//! `tokenizers` computes with.
//!
//! ```text
//! proto.rs      the file format
//! normalize.rs  the model's own normalization, character by character as SentencePiece does it
//! convert.rs    pieces to a Unigram or BPE model
//! ```

mod convert;
mod normalize;
mod proto;

pub(crate) use convert::{Converted, convert};
pub(crate) use normalize::Normalizer;
pub(crate) use proto::{PieceKind, read};
