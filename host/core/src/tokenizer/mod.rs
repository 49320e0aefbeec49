//! Tokenizers: read from the files of other programs, trained, and used for text that is still
//! being written. [`HfTokenizer`](crate::data::HfTokenizer) is what the rest of the program uses.
//!
//! ```text
//! files.rs         which file is read, and what those beside it say
//! load.rs          tokenizer.json, or a SentencePiece model with what belongs to it
//! sentencepiece/   SentencePiece models
//! side.rs          text to ids and back
//! detokenize.rs    ids to text, token by token
//! chat.rs          conversations to text
//! train/           from texts to tokenizer.json: count.rs, then bpe.rs or unigram/, then files.rs
//! ```

pub mod train;

mod chat;
mod detokenize;
mod files;
mod load;
mod sentencepiece;
mod side;

pub(crate) use chat::ChatTemplate;
pub use detokenize::Detokenizer;
pub(crate) use files::Files;
pub(crate) use load::{Sides, load};
pub(crate) use side::Side;
