//! Metrics of generated code: whether it works, and how close it is to a reference.

mod codebleu;
mod pass_at_k;

pub use codebleu::{CodeBleu, CodeBleuOptions, Language};
pub use pass_at_k::{PassAtK, PassAtKOptions};

tenon_plugin_api::register!(
    metric: PassAtK,
    metric: CodeBleu,
);
