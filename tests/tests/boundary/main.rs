//! The boundary between host and plugins, with real libraries: those of `tests/plugins`, opened
//! by the real program where a command reaches it, and by the host's side of plugin-api where
//! only the engine does.

mod errors;
mod evolution;
#[cfg(target_os = "linux")]
mod hostile;
mod next_host;
mod overrides;
mod panics;
mod program;
mod refused;
mod services;
mod together;
mod training;
mod traits;
