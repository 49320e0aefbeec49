//! A run that is watched while it trains, and ended in the midst of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::desk::Outcome;

/// What a run has come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// This long after its start.
    Time(Duration),
    /// Its log has this many lines.
    Lines(usize),
    /// The checkpoint of this step is there.
    Checkpoint(u64),
    /// It is writing its n-th file or folder since it was watched; counted from 1, those in its
    /// own folder and among its checkpoints.
    Writing(usize),
    /// Its last checkpoint, that of this step, is there, and its result is being written.
    Exporting(u64),
}

/// A run in progress, which is killed when a test fails meanwhile.
pub struct Running {
    child: Option<Child>,
    run: PathBuf,
    began: Instant,
}

impl Running {
    /// Starts a command that trains in the folder `run`.
    pub fn start(mut command: Command, run: &Path) -> Self {
        Self {
            child: Some(command.spawn().expect("the program starts")),
            run: run.to_owned(),
            began: Instant::now(),
        }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("a run in progress")
    }

    /// The number of its process.
    pub fn id(&mut self) -> u32 {
        self.child().id()
    }

    /// Waits for a moment; answers whether it came before the run ended.
    pub fn reach(&mut self, moment: Moment) -> bool {
        let mut seen = Vec::new();
        let patience = Instant::now();
        while self.child().try_wait().expect("a state").is_none() {
            if self.is_at(moment, &mut seen) {
                return true;
            }
            assert!(patience.elapsed().as_secs() < 120, "{moment:?} never came");
            sleep(Duration::from_micros(50));
        }
        false
    }

    /// Waits for something that comes before the run ends.
    pub fn until(&mut self, come: impl Fn() -> bool) {
        while !come() {
            if self.child().try_wait().expect("a state").is_some() {
                let child = self.child.take().expect("a run that ended");
                let outcome: Outcome = child.wait_with_output().expect("output").into();
                panic!("it ended: {}", outcome.stderr);
            }
            sleep(Duration::from_micros(50));
        }
    }

    fn is_at(&self, moment: Moment, seen: &mut Vec<String>) -> bool {
        let checkpoint = |step| {
            self.run
                .join(format!("checkpoints/step-{step:08}"))
                .is_dir()
        };
        match moment {
            Moment::Time(time) => self.began.elapsed() >= time,
            Moment::Lines(count) => lines(&self.run.join("metrics.jsonl")) >= count,
            Moment::Checkpoint(step) => checkpoint(step),
            Moment::Writing(count) => {
                let checkpoints = writing(&self.run.join("checkpoints"));
                for name in checkpoints.into_iter().chain(writing(&self.run)) {
                    if !seen.contains(&name) {
                        seen.push(name);
                    }
                }
                seen.len() >= count
            }
            Moment::Exporting(last) => {
                let adapter = self.run.join("adapter").is_dir();
                checkpoint(last) && (adapter || !writing(&self.run).is_empty())
            }
        }
    }

    /// Whether it is writing a checkpoint right now.
    pub fn is_saving(&self) -> bool {
        !writing(&self.run.join("checkpoints")).is_empty()
    }

    /// Sends a signal: `INT`, `STOP`, ….
    pub fn signal(&mut self, name: &str) {
        let mut kill = Command::new("sh");
        kill.args(["-c", &format!("kill -s {name} {}", self.child().id())]);
        assert!(kill.status().expect("a shell").success(), "no such process");
    }

    /// Closes the pipes that it writes to.
    pub fn hang_up(&mut self) {
        drop(self.child().stdout.take());
        drop(self.child().stderr.take());
    }

    /// Kills it, without a chance to do anything about it.
    pub fn kill(mut self) {
        self.child().kill().expect("killed");
        self.child().wait().expect("a state");
        self.child = None;
    }

    /// Waits for its end.
    pub fn end(mut self) -> Outcome {
        let child = self.child.take().expect("a run in progress");
        child.wait_with_output().expect("output").into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn lines(path: &Path) -> usize {
    let text = fs::read(path).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// Names in a folder of what is not whole yet.
fn writing(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let name = |entry: std::io::Result<fs::DirEntry>| Some(entry.ok()?.file_name());
    let names = entries
        .filter_map(name)
        .map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".writing-")).collect()
}
