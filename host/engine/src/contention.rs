//! How long OpenMP's threads wait for more to do, by whether others want the processors.
//!
//! A thread that has done its part of an operation turns in a loop, for some milliseconds, before it sleeps: the next
//! operation is near, and waking a thread may take longer than the operation. Where another process could use the
//! processor, each turn is taken from it, and in the end from this process: what its threads wait for is done later. On
//! two virtual processors of an Intel Xeon a small GPT trained at 14 000 tokens/s with 1000 turns and at 22 000 with
//! 100 000 when they were idle; beside another process, at 9000 with 1000 and at 4000 with 20 000.
//!
//! GNU OpenMP, which libtorch brings, reads the number of turns once, when it is loaded. But it makes 100 of them while
//! there are more OpenMP threads than processors (libgomp's manual, `GOMP_SPINCOUNT`). So a thread watches how long the
//! system kept threads of this process from running, and when it did, adds OpenMP threads that do nothing.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tenon_core::registry::ADAPTED_WAITING;
use tenon_nn::bridge::parallel_for;

/// Where the system tells of this process's threads.
const THREADS: &str = "/proc/self/task";
/// How often is looked.
const PERIOD: Duration = Duration::from_millis(250);
/// Threads kept from running, on average, above which the processors are contended. Beside a process that computes it
/// is 0.5 and more, alone 0.03.
const CONTENDED: f64 = 0.15;
/// And below which they are not; in this many periods in a row.
const QUIET: f64 = 0.08;
const QUIET_PERIODS: u32 = 4;

/// Starts the thread that watches, unless the system does not tell or the user decided how long threads wait.
///
/// # Errors
/// The system refuses a thread.
pub fn watch() -> io::Result<()> {
    let (name, adapted) = ADAPTED_WAITING;
    if std::env::var(name).is_ok_and(|set| set == adapted) {
        let watch = || Watch::default().forever();
        thread::Builder::new()
            .name("contention".to_owned())
            .spawn(watch)?;
    }
    Ok(())
}

#[derive(Default)]
struct Watch {
    kept: Kept,
    quiet: u32,
    idle: Option<IdleThreads>,
}

impl Watch {
    fn forever(mut self) {
        let mut looked = Instant::now();
        loop {
            thread::sleep(PERIOD);
            let now = Instant::now();
            // Without an answer, as is.
            if let Ok(kept) = self.kept.since() {
                self.look(kept.as_secs_f64() / (now - looked).as_secs_f64());
            }
            looked = now;
        }
    }

    /// Decides by how many threads were kept from running.
    fn look(&mut self, kept: f64) {
        self.quiet = if kept < QUIET { self.quiet + 1 } else { 0 };
        if kept > CONTENDED && self.idle.is_none() {
            match IdleThreads::new() {
                Ok(idle) => {
                    tracing::debug!("processors are contended: threads sleep sooner");
                    self.idle = Some(idle);
                }
                Err(error) => tracing::debug!("processors are contended, but {error}"),
            }
        } else if self.quiet >= QUIET_PERIODS && self.idle.take().is_some() {
            tracing::debug!("processors are free: threads wait longer before they sleep");
        }
    }
}

/// How long the threads of this process could have run and did not, as far as it is known.
#[derive(Default)]
struct Kept {
    by_thread: HashMap<u32, Duration>,
}

impl Kept {
    /// The time since the last call, of all threads together.
    fn since(&mut self) -> io::Result<Duration> {
        let mut now = HashMap::with_capacity(self.by_thread.len());
        let mut sum = Duration::ZERO;
        for thread in fs::read_dir(THREADS)? {
            let thread = thread?;
            let Some(number) = thread.file_name().to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            // A thread may have ended.
            let Ok(times) = fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            let Some(kept) = times.split(' ').nth(1).and_then(|ns| ns.parse().ok()) else {
                continue;
            };
            let kept = Duration::from_nanos(kept);
            let before = self.by_thread.get(&number).copied().unwrap_or(kept);
            sum += kept.saturating_sub(before);
            now.insert(number, kept);
        }
        self.by_thread = now;
        Ok(sum)
    }
}

/// OpenMP threads that do nothing, so many that there are more than processors. They end when this is dropped.
struct IdleThreads {
    _ends: Vec<Sender<()>>,
}

impl IdleThreads {
    fn new() -> io::Result<Self> {
        // A thread that has libtorch compute brings the others of its team. The first one has.
        let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
        let brought = threads.saturating_sub(1);
        let missing = (processors()? + 1).saturating_sub(threads).max(1);
        // Where each computes alone, none waits for another.
        let teams = if brought == 0 {
            0
        } else {
            missing.div_ceil(brought)
        };
        let ends = (0..teams).map(|_| {
            let (end, ended) = mpsc::channel::<()>();
            let idle = move || {
                parallel_for(threads, 1, |_, _| ());
                // Until the sender is dropped.
                let _ = ended.recv();
            };
            let thread = thread::Builder::new().name("idle".to_owned());
            thread.spawn(idle).map(|_| end)
        });
        Ok(Self {
            _ends: ends.collect::<io::Result<_>>()?,
        })
    }
}

/// How many processors this process may use. What it may use of their time is not looked at, nor does OpenMP.
fn processors() -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    {
        use nix::sched::{CpuSet, sched_getaffinity};
        use nix::unistd::Pid;

        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let allowed = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false));
        Ok(allowed.count())
    }
    #[cfg(not(target_os = "linux"))]
    thread::available_parallelism().map(std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn contention_is_told_at_once_and_its_end_after_a_while() {
        let mut watch = Watch::default();
        tch::set_num_threads(2);
        let looks = [
            (0.0, false),
            (0.1, false),
            (0.5, true),
            (0.1, true),
            (0.0, true),
            (0.0, true),
            (0.2, true),
            (0.0, true),
            (0.0, true),
            (0.0, true),
            (0.0, false),
        ];
        for (at, (kept, contended)) in looks.into_iter().enumerate() {
            watch.look(kept);
            assert_eq!(watch.idle.is_some(), contended, "look {at}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn threads_that_wait_for_a_processor_are_seen() {
        let ended = AtomicBool::new(false);
        let mut kept = Kept::default();
        let waited = thread::scope(|scope| {
            let compute = || {
                while !ended.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            };
            for _ in 0..2 * processors().expect("processors") {
                scope.spawn(compute);
            }
            // Threads are known from when they are first seen.
            kept.since().expect("times");
            thread::sleep(Duration::from_millis(200));
            let waited = kept.since();
            ended.store(true, Ordering::Relaxed);
            waited.expect("times")
        });
        assert!(waited > Duration::from_millis(50), "{waited:?}");
    }
}
