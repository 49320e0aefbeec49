//! Handing a command to the engine.

use tenon_core::registry::{Engine, Search};
use tenon_core::request::{Command, EngineRequest};

use super::failure::Failure;
use super::output::Output;

/// Opens the engine and has it do a command; answers the exit code.
pub fn run(command: Command, plugins: &Search, output: &Output) -> Result<i32, Failure> {
    let request = EngineRequest {
        command,
        plugins: plugins.clone(),
        terminal: output.terminal(),
    };
    let request = request.to_json()?;
    Ok(Engine::open()?.run(&request))
}
