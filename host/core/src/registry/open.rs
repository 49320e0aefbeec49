//! Opening libraries: the one file of the host with `unsafe` code in it.
//!
//! Libraries are never closed: thread-local destructors of a closed one would run freed code.

use std::ffi::c_void;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use libloading::Library;
use tenon_plugin_api::host::{OpenError, Plugin};
use thiserror::Error;

use super::manifest::{ApiVersion, Manifest};
use super::problem::Problem;
use crate::request::ENTRY;

/// Seconds after which a plugin that is being opened is given up.
pub const TIMEOUT_VARIABLE: &str = "TENON_PLUGIN_TIMEOUT";
const TIMEOUT_SECONDS: u64 = 10;

/// Whether an initialiser hangs, and with it the dynamic linker.
static HANGS: AtomicBool = AtomicBool::new(false);

/// A plugin that was opened.
#[derive(Clone, Copy)]
pub struct Opened {
    /// Its table.
    pub plugin: Plugin,
    /// How long opening it took.
    pub load_time: Duration,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("load_time", &self.load_time)
            .finish_non_exhaustive()
    }
}

/// Opens a plugin and starts it, on a thread that is given up when it does not come back.
///
/// # Errors
/// See [`Problem`].
pub(super) fn open(path: &Path, manifest: &Manifest) -> Result<Opened, Problem> {
    let open_failed = |reason: String| Problem::Open { reason };
    if HANGS.load(Ordering::Relaxed) {
        let reason = "an initialiser of another plugin hangs in the dynamic linker";
        return Err(open_failed(reason.to_owned()));
    }
    // Without a folder in it, the linker would look the name up elsewhere.
    let path = std::path::absolute(path).map_err(|error| open_failed(error.to_string()))?;
    let (symbol, api) = (manifest.symbol.clone(), manifest.api);
    let answer = Arc::new(Answer::default());
    let asked = Arc::clone(&answer);
    let work = move || {
        let start = Instant::now();
        // What checks a plugin contains its panics; whatever is left must not be waited for.
        let result = catch_unwind(AssertUnwindSafe(|| open_here(&path, &symbol, api)));
        let panicked = |_| {
            let reason = "it panicked while it was started".to_owned();
            Err(Problem::Start { reason })
        };
        asked.give(result.unwrap_or_else(panicked).map(|plugin| Opened {
            plugin,
            load_time: start.elapsed(),
        }));
    };
    let thread = std::thread::Builder::new().name("open-plugin".to_owned());
    thread
        .spawn(work)
        .map_err(|error| open_failed(error.to_string()))?;
    let seconds = timeout_seconds();
    answer
        .wait(Duration::from_secs(seconds))
        .unwrap_or_else(|| {
            HANGS.store(true, Ordering::Relaxed);
            Err(Problem::Hangs { seconds })
        })
}

/// What the thread that opens a plugin has to say.
///
/// No channel: the first wait on one registers a destructor with the dynamic linker, whose lock an
/// initialiser that hangs holds, so that the waiting thread would hang too.
#[derive(Default)]
struct Answer {
    result: Mutex<Option<Result<Opened, Problem>>>,
    given: Condvar,
}

impl Answer {
    fn give(&self, result: Result<Opened, Problem>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.given.notify_all();
    }

    /// The answer, if it comes in time.
    fn wait(&self, time: Duration) -> Option<Result<Opened, Problem>> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .given
            .wait_timeout_while(result, time, |result| result.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

fn timeout_seconds() -> u64 {
    let set = std::env::var(TIMEOUT_VARIABLE).ok();
    let set = set.and_then(|text| text.parse().ok());
    set.unwrap_or(TIMEOUT_SECONDS).max(1)
}

fn open_here(path: &Path, symbol: &str, api: ApiVersion) -> Result<Plugin, Problem> {
    let library = load(path).map_err(|reason| Problem::Open { reason })?;
    let address = find(&library, symbol).map_err(|reason| Problem::Open { reason })?;
    // The handle is dropped nowhere, so the library stays.
    std::mem::forget(library);
    // SAFETY: the manifest says that `register!` exported the symbol, the allow-list was checked,
    // and the library stays.
    unsafe { Plugin::from_symbol(address) }.map_err(|error| match error {
        OpenError::Layout { first, dump } => Problem::Layout {
            api,
            ours: ApiVersion::ours(),
            first,
            dump,
        },
        other => Problem::Start {
            reason: other.to_string(),
        },
    })
}

/// Opens a library so that its symbols are its own, all are bound now, and it stays.
fn load(path: &Path) -> Result<Library, String> {
    #[cfg(unix)]
    // SAFETY: initialisers run. Whether to trust them is decided before: by the user, who put the
    // file where plugins are looked for, and by the allow-list of the run file.
    let library = unsafe {
        use libloading::os::unix;
        let flags = unix::RTLD_NOW | unix::RTLD_LOCAL | libc::RTLD_NODELETE;
        unix::Library::open(Some(path), flags).map(Library::from)
    };
    #[cfg(not(unix))]
    // SAFETY: as above.
    let library = unsafe { Library::new(path) };
    library.map_err(|error| reason(&error))
}

/// Opens a library of libtorch's own, which registers itself with the others and stays.
///
/// # Errors
/// What the system's linker says.
pub fn open_part_of_libtorch(path: &Path) -> Result<(), String> {
    load(path).map(std::mem::forget)
}

/// The address of a symbol.
fn find(library: &Library, symbol: &str) -> Result<*const c_void, String> {
    // SAFETY: only the address is taken.
    let found = unsafe { library.get::<*const c_void>(symbol) };
    match found.map(|found| *found) {
        Ok(address) if !address.is_null() => Ok(address),
        Ok(_) => Err(format!("its symbol `{symbol}` has no address")),
        Err(error) => Err(reason(&error)),
    }
}

/// What the system's linker says, without the names of functions around it.
fn reason(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

/// The engine's library, opened.
pub struct Engine {
    run: extern "C" fn(*const u8, usize) -> i32,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// Why the engine cannot be used.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Its library is not there.
    #[error(
        "the engine {name} is not beside the program (looked in: {})\n  help: reinstall tenon, or build it with `cargo build -p tenon`",
        looked_in.join(", ")
    )]
    Missing {
        /// Name of the library.
        name: String,
        /// Where it was looked for.
        looked_in: Vec<String>,
    },
    /// The linker refuses it; most likely libtorch is not where it was.
    #[error(
        "the engine {} cannot be opened: {reason}\n  help: it needs libtorch; `cargo xtask setup` finds or fetches it",
        path.display()
    )]
    Open {
        /// The library.
        path: PathBuf,
        /// What the linker says.
        reason: String,
    },
}

