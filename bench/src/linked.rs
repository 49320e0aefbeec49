//! `tenon train` as one program: engine and plugins are linked, nothing is opened at run time.
//!
//! It takes the same run files and leaves the same run folders. `cargo xtask bench` holds its speed
//! against the program with opened plugins, and a test that both compute the same bits.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Args, Parser};
use tenon_core::config::{self, LoadRequest, Purpose};
use tenon_core::data::probe;
use tenon_core::registry::{Registry, Search, leave};
use tenon_core::request::{
    Command, EarlierRun, EngineRequest, RunFileText, Terminal, TrainRequest,
};
use tenon_plugin_api::host::Plugin;

/// `tenon` with plugins that are part of the program
#[derive(Parser)]
enum Arguments {
    /// Train the model of a run file
    Train(Train),
}

#[derive(Args)]
struct Train {
    /// The run file
    run: PathBuf,
    /// Set a key of the run file, such as `train.epochs=1`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Delete an earlier run of this name and start anew
    #[arg(long)]
    overwrite: bool,
}

fn main() {
    let Arguments::Train(arguments) = Arguments::parse();
    let code = match request(&arguments) {
        Ok(request) => tenon_engine::run(&request, plugins()),
        Err(error) => {
            eprintln!("error: {error:#}");
            1
        }
    };
    leave(code)
}

/// The plugins that the run files of the bench name.
fn plugins() -> Vec<Plugin> {
    let roots = [
        tenon_bert::tenon_plugin(),
        tenon_classification::tenon_plugin(),
        tenon_lora::tenon_plugin(),
        tenon_classification_metrics::tenon_plugin(),
    ];
    roots.into_iter().map(Plugin::linked).collect()
}

/// Checks the run file as `tenon train` does.
fn request(arguments: &Train) -> Result<EngineRequest> {
    let mut load = LoadRequest::new(&arguments.run);
    load.sets.clone_from(&arguments.set);
    let mut registry = Registry::default();
    for plugin in plugins() {
        registry.add_linked(plugin)?;
    }
    let draft = config::load(&load).map_err(|report| anyhow!("{report}"))?;
    let resolved = draft.check(Purpose::Train, &registry, &probe);
    let resolved = resolved.map_err(|report| anyhow!("{report}"))?;
    let train = TrainRequest {
        run_file: RunFileText {
            path: arguments.run.clone(),
            resolved: resolved.to_toml(),
            with_origins: resolved.to_annotated_toml(),
        },
        settings: resolved.settings,
        earlier: match arguments.overwrite {
            true => EarlierRun::Overwrite,
            false => EarlierRun::AsConfigured,
        },
        allow_changed_plugins: false,
    };
    Ok(EngineRequest {
        command: Command::Train(Box::new(train)),
        plugins: Search::default(),
        terminal: Terminal {
            interactive: false,
            colour: false,
            json: false,
            verbosity: 0,
        },
    })
}
