//! How a run ended.

use std::fmt;
use std::time::Duration;

/// One run of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// Time by the clock, the making of the sandbox included.
    pub time: Duration,
    /// Time of the processor, where the system tells it for one run.
    pub cpu: Option<Duration>,
    /// Bytes of memory that the largest of its processes held, where the system tells it.
    pub peak_memory: Option<u64>,
    /// The end of what it printed on standard output.
    pub stdout: String,
    /// The end of what it printed on standard error.
    pub stderr: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ran to its end with the status that means success.
    Passed,
    /// It ended in another way.
    Failed {
        /// How.
        exit: Exit,
        /// The last lines of standard error.
        last_lines: String,
    },
    /// It ran out of time.
    TimedOut,
    /// It ran out of memory.
    OutOfMemory,
    /// It filled its files.
    FileLimit,
    /// It printed too much.
    OutputLimit,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with a status.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Outcome {
    /// Whether the program passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        *self == Self::Passed
    }

    /// A word for logs and tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed { .. } => "failed",
            Self::TimedOut => "timed out",
            Self::OutOfMemory => "out of memory",
            Self::FileLimit => "file limit",
            Self::OutputLimit => "output limit",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let Self::Failed { exit, last_lines } = self else {
            return Ok(());
        };
        match exit {
            Exit::Code(code) => write!(f, " with status {code}")?,
            Exit::Signal(signal) => write!(f, " by signal {signal}")?,
        }
        match last_lines.lines().next_back() {
            Some(line) => write!(f, ": {line}"),
            None => Ok(()),
        }
    }
}

/// Why the host ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    Time,
    Memory,
    Output,
}

impl From<Stopped> for Outcome {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Time => Self::TimedOut,
            Stopped::Memory => Self::OutOfMemory,
            Stopped::Output => Self::OutputLimit,
        }
    }
}

/// Lines of standard error that an outcome keeps.
const LAST_LINES: usize = 8;

/// Last words of programs that were refused memory, in the languages that say so.
const NO_MEMORY: [&str; 5] = [
    "MemoryError",
    "std::bad_alloc",
    "Cannot allocate memory",
    "OutOfMemoryError",
    "memory allocation of",
];
/// Last words of programs that were refused space in files.
const NO_SPACE: [&str; 2] = ["No space left on device", "File too large"];

/// `SIGKILL`, `SIGXCPU` and `SIGXFSZ` of Linux.
const KILL: i32 = 9;
const XCPU: i32 = 24;
const XFSZ: i32 = 25;

/// What the end of a process that nobody stopped says.
pub(super) fn judge(exit: Exit, success: i32, used: &Used, stderr: &str) -> Outcome {
    let lines: Vec<&str> = stderr.trim_end().lines().collect();
    let last = lines.last().copied().unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| last.contains(word));
    match exit {
        Exit::Code(code) if code == success => Outcome::Passed,
        Exit::Signal(XCPU) => Outcome::TimedOut,
        Exit::Signal(KILL) if used.all_time => Outcome::TimedOut,
        Exit::Signal(KILL) if used.most_memory => Outcome::OutOfMemory,
        Exit::Signal(XFSZ) => Outcome::FileLimit,
        _ if says(&NO_MEMORY) => Outcome::OutOfMemory,
        _ if says(&NO_SPACE) => Outcome::FileLimit,
        exit => Outcome::Failed {
            exit,
            last_lines: lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"),
        },
    }
}

/// What a process had used when it ended: it tells a kill by the kernel from others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub all_time: bool,
    pub most_memory: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_process_and_its_last_words_say_what_it_ran_out_of() {
        let none = Used::default();
        let all_time = Used {
            all_time: true,
            ..none
        };
        let most_memory = Used {
            most_memory: true,
            ..none
        };
        let cases = [
            (Exit::Code(7), none, "", "passed"),
            (Exit::Code(0), none, "", "failed with status 0"),
            (Exit::Code(1), none, "a\nMemoryError\n", "out of memory"),
            (
                Exit::Code(1),
                none,
                "MemoryError\nValueError: 3\n",
                "failed with status 1: ValueError: 3",
            ),
            (
                Exit::Code(1),
                none,
                "OSError: [Errno 28] No space left on device",
                "file limit",
            ),
            (
                Exit::Code(1),
                none,
                "OSError: [Errno 27] File too large",
                "file limit",
            ),
            (Exit::Signal(24), none, "", "timed out"),
            (Exit::Signal(25), none, "", "file limit"),
            (Exit::Signal(9), all_time, "", "timed out"),
            (Exit::Signal(9), most_memory, "", "out of memory"),
            (Exit::Signal(9), none, "", "failed by signal 9"),
            (Exit::Signal(11), none, "", "failed by signal 11"),
        ];
        for (exit, used, stderr, expected) in cases {
            assert_eq!(
                judge(exit, 7, &used, stderr).to_string(),
                expected,
                "{exit:?}"
            );
        }
    }
}
