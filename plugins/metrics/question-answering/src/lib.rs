//! Metrics of question answering: exact match and F1 of SQuAD, equal to the official scripts.
//!
//! | case | the scripts | here |
//! | --- | --- | --- |
//! | no example | raises | NaN |
//! | no reference, in version 1.1 | raises | error |
//! | both answers without words, F1 | 1.1: 0; 2.0: 1 | the same |
//! | no question with an answer, or none without | the scores are left out | the same |
//! | no no-answer probabilities | all 0; no best scores | the same |

mod answer;
mod squad;
mod thresholds;

pub use squad::{Squad, SquadOptions, Version};

tenon_plugin_api::register!(
    metric: Squad,
);
