//! What a run file may set.

use std::path::PathBuf;

use tenon_plugin_api::options::Template;
use tenon_plugin_api::task::prelude::*;

/// Options of `code-generation`.
#[derive(Options, Debug)]
pub struct Options {
    /// What a record looks like.
    #[default(Format::Humaneval)]
    pub format: Format,
    /// The prompt: a Jinja template, in which columns stand in double braces. When absent that of
    /// the format: `{{ prompt }}` of HumanEval; of MBPP the task and its tests in the words of the
    /// paper.
    #[example("# {{ text }}\n{{ test_list | join('\n') }}\n")]
    pub prompt: Option<Template>,
    /// A file of JSON lines with solved problems of the same format, of which some come before each
    /// prompt.
    #[example("data/mbpp/mbpp.jsonl")]
    pub demonstrations: Option<PathBuf>,
    /// The `task_id`s of the demonstrations, in order.
    #[default([2, 3, 4])]
    pub demonstration_ids: Vec<u64>,
    /// Column with code to run as it is written, in place of what a model would write: a text, or a
    /// list of texts with a candidate each. No model is asked then.
    #[example("canonical_solution")]
    pub completions: Option<Column>,
    /// Column with solutions to learn; nothing is learned when absent.
    #[example("canonical_solution")]
    pub solution: Option<Column>,
    /// Candidates a problem, where `[generation]` says nothing. More than one are drawn with the
    /// temperature 0.8 and from the most probable 95 %, as in Chen et al. 2021, section 3.
    #[default(1)]
    #[range(min = 1, max = 10_000)]
    pub samples: u32,
    /// Where a candidate ends; those of the format when absent.
    #[example(["\ndef ", "\nclass "])]
    pub stop_strings: Option<Vec<String>>,
    /// The Python that runs candidates, with its arguments.
    #[default(["python3"])]
    pub command: Vec<String>,
    /// Seconds that a candidate may take with its tests.
    #[default(5.0)]
    #[range(min = 0.01, max = 86_400.0)]
    pub timeout: f64,
    /// MiB of memory that it may take.
    #[default(1024)]
    #[range(min = 16, max = 1_048_576)]
    pub memory_mb: u64,
    /// MiB that it may write into files, all of which are gone afterwards.
    #[default(64)]
    #[range(min = 1, max = 1_048_576)]
    pub files_mb: u64,
    /// Processes and threads that it may have at once.
    #[default(32)]
    #[range(min = 1, max = 32_768)]
    pub processes: u64,
    /// Candidates that run at once; 0 for as many as there are cores.
    #[default(0)]
    #[range(max = 65_536)]
    pub parallel: usize,
    /// Files and folders that candidates may read, besides the system's and the interpreter's.
    #[default([])]
    #[example(["data/tables"])]
    pub readable: Vec<PathBuf>,
    /// Whether candidates are isolated. They are what a model happens to write.
    #[default(Isolation::Full)]
    pub isolation: Isolation,
}

/// What a record looks like.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The columns `prompt`, `test` and `entry_point`.
    Humaneval,
    /// The columns `text`, `test_list` and `test_setup_code`.
    Mbpp,
}

/// Whether candidates are isolated.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In namespaces of their own, without a network and with an empty file system; where the
    /// system does not allow it, the run ends before it begins.
    Full,
    /// Not: they can read and change whatever the user can. Only their time, memory and output are
    /// limited.
    None,
}
