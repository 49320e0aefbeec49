//! A host's services that remember what plugins asked of them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tenon_plugin_api::host::{Services, set_services};
use tenon_plugin_api::services::mix;

/// What a test sets and reads; one a process, as a process has one host.
#[derive(Debug, Default)]
pub struct Recorder {
    cancelled: AtomicBool,
    seed: AtomicU64,
    folder: Mutex<Option<PathBuf>>,
    progress: Mutex<Vec<String>>,
    threads: Mutex<Vec<std::thread::ThreadId>>,
}

static RECORDER: Recorder = Recorder {
    cancelled: AtomicBool::new(false),
    seed: AtomicU64::new(0),
    folder: Mutex::new(None),
    progress: Mutex::new(Vec::new()),
    threads: Mutex::new(Vec::new()),
};

/// Makes the recorder this process's host services, and gives it.
pub fn record() -> &'static Recorder {
    set_services(&RECORDER);
    &RECORDER
}

impl Recorder {
    /// What `services::cancelled` answers from now on.
    pub fn cancel(&self, cancelled: bool) {
        self.cancelled.store(cancelled, Ordering::SeqCst);
    }

    /// The seed that derived seeds come from.
    pub fn seed(&self, seed: u64) {
        self.seed.store(seed, Ordering::SeqCst);
    }

    /// What `services::artifact_dir` answers from now on.
    pub fn folder(&self, folder: Option<PathBuf>) {
        *lock(&self.folder) = folder;
    }

    /// Progress since the last call, one line a call: `1 start name unit total`, `1 +3`, `1 end`.
    pub fn take_progress(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.progress))
    }

    /// How many threads `parallel_for` has used since the last call.
    pub fn take_threads(&self) -> usize {
        let mut threads = std::mem::take(&mut *lock(&self.threads));
        threads.sort_by_key(|thread| format!("{thread:?}"));
        threads.dedup();
        threads.len()
    }

    fn log(&self, line: String) {
        lock(&self.progress).push(line);
    }
}

impl Services for &'static Recorder {
    fn progress_start(&self, what: &str, unit: &str, total: u64) -> u64 {
        self.log(format!("1 start {what} {unit} {total}"));
        1
    }

    fn progress_advance(&self, id: u64, by: u64) {
        self.log(format!("{id} +{by}"));
    }

    fn progress_finish(&self, id: u64) {
        self.log(format!("{id} end"));
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    fn derive_seed(&self, purpose: &str) -> u64 {
        let seed = self.seed.load(Ordering::SeqCst);
        purpose
            .bytes()
            .fold(seed, |hash, byte| mix(hash ^ u64::from(byte)))
    }

    fn artifact_dir(&self) -> Option<PathBuf> {
        lock(&self.folder).clone()
    }

    fn parallel_for(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        let next = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    lock(&self.threads).push(std::thread::current().id());
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed) as usize;
                        if index >= count {
                            return;
                        }
                        body(index);
                    }
                });
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
