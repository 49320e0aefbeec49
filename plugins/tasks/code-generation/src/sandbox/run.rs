//! The sandbox: what it is made of, and the watch over one run.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::error::SandboxError;
use super::files::{Interpreter, View};
use super::limits::Limits;
use super::outcome::{Exit, Run, Stopped, Used, judge};
use super::output::Tail;
use super::report::Report;

/// Whether programs are isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// They are, or there is no sandbox.
    Full,
    /// They are not: only what a process itself can be limited to is.
    None,
}

/// What a sandbox is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The interpreter, a name on the PATH or a path, and its arguments; the program's file follows.
    pub command: Vec<String>,
    /// How much a run may use.
    pub limits: Limits,
    /// Whether programs are isolated.
    pub isolation: Isolation,
    /// Folders and files of the host's that programs may read, besides the system's and the
    /// interpreter's.
    pub readable: Vec<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            command: vec!["python3".to_owned()],
            limits: Limits::default(),
            isolation: Isolation::Full,
            readable: Vec::new(),
        }
    }
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its source.
    pub source: String,
    /// The status with which it ends when it passes.
    pub success: i32,
}

impl Program {
    /// A program that passes when it ends with status 0.
    #[must_use]
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            success: 0,
        }
    }
}

/// Runs programs; may be shared between threads.
#[derive(Debug)]
pub struct Sandbox {
    settings: Settings,
    interpreter: Interpreter,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    view: View,
}

/// A program that waits for its end is looked at this often.
const LOOK: Duration = Duration::from_millis(4);
/// The sum of its memory is taken this often.
const WEIGH: Duration = Duration::from_millis(12);
/// How long the end of a killed program may take.
const PATIENCE: Duration = Duration::from_millis(500);
/// Programs without a sandbox take their settings from here, as those in it do.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/tmp"),
    ("TMPDIR", "/tmp"),
    ("LANG", "C.UTF-8"),
    // The same run has the same result.
    ("PYTHONHASHSEED", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
];

impl Sandbox {
    /// A sandbox, once it is known that it holds.
    ///
    /// # Errors
    /// There is no interpreter, or programs cannot be isolated here and were to be.
    pub fn new(settings: Settings) -> Result<Self, SandboxError> {
        let command = settings.command.first().ok_or(SandboxError::NoCommand)?;
        let interpreter = Interpreter::find(command)?;
        let more: Vec<_> = interpreter
            .needs
            .iter()
            .chain(&settings.readable)
            .cloned()
            .collect();
        let view =
            View::of(&more).map_err(SandboxError::io("looking at what programs may read"))?;
        let sandbox = Self {
            settings,
            interpreter,
            view,
        };
        if sandbox.settings.isolation == Isolation::Full {
            sandbox.probe()?;
        }
        Ok(sandbox)
    }

    /// What it is made of.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs a program to its end or to a limit. Nothing of it is left when this returns.
    ///
    /// # Errors
    /// The sandbox itself broke.
    pub fn run(&self, program: &Program) -> Result<Run, SandboxError> {
        self.start(program, false)
    }

    /// An empty program, which also tries what no limit would show.
    fn probe(&self) -> Result<(), SandboxError> {
        let run = self.start(&Program::new(""), true)?;
        // Whatever the interpreter makes of nothing, it must have been found with its libraries.
        let absent = [
            "error while loading shared libraries",
            "No module named",
            "Fatal Python",
        ];
        if absent.iter().any(|words| run.stderr.contains(words)) {
            return Err(SandboxError::NotStarted {
                command: self.settings.command.join(" "),
                said: run.stderr.trim().to_owned(),
            });
        }
        Ok(())
    }

    fn start(&self, program: &Program, probe: bool) -> Result<Run, SandboxError> {
        let start = Instant::now();
        let mut running = match self.settings.isolation {
            Isolation::Full => self.start_isolated(program, probe)?,
            Isolation::None => self.start_open(program)?,
        };
        let stopped = running.watch(&self.settings.limits, start);
        running.end(&self.settings.limits, start, program.success, stopped)
    }

