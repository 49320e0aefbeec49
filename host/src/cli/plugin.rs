//! `tenon plugin`: which plugins there are, and what they bring.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenon_core::config::{PluginSettings, component_reference, expected};
use tenon_core::registry::{Component, Entry, Registry, Search};
use tenon_core::request::exit;

use super::config::write;
use super::options::PluginOptions;
use super::output::{DIM, NAME, pad, wrap};
use super::{Failure, Output};

/// Show the plugins that are found, and what they bring
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  tenon plugin list
  tenon plugin inspect f1")]
pub enum PluginCommand {
    List(ListArgs),
    Inspect(InspectArgs),
    Reference(ReferenceArgs),
}

/// List the plugins and their components, and what is wrong with those that cannot be used
///
/// Looked for, in this order: the folders of --plugin-dir; those of TENON_PLUGIN_PATH; beside the
/// program; the user's folder, ~/.local/share/tenon/plugins on Linux. A run file may name more, in
/// `[plugins] paths`. What a plugin brings is read from its file; none is opened.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon plugin list
  tenon plugin list --plugin-dir target/release --json")]
pub struct ListArgs {
    #[command(flatten)]
    plugins: PluginOptions,
}

/// Show a plugin or a component: options with docs and defaults, version, path, hash
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon plugin inspect lora
  tenon plugin inspect classification-metrics::f1 --json")]
pub struct InspectArgs {
    /// A plugin, a component, or `plugin::component`
    name: String,
    /// Open the plugin too, and tell how long that took
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    plugins: PluginOptions,
}

/// Print all components with their options, as Markdown
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon plugin reference --output components.md
  tenon plugin reference --plugin-dir target/release")]
pub struct ReferenceArgs {
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    plugins: PluginOptions,
}

/// Shows plugins.
pub fn run(command: &PluginCommand, output: &Output) -> Result<i32, Failure> {
    match command {
        PluginCommand::List(args) => list(&scan(&args.plugins), output),
        PluginCommand::Inspect(args) => return inspect(args, output),
        PluginCommand::Reference(args) => {
            let registry = scan(&args.plugins);
            output.warn_of_plugins(&registry);
            write(
                args.output.as_deref(),
                &component_reference(&registry),
                output,
            )?;
        }
    }
    Ok(exit::OK)
}

fn scan(options: &PluginOptions) -> Registry {
    Registry::scan(&Search::new(&options.dirs, &[]), &PluginSettings::default())
}

fn list(registry: &Registry, output: &Output) {
    if output.json {
        let entries: Vec<_> = registry.entries().iter().map(entry_json).collect();
        output.print_json(&json!({ "plugins": entries }));
        return;
    }
    let mut text = String::new();
    for entry in registry
        .entries()
        .iter()
        .filter(|entry| entry.problem().is_none())
    {
        let Some(manifest) = entry.manifest() else {
            continue;
        };
        let name = output.paint(NAME, &pad(entry.name(), 24));
        let path = output.paint(DIM, &entry.path().display().to_string());
        text.push_str(&format!("{name} {}  {path}\n", manifest.version));
        for component in &manifest.components {
            let about = &component.about;
            text.push_str(&format!(
                "  {} {} {about}\n",
                pad(&component.kind_name, 7),
                pad(&component.id, 18)
            ));
        }
    }
    if text.is_empty() {
        let found = match registry.entries().is_empty() {
            true => "no plugins found",
            false => "no plugin that was found can be used",
        };
        text.push_str(&format!(
            "{found}; --plugin-dir names a folder to look in\n"
        ));
    }
    output.print(&text);
    output.warn_of_plugins(registry);
}

fn inspect(args: &InspectArgs, output: &Output) -> Result<i32, Failure> {
    let registry = scan(&args.plugins);
    let (plugin, id) = match args.name.split_once("::") {
        Some((plugin, id)) => (Some(plugin), Some(id)),
        None => (None, None),
    };
    let brings = |entry: &Entry, id: &str| {
        entry
            .manifest()
            .is_some_and(|manifest| manifest.components.iter().any(|found| found.id == id))
    };
    let is_meant = |entry: &&Entry| match (plugin, id) {
        (Some(plugin), Some(id)) => entry.name() == plugin && brings(entry, id),
        _ => entry.name() == args.name || brings(entry, &args.name),
    };
    let found: Vec<&Entry> = registry.entries().iter().filter(is_meant).collect();
    if found.is_empty() {
        return Err(Failure::NothingNamed {
            name: args.name.clone(),
        });
    }
    let mut all = Vec::new();
    for entry in found {
        if args.open {
            entry.open()?;
        }
        // A component's own name shows that component, a plugin's name all of its.
        let only = id.or((entry.name() != args.name).then_some(args.name.as_str()));
        if output.json {
            all.push(entry_json(entry));
        } else {
            output.print(&describe(entry, only, output));
        }
    }
    if output.json {
        output.print_json(&json!({ "plugins": all }));
    }
    Ok(exit::OK)
}

fn describe(entry: &Entry, only: Option<&str>, output: &Output) -> String {
    let mut text = format!("{}\n", output.paint(NAME, entry.name()));
    let mut row = |key: &str, value: &str| text.push_str(&format!("  {} {value}\n", pad(key, 10)));
    if let Some(manifest) = entry.manifest() {
        row("version", &manifest.version);
        row("api", &manifest.api.to_string());
        row("libtorch", manifest.torch.as_deref().unwrap_or("not used"));
    }
    row("path", &entry.path().display().to_string());
    if let Ok(hash) = entry.sha256() {
        row("sha256", &hash);
    }
    if let Some(opened) = entry.opened() {
        row(
            "opened in",
            &format!("{:.2} ms", opened.load_time.as_secs_f64() * 1e3),
        );
    }
    if let Some(error) = entry.error() {
        row("problem", &error.line());
    }
    let components = entry
        .manifest()
        .into_iter()
        .flat_map(|manifest| &manifest.components);
    for component in components.filter(|component| only.is_none_or(|only| component.id == only)) {
        text.push_str(&describe_component(component, output));
    }
    text
}

fn describe_component(component: &Component, output: &Output) -> String {
    let id = output.paint(NAME, &component.id);
    let mut text = format!("\n{} {id}\n", component.kind_name);
    if !component.about.is_empty() {
        text.push_str(&format!("  {}\n", component.about));
    }
    let options = component
        .schema
        .get("properties")
        .and_then(Value::as_object);
    for (name, property) in options.into_iter().flatten() {
        let default = match property.get("default") {
            Some(default) => format!("default {default}"),
            None => "no default".to_owned(),
        };
        let name = output.paint(NAME, &pad(name, 24));
        text.push_str(&format!("  {name} {}\n", output.paint(DIM, &default)));
        let doc = property
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let expected = wrap(&expected(property), 72);
        for line in expected.into_iter().chain(wrap(doc, 72)) {
            text.push_str(&format!("      {line}\n"));
        }
    }
    text
}

fn entry_json(entry: &Entry) -> Value {
    json!({
        "name": entry.name(),
        "path": entry.path(),
        "sha256": entry.sha256().ok(),
        "load_seconds": entry.opened().map(|opened| opened.load_time.as_secs_f64()),
        "problem": entry.error().map(|error| json!({"code": error.problem.code(), "message": error.to_string()})),
        "manifest": entry.manifest().and_then(|manifest| serde_json::from_str::<Value>(&manifest.text).ok()),
    })
}