impl Engine {
    /// Finds the engine beside the program and opens it, and libtorch with it.
    ///
    /// # Errors
    /// It is not there or cannot be opened.
    pub fn open() -> Result<Self, EngineError> {
        let name = engine_name();
        let folders = engine_folders();
        let found = folders.iter().map(|folder| folder.join(&name));
        let Some(path) = found.clone().find(|path| path.is_file()) else {
            let looked_in = folders.iter().map(|folder| folder.display().to_string());
            return Err(EngineError::Missing {
                name,
                looked_in: looked_in.collect(),
            });
        };
        Self::open_at(path)
    }

    fn open_at(path: PathBuf) -> Result<Self, EngineError> {
        settle_libraries();
        let opened = load(&path).and_then(|library| {
            let entry = find(&library, ENTRY)?;
            std::mem::forget(library);
            Ok(entry)
        });
        let entry = opened.map_err(|reason| EngineError::Open { path, reason })?;
        // SAFETY: the engine of this release exports the entry with this signature, and stays.
        let run = unsafe {
            std::mem::transmute::<*const c_void, extern "C" fn(*const u8, usize) -> i32>(entry)
        };
        Ok(Self { run })
    }

    /// Gives the engine a request and returns its exit code.
    #[must_use]
    pub fn run(&self, request: &str) -> i32 {
        (self.run)(request.as_ptr(), request.len())
    }
}

/// How often OpenMP's threads turn in a loop before they sleep, where the engine watches whether others want the
/// processors (its `contention`): the variable and its value.
pub const ADAPTED_WAITING: (&str, &str) = ("GOMP_SPINCOUNT", "100000");

/// Turns of that loop where the system does not tell whether others do: between what is best on idle processors and
/// what is on busy ones.
const FIXED_WAITING: &str = "5000";

/// Settings of the libraries inside libtorch, unless the user made them: each reads its own when it
/// is loaded, with the engine.
///
/// oneDNN keeps the kernels of the last 1024 shapes, some hundred MiB where the number of tokens varies; with the last
/// 64 it is as fast.
fn settle_libraries() {
    let (spin_count, adapted) = ADAPTED_WAITING;
    let told = Path::new("/proc/self/schedstat").exists();
    let turns = if told { adapted } else { FIXED_WAITING };
    for (name, value, instead_of) in [
        (spin_count, turns, "OMP_WAIT_POLICY"),
        (
            "ONEDNN_PRIMITIVE_CACHE_CAPACITY",
            "64",
            "DNNL_PRIMITIVE_CACHE_CAPACITY",
        ),
    ] {
        let is_set = |name| std::env::var_os(name).is_some();
        if !is_set(name) && !is_set(instead_of) {
            // SAFETY: the program has one thread until the engine is open.
            unsafe { std::env::set_var(name, value) }
        }
    }
}

/// Name of the engine's library, which is no plugin although it lies where plugins do.
pub(super) fn engine_name() -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("{prefix}tenon_engine{suffix}")
}

/// Where cargo puts a dependency's libraries, beside the program, and in an installation. The copy
/// that cargo makes beside the program is renewed only when the engine is built for its own sake: it
/// may be older than the program.
fn engine_folders() -> Vec<PathBuf> {
    let program = std::env::current_exe().and_then(|program| program.canonicalize());
    let Some(folder) = program
        .ok()
        .and_then(|path| path.parent().map(Path::to_owned))
    else {
        return Vec::new();
    };
    let installed = folder
        .parent()
        .map(|prefix| prefix.join("lib").join("tenon"));
    let deps = folder.join("deps");
    [deps, folder].into_iter().chain(installed).collect()
}

/// Ends the process at once, after writing out what was printed.
///
/// Destructors of libraries do not run: those of libtorch take long and may crash, and while an
/// initialiser hangs the dynamic linker would never return.
pub fn leave(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    #[cfg(unix)]
    // SAFETY: ends the process; takes no pointers.
    unsafe {
        libc::_exit(code)
    }
    #[cfg(not(unix))]
    std::process::exit(code)
}

/// Lets a process that writes into a closed pipe end quietly, as `tenon … | head` should.
///
/// Rust ignores the signal, so that printing would panic instead.
pub fn end_on_broken_pipe() {
    #[cfg(unix)]
    // SAFETY: sets the default action; no handler runs.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