    /// The command, but for the program's file.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter.program);
        command
            .args(self.settings.command.iter().skip(1))
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[cfg(not(target_os = "linux"))]
    fn start_isolated(&self, _program: &Program, _probe: bool) -> Result<Running, SandboxError> {
        Err(SandboxError::NotIsolated {
            step: "there is isolation on Linux only",
            source: io::ErrorKind::Unsupported.into(),
        })
    }

    #[cfg(target_os = "linux")]
    fn start_isolated(&self, program: &Program, probe: bool) -> Result<Running, SandboxError> {
        use super::{jail, sys};

        let refuse = |step| move |source| SandboxError::NotIsolated { step, source };
        let (hold, lifeline) = io::pipe()
            .map(|(read, write)| (write, read))
            .map_err(SandboxError::io("making a pipe"))?;
        let (mut told, report) = io::pipe().map_err(SandboxError::io("making a pipe"))?;
        let (source, limits) = (&program.source, &self.settings.limits);
        let jail = jail::Jail::new(&self.view, limits, source, lifeline.into(), report.into())
            .map_err(refuse("laying out a jail"))?;
        let mut command = self.command();
        command.arg(jail::PROGRAM);
        sys::before_exec(&mut command, move || jail.enter(probe));
        let child = command.spawn();
        // With the command go this side's ends of what the jail holds, so that the report can end.
        drop(command);
        match child {
            Ok(child) => Ok(Running::new(
                child,
                Holds::Jail {
                    lifeline: hold,
                    told,
                },
            )),
            Err(source) => {
                let mut bytes = Vec::new();
                let _ = told.read_to_end(&mut bytes);
                let step = Report::read(&bytes).failed;
                Err(refuse(step.unwrap_or("starting the interpreter"))(source))
            }
        }
    }

    fn start_open(&self, program: &Program) -> Result<Running, SandboxError> {
        let folder = tempfile::tempdir().map_err(SandboxError::io("making a folder"))?;
        let file = folder.path().join("main");
        fs::write(&file, &program.source).map_err(SandboxError::io("writing a program"))?;
        let mut command = self.command();
        command.arg(&file).current_dir(folder.path());
        for name in ["HOME", "TMPDIR"] {
            command.env(name, folder.path());
        }
        own_group(&mut command);
        limit(&mut command, &self.settings.limits);
        let child = command
            .spawn()
            .map_err(SandboxError::io("starting the interpreter"))?;
        Ok(Running::new(child, Holds::Group { _folder: folder }))
    }
}

#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_command: &mut Command) {}

#[cfg(target_os = "linux")]
fn limit(command: &mut Command, limits: &Limits) {
    let resources = limits.resources();
    super::sys::before_exec(command, move || Ok(super::jail::limit(&resources)?));
}

#[cfg(not(target_os = "linux"))]
fn limit(_command: &mut Command, _limits: &Limits) {}

/// What ends a program and all that came of it.
#[derive(Debug)]
enum Holds {
    /// The jail ends when the lifeline is dropped, and tells how its program ended.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    Jail {
        lifeline: io::PipeWriter,
        told: io::PipeReader,
    },
    /// The program's process group, and the folder that it ran in.
    Group { _folder: tempfile::TempDir },
}

/// A program that runs.
struct Running {
    child: Child,
    holds: Option<Holds>,
    printed: Arc<AtomicU64>,
    stdout: Tail,
    stderr: Tail,
}

impl Running {
    fn new(mut child: Child, holds: Holds) -> Self {
        let printed = Arc::new(AtomicU64::new(0));
        let stdout = child.stdout.take().map(|stream| Tail::of(stream, &printed));
        let stderr = child.stderr.take().map(|stream| Tail::of(stream, &printed));
        Self {
            child,
            holds: Some(holds),
            printed,
            stdout: stdout.unwrap_or_default(),
            stderr: stderr.unwrap_or_default(),
        }
    }

