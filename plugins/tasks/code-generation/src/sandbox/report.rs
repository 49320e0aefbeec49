//! What the processes of a jail tell the host about a run, through a pipe.

use super::outcome::Exit;

/// A step into the jail, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    Namespaces,
    Identity,
    Files,
    Processes,
    Limits,
    Filter,
    Forks,
}

/// Every step, by its number.
const STEPS: [(Step, &str); 7] = [
    (Step::Namespaces, "making namespaces"),
    (Step::Identity, "taking another identity"),
    (Step::Files, "laying out the file system"),
    (Step::Processes, "making the first processes"),
    (Step::Limits, "setting limits"),
    (Step::Filter, "filtering system calls"),
    (Step::Forks, "limiting the number of processes"),
];

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The step that failed.
    pub failed: Option<&'static str>,
    /// How the program ended.
    pub exit: Option<Exit>,
    /// Microseconds of the processor.
    pub cpu: u64,
    /// Bytes that the largest process held.
    pub peak_memory: u64,
}

const FAILED: u8 = b'F';
const ENDED: u8 = b'E';
/// Bytes of a message: its kind, a flag or step, a status, and two counts.
pub const MESSAGE: usize = 24;

/// That a step failed.
#[cfg(target_os = "linux")]
pub fn failed(step: Step) -> [u8; MESSAGE] {
    let mut message = [0; MESSAGE];
    message[0] = FAILED;
    message[1] = step as u8;
    message
}

/// That the program ended.
#[cfg(target_os = "linux")]
pub fn ended(exit: Exit, cpu: u64, peak_memory: u64) -> [u8; MESSAGE] {
    let (by_signal, status) = match exit {
        Exit::Code(code) => (0, code),
        Exit::Signal(signal) => (1, signal),
    };
    let mut message = [0; MESSAGE];
    message[0] = ENDED;
    message[1] = by_signal;
    message[4..8].copy_from_slice(&status.to_ne_bytes());
    message[8..16].copy_from_slice(&cpu.to_ne_bytes());
    message[16..24].copy_from_slice(&peak_memory.to_ne_bytes());
    message
}

impl Report {
    /// Reads messages; the first failure counts.
    pub fn read(bytes: &[u8]) -> Self {
        let mut report = Self::default();
        for message in bytes.as_chunks::<MESSAGE>().0 {
            let count = |at: usize| {
                let bytes = message[at..at + 8].first_chunk().copied();
                u64::from_ne_bytes(bytes.unwrap_or_default())
            };
            match message[0] {
                FAILED => {
                    let step = STEPS.iter().find(|(step, _)| *step as u8 == message[1]);
                    report.failed = report.failed.or(step.map(|(_, what)| *what));
                }
                ENDED => {
                    let bytes = message[4..8].first_chunk().copied();
                    let status = i32::from_ne_bytes(bytes.unwrap_or_default());
                    report.exit = Some(match message[1] {
                        0 => Exit::Code(status),
                        _ => Exit::Signal(status),
                    });
                    report.cpu = count(8);
                    report.peak_memory = count(16);
                }
                _ => {}
            }
        }
        report
    }
}
