//! Extractive question answering: the answer to a question is a span of a passage (Rajpurkar et al. 2016,
//! Devlin et al. 2019, section 4.2), or, as in SQuAD 2.0, there is none (Rajpurkar et al. 2018).
//!
//! A passage that is too long is read in windows `[CLS] question [SEP] part [SEP]`, which overlap by `doc_stride`
//! tokens. With the logits `s` and `e` `[batch, time]` of a question-answering head, and the first and last token
//! `i`, `j` of the answer, both 0 (the token in front) in windows without it:
//!
//! ```text
//! loss of a window = (-log softmax(s)[i] - log softmax(e)[j]) / 2       over tokens, not over padding
//! score of a span  = s[i] + e[j],   i ≤ j < i + max_answer_length, both of the passage
//! null             = s[0] + e[0],   the least of the windows
//! ```
//!
//! The prediction is the span with the highest score of all windows; with `no_answer`, none where
//! `null - score > no_answer_threshold`. All of it as in `transformers`' `run_qa.py`, with two differences: every
//! span is considered, not only those of the twenty best starts and ends; and padding has no share in the softmax.

mod answers;
mod options;
mod spans;
mod task;
mod windows;

#[cfg(test)]
mod tests;

pub use options::{Offsets, Options};
pub use task::QuestionAnswering;

tenon_plugin_api::register!(task: QuestionAnswering);
