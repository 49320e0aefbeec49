//! The libtorch engine of tenon: training, evaluation and prediction.
//!
//! The `tenon` binary opens this library only for commands that compute, so that everything else
//! answers without loading libtorch. Its one entry is [`tenon_engine_run`]; programs that link it
//! call [`run`].
//!
//! Reading order: [`run`] → `session` (a run's components put together) → `train` (the loop) →
//! `evaluate` → `generate` → `predict` → `export`.

mod allocator;
mod checkpoint;
mod commands;
mod contention;
mod cuda;
mod data;
mod demonstrations;
mod encoder;
mod evaluate;
mod export;
mod facts;
mod generate;
mod hub;
mod loss;
mod optimizer;
mod params;
mod part;
mod place;
mod predict;
mod pretrained;
mod report;
mod schedule;
mod services;
mod session;
mod signals;
mod summary;
mod tokenizer;
mod train;
mod weights;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tenon_core::registry::{PinsError, PluginError};
use tenon_core::request::{EngineRequest, exit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::evaluate::Stopped;

/// The entry that the `tenon` binary calls with an [`EngineRequest`] as UTF-8 JSON; answers the
/// exit code of the process.
///
/// # Safety
/// `request` points to `len` bytes that live for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tenon_engine_run(request: *const u8, len: usize) -> i32 {
    // SAFETY: the caller vouches for the bytes.
    let text = unsafe { std::slice::from_raw_parts(request, len) };
    let outcome = catch_unwind(AssertUnwindSafe(|| match EngineRequest::from_json(text) {
        Ok(request) => run(&request, Vec::new()),
        Err(error) => {
            eprintln!("error: the engine cannot read its request: {error}");
            exit::FAILED
        }
    }));
    outcome.unwrap_or(exit::FAILED)
}

/// Does what a request asks for; answers the exit code. `linked` are plugins that are part of the
/// program.
pub fn run(request: &EngineRequest, linked: Vec<tenon_plugin_api::host::Plugin>) -> i32 {
    log(request);
    allocator::keep_freed();
    match commands::run(request, linked) {
        Ok(code) => code,
        Err(error) if error.is::<Stopped>() => exit::INTERRUPTED,
        Err(error) => {
            services::say(&describe(&error));
            let plugin = error.is::<PluginError>() || error.is::<PinsError>();
            if plugin { exit::PLUGIN } else { exit::FAILED }
        }
    }
}

/// An error with its causes, each said once.
fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !last.contains(&cause) {
            text.push_str(&format!("\n  cause: {cause}"));
        }
        last = cause;
    }
    text
}

/// Sends `tracing` events, those of plugins too, to standard error without tearing the bars.
fn log(request: &EngineRequest) {
    let default = match request.terminal.verbosity {
        ..=-2 => "error",
        -1 | 0 => "warn",
        1 => "info,tenon=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("TENON_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(request.terminal.colour)
        .without_time()
        .with_writer(Stderr)
        .finish();
    // A program that links the engine may have its own.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Standard error, written line by line around the progress bars.
struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

struct Line(Vec<u8>);

impl std::io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        let text = text.trim_end();
        if !text.is_empty() {
            services::say(text);
        }
    }
}
