//! What the engine does for plugins and for itself: progress, interruption, seeds, threads.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;
use tenon_core::data::rng::derive_seed;
use tenon_core::folder;
use tenon_core::request::Terminal;
use tenon_plugin_api::host::{Services, set_services};

use crate::signals;

/// The state that the run, its signal handlers and all plugins share.
struct Shared {
    interrupted: Arc<AtomicBool>,
    seed: AtomicU64,
    epoch: AtomicU64,
    step: AtomicU64,
    artifacts: Mutex<Option<PathBuf>>,
    bars: MultiProgress,
    interactive: bool,
    plugin_bars: Mutex<HashMap<u64, ProgressBar>>,
    next_bar: AtomicU64,
}

impl Shared {
    fn artifacts(&self) -> MutexGuard<'_, Option<PathBuf>> {
        let artifacts = self.artifacts.lock();
        artifacts.unwrap_or_else(PoisonError::into_inner)
    }
}

static SHARED: OnceLock<Shared> = OnceLock::new();

/// Sets up signals, progress and the services for plugins; once a process.
///
/// The first Ctrl-C (or SIGTERM) asks for a stop at the next safe point, the second ends the
/// process at once.
///
/// # Errors
/// The system refuses a signal handler.
pub fn start(terminal: &Terminal) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    signals::watch(Arc::clone(&interrupted)).context("setting up the handling of Ctrl-C")?;
    let interactive = terminal.interactive && terminal.verbosity >= 0;
    let target = if interactive {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let shared = Shared {
        interrupted,
        seed: AtomicU64::new(0),
        epoch: AtomicU64::new(0),
        step: AtomicU64::new(0),
        artifacts: Mutex::new(None),
        bars: MultiProgress::with_draw_target(target),
        interactive,
        plugin_bars: Mutex::default(),
        next_bar: AtomicU64::new(1),
    };
    if SHARED.set(shared).is_ok() {
        set_services(PluginServices);
    }
    Ok(())
}

fn shared() -> Option<&'static Shared> {
    SHARED.get()
}

/// Whether the user asked to stop.
pub fn interrupted() -> bool {
    shared().is_some_and(|shared| shared.interrupted.load(Ordering::Relaxed))
}

/// Tells where the run stands, from which seeds are derived.
pub fn at(seed: u64, epoch: u64, step: u64) {
    if let Some(shared) = shared() {
        shared.seed.store(seed, Ordering::Relaxed);
        shared.epoch.store(epoch, Ordering::Relaxed);
        shared.step.store(step, Ordering::Relaxed);
    }
}

/// Sets the folder in which components may leave files.
pub fn set_artifacts(folder: PathBuf) {
    let shared = shared();
    drop(shared.and_then(|shared| shared.artifacts().replace(folder)));
}

/// Does what components may leave files of: they get a folder of their own, which takes the place of the folder `name`
/// among the run's artifacts when all is done. So these are always of one whole piece of work, the latest.
///
/// # Errors
/// Those of `work`, after which nothing has changed; or the files cannot be put in place.
pub fn with_artifacts<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some((shared, outer)) = shared().and_then(|all| Some((all, all.artifacts().clone()?)))
    else {
        return work();
    };
    let place = outer.join(name);
    let filling = folder::beside(&place);
    // It is made when a component asks for it.
    drop(shared.artifacts().replace(filling.clone()));
    let done = work();
    drop(shared.artifacts().replace(outer));
    if !filling.exists() {
        return done;
    }
    let kept = match &done {
        Ok(_) => folder::put_in_place(&filling, &place),
        Err(_) => std::fs::remove_dir_all(&filling),
    };
    let done = done?;
    kept.with_context(|| format!("writing {}", place.display()))?;
    Ok(done)
}

/// Whether progress bars are drawn.
pub fn interactive() -> bool {
    shared().is_some_and(|shared| shared.interactive)
}

/// A progress bar that goes when it is dropped.
pub struct Bar(ProgressBar);

impl Bar {
    /// Sets how far it is.
    pub fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    /// Counts more.
    pub fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// Sets the text behind the numbers.
    pub fn message(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A progress bar, drawn only on a terminal.
pub fn bar(what: &str, unit: &str, total: u64) -> Bar {
    Bar(progress_bar(what, unit, total))
}

fn progress_bar(what: &str, unit: &str, total: u64) -> ProgressBar {
    // Without a target of its own, or it would draw once before it joins the others.
    let length = (total > 0).then_some(total);
    let mut bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
    if let Some(shared) = shared() {
        bar = shared.bars.add(bar);
    }
    let template = match total {
        0 => format!("{{prefix:>12}} {{spinner}} {{human_pos}} {unit} {{msg}}"),
        _ => format!(
            "{{prefix:>12}} {{bar:32}} {{human_pos}}/{{human_len}} {unit} {{msg}} {{eta:>4}}"
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar.set_prefix(what.to_owned());
    bar
}

/// Prints a line to standard error without tearing the bars. Whoever read it may be gone; what is
/// being done goes on all the same.
pub fn say(line: &str) {
    let print = || drop(writeln!(std::io::stderr(), "{line}"));
    match shared() {
        Some(shared) if shared.interactive => shared.bars.suspend(print),
        _ => print(),
    }
}

struct PluginServices;

impl Services for PluginServices {
    fn progress_start(&self, what: &str, unit: &str, total: u64) -> u64 {
        let Some(shared) = shared() else { return 0 };
        let id = shared.next_bar.fetch_add(1, Ordering::Relaxed);
        let bar = progress_bar(what, unit, total);
        shared
            .plugin_bars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, bar);
        id
    }

    fn progress_advance(&self, id: u64, by: u64) {
        let Some(shared) = shared() else { return };
        if let Some(bar) = shared
            .plugin_bars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
        {
            bar.inc(by);
        }
    }

    fn progress_finish(&self, id: u64) {
        let Some(shared) = shared() else { return };
        let bar = shared
            .plugin_bars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    fn cancelled(&self) -> bool {
        interrupted()
    }

    fn derive_seed(&self, purpose: &str) -> u64 {
        let Some(shared) = shared() else { return 0 };
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        derive_seed(
            get(&shared.seed),
            get(&shared.epoch),
            get(&shared.step),
            purpose,
        )
    }

    fn artifact_dir(&self) -> Option<PathBuf> {
        let folder = shared()?.artifacts().clone()?;
        std::fs::create_dir_all(&folder).ok()?;
        Some(folder)
    }

    fn parallel_for(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        (0..count).into_par_iter().for_each(body);
    }
}
