//! Tokenizers beyond their use on data: training them.
//!
//! ```text
//! train/   from texts to tokenizer.json: count.rs → bpe.rs or unigram.rs → files.rs
//! ```

pub mod train;
