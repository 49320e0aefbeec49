//! What a run file may set.

use tenon_plugin_api::task::prelude::*;

/// Options of `question-answering`.
#[derive(Options, Clone, Debug)]
pub struct Options {
    /// Column with the question.
    #[default("question")]
    pub question: Column,
    /// Column with the passage.
    #[default("context")]
    pub context: Column,
    /// Column with the answers: `{"text": […], "answer_start": […]}`, or a list of `{"text": …, "answer_start": …}`.
    /// The first one is learnt; each counts as right.
    #[default("answers")]
    pub answers: Column,
    /// Where an answer stands in the passage.
    #[default(Offsets::Given)]
    pub offsets: Offsets,
    /// The most tokens of a window, question and special tokens included; 384, or what the model takes if that is
    /// less.
    #[range(min = 8)]
    #[example(384)]
    pub max_length: Option<usize>,
    /// Tokens that a window of the passage shares with the one before; 128, or a third of `max_length` if that is
    /// less. Never more than half of what a window has room for.
    #[example(128)]
    pub doc_stride: Option<usize>,
    /// The most tokens of a question, which is cut behind them; 64, or half of `max_length` if that is less.
    #[range(min = 1)]
    #[example(64)]
    pub max_question_length: Option<usize>,
    /// The most tokens of an answer.
    #[default(30)]
    #[range(min = 1)]
    pub max_answer_length: usize,
    /// Answers to put out for each question, best first. The first is the prediction.
    #[default(1)]
    #[range(min = 1, max = 1000)]
    pub n_best: usize,
    /// Whether a question may have no answer, as in SQuAD 2.0.
    #[default(false)]
    pub no_answer: bool,
    /// With `no_answer`: there is none where its score exceeds that of the best answer by more than this.
    #[default(0.0)]
    pub no_answer_threshold: f64,
}

/// Where an answer stands in the passage.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offsets {
    /// At `answer_start`, counted in characters. An answer that is not there is a bad row.
    Given,
    /// Where it first occurs; `answer_start` is not read.
    First,
}
