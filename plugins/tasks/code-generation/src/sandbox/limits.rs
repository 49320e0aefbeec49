//! How much a program may use.

use std::time::Duration;

/// How much one run may use, all its processes together where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time by the clock.
    pub time: Duration,
    /// Bytes of memory; also what one process may ask for.
    pub memory: u64,
    /// Bytes in files.
    pub files: u64,
    /// Bytes printed, standard output and standard error together.
    pub output: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Open files of a process.
    pub open_files: u64,
}

/// Address space that a process may reserve for each byte that it may use: interpreters reserve
/// what they never touch.
#[cfg(target_os = "linux")]
const RESERVED: u64 = 4;

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(10),
            memory: 1 << 30,
            files: 64 << 20,
            output: 1 << 20,
            processes: 32,
            open_files: 128,
        }
    }
}

#[cfg(target_os = "linux")]
impl Limits {
    /// Seconds of the processor that a process may use: no more than the clock allows.
    pub(super) fn cpu_seconds(&self) -> u64 {
        self.time.as_secs() + u64::from(self.time.subsec_nanos() > 0)
    }

    /// Resources with their soft and hard limits; without the number of processes, which is a
    /// user's and not a program's unless it has a namespace.
    pub(super) fn resources(&self) -> [(nix::sys::resource::Resource, u64, u64); 6] {
        use nix::sys::resource::Resource;

        let same = |resource, limit| (resource, limit, limit);
        let cpu = self.cpu_seconds();
        [
            (Resource::RLIMIT_CPU, cpu, cpu + 1),
            same(Resource::RLIMIT_DATA, self.memory),
            same(Resource::RLIMIT_AS, self.memory.saturating_mul(RESERVED)),
            same(Resource::RLIMIT_FSIZE, self.files),
            same(Resource::RLIMIT_NOFILE, self.open_files),
            same(Resource::RLIMIT_CORE, 0),
        ]
    }
}
