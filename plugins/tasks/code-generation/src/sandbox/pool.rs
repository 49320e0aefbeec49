//! Many runs at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::error::SandboxError;
use super::outcome::Run;
use super::run::{Program, Sandbox};

impl Sandbox {
    /// Runs programs, `parallel` of them at once (0: as many as there are cores); the runs are in
    /// the order of the programs, whatever the order in which they end. `after` is called after
    /// each, from several threads at once, and ends it all by answering false: the runs that are
    /// missing then are left out.
    ///
    /// The threads are this function's own rather than the host's: they wait for processes.
    ///
    /// # Errors
    /// The sandbox itself broke.
    pub fn run_all(
        &self,
        programs: &[Program],
        parallel: usize,
        after: &(dyn Fn(&Run) -> bool + Sync),
    ) -> Result<Vec<Run>, SandboxError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = if parallel == 0 { cores } else { parallel };
        let next = AtomicUsize::new(0);
        let runs = Mutex::new(Vec::with_capacity(programs.len()));
        let broken = Mutex::new(None);
        let stop = || next.store(programs.len(), Ordering::Relaxed);
        thread::scope(|scope| {
            for _ in 0..threads.min(programs.len()) {
                scope.spawn(|| {
                    while let Some((index, program)) = take(programs, &next) {
                        match self.run(program) {
                            Ok(run) => {
                                let more = after(&run);
                                let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
                                runs.push((index, run));
                                if !more {
                                    stop();
                                }
                            }
                            Err(error) => {
                                *broken.lock().unwrap_or_else(PoisonError::into_inner) =
                                    Some(error);
                                stop();
                            }
                        }
                    }
                });
            }
        });
        if let Some(error) = broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
        runs.sort_by_key(|(index, _)| *index);
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }
}

fn take<'a>(programs: &'a [Program], next: &AtomicUsize) -> Option<(usize, &'a Program)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, programs.get(index)?))
}
