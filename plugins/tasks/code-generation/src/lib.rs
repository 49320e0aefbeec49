//! Code generation: models write programs, and tests say whether they work.
//!
//! Of each problem a model is asked for one or more candidates. Each is put together with the
//! problem's tests and run in a [`sandbox`]; the prediction is the list of outcomes, 1 for a
//! candidate that passes and 0 for one that does not, which the metric `pass-at-k` reads.
//!
//! - HumanEval (Chen et al. 2021, arXiv:2107.03374): the model goes on with a function's head and
//!   docstring; `prompt`, what it wrote, `test` and `check(entry_point)` are run.
//! - MBPP (Austin et al. 2021, arXiv:2108.07732): the model is told a task and its tests, after some
//!   demonstrations; what it wrote, `test_setup_code` and `test_list` are run.
//!
//! Where the data has a column of solutions, a causal model can learn them:
//!
//! ```text
//! input_ids  p₁ … pₘ  y₁ … yₙ₋₁
//! labels     -100 … y₁ y₂ … yₙ
//! ```

pub mod sandbox;

mod candidates;
mod options;
mod problem;
mod sequence;
mod task;
mod template;

pub use options::{Format, Isolation, Options};
pub use task::CodeGeneration;

tenon_plugin_api::register!(task: CodeGeneration);
