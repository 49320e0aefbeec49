//! Ctrl-C and SIGTERM, which a thread of their own takes.
//!
//! A thread that computes is never interrupted. The matrix products that oneDNN generates for AVX-512 keep values
//! below the stack pointer, further than the 128 bytes that the System V ABI grants: a signal's frame is written over
//! them, and the product then writes where it should not (libtorch 2.11; the heap is damaged, and what should have
//! been saved is lost).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM};
use tenon_core::request::exit;

/// For how long after the first signal others are the same wish: `timeout` signals the program and then its group.
const SAME: Duration = Duration::from_millis(300);

/// Has the first of these signals set `interrupted`, and the next one end the process at once. To be called before
/// threads are started that compute: they take over which signals are not for them.
///
/// # Errors
/// The system refuses a handler or a thread.
pub fn watch(interrupted: Arc<AtomicBool>) -> Result<()> {
    let first = OnceLock::new();
    take(move || {
        interrupted.store(true, Ordering::Relaxed);
        if first.get_or_init(Instant::now).elapsed() > SAME {
            signal_hook::low_level::exit(exit::INTERRUPTED);
        }
    })
}

/// Calls `stop` at each signal.
#[cfg(unix)]
fn take(stop: impl Fn() + Send + 'static) -> Result<()> {
    use nix::sys::signal::{SigSet, Signal};

    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || signals.forever().for_each(|_| stop()))?;
    let mut elsewhere = SigSet::empty();
    elsewhere.add(Signal::SIGINT);
    elsewhere.add(Signal::SIGTERM);
    elsewhere.thread_block()?;
    Ok(())
}

/// Calls `stop` at each signal: in a thread that the system makes for it.
#[cfg(windows)]
fn take(stop: impl Fn() + Send + Sync + 'static) -> Result<()> {
    let stop = Arc::new(stop);
    for signal in [SIGINT, SIGTERM] {
        let stop = Arc::clone(&stop);
        // SAFETY: an atomic and the end of the process are all that `stop` touches.
        unsafe { signal_hook::low_level::register(signal, move || stop()) }?;
    }
    Ok(())
}