    /// Waits for the end; tells why it came if the program did not end by itself.
    fn watch(&mut self, limits: &Limits, start: Instant) -> Option<Stopped> {
        let mut weighed = start;
        let mut pause = Duration::from_micros(500);
        while let Ok(None) = self.child.try_wait() {
            if self.printed.load(Ordering::Relaxed) > limits.output {
                return Some(Stopped::Output);
            }
            if start.elapsed() > limits.time {
                return Some(Stopped::Time);
            }
            if weighed.elapsed() > WEIGH {
                weighed = Instant::now();
                if self.memory() > limits.memory {
                    return Some(Stopped::Memory);
                }
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LOOK);
        }
        let printed = self.printed.load(Ordering::Relaxed);
        (printed > limits.output).then_some(Stopped::Output)
    }

    #[cfg(target_os = "linux")]
    fn memory(&self) -> u64 {
        match self.holds {
            Some(Holds::Jail { .. }) => super::memory::held(self.child.id()),
            _ => 0,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn memory(&self) -> u64 {
        0
    }

    /// Ends what is left, and tells how it was.
    fn end(
        mut self,
        limits: &Limits,
        start: Instant,
        success: i32,
        stopped: Option<Stopped>,
    ) -> Result<Run, SandboxError> {
        let mut report = Report::default();
        let mut patience = PATIENCE;
        let status = match self.holds.take() {
            Some(Holds::Jail { lifeline, mut told }) => {
                drop(lifeline);
                let status = self.child.wait();
                let mut bytes = Vec::new();
                // Every writer has ended; what they wrote is in the pipe.
                let read = told.read_to_end(&mut bytes);
                read.map_err(SandboxError::io("reading how a program ended"))?;
                report = Report::read(&bytes);
                patience = Duration::from_secs(10);
                status
            }
            Some(group @ Holds::Group { .. }) => {
                kill_group(&mut self.child);
                let status = self.child.wait();
                drop(group);
                status
            }
            None => self.child.wait(),
        };
        let status = status.map_err(SandboxError::io("waiting for a program"))?;
        let (stdout, stderr) = (self.stdout.wait(patience), self.stderr.wait(patience));
        let exit = report.exit.unwrap_or_else(|| exit_of(status));
        let cpu = report.exit.map(|_| Duration::from_micros(report.cpu));
        let used = Used {
            all_time: cpu.is_some_and(|cpu| cpu >= limits.time),
            most_memory: report.peak_memory >= limits.memory / 8 * 7,
        };
        Ok(Run {
            outcome: match stopped {
                Some(stopped) => stopped.into(),
                None => judge(exit, success, &used, &stderr),
            },
            time: start.elapsed(),
            cpu,
            peak_memory: report.exit.map(|_| report.peak_memory),
            stdout,
            stderr,
        })
    }
}

impl Drop for Running {
    /// A run that ends early, by an error or a panic of the host's, leaves nothing either.
    fn drop(&mut self) {
        if let Some(holds) = self.holds.take() {
            if matches!(holds, Holds::Group { .. }) {
                kill_group(&mut self.child);
            }
            drop(holds);
            let _ = self.child.wait();
        }
    }
}

#[cfg(unix)]
fn kill_group(child: &mut Child) {
    use nix::sys::signal::{Signal, killpg};
    let group = nix::unistd::Pid::from_raw(child.id() as i32);
    // Nobody is left in the group when all has ended.
    let _ = killpg(group, Signal::SIGKILL);
}

#[cfg(not(unix))]
fn kill_group(child: &mut Child) {
    let _ = child.kill();
}

#[cfg(unix)]
fn exit_of(status: std::process::ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

#[cfg(not(unix))]
fn exit_of(status: std::process::ExitStatus) -> Exit {
    Exit::Code(status.code().unwrap_or(-1))
}
