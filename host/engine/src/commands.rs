//! The engine's commands: what each sets up, runs and writes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tenon_core::config::options::Generate;
use tenon_core::config::{
    Catalog, ComponentSettings, DataSettings, HeldOut, Kind, Pretrained, RunSettings,
};
use tenon_core::folder::{RunFolder, remove_leftovers, write_atomically};
use tenon_core::registry::{Pins, Registry, used};
use tenon_core::request::{
    Command, EngineRequest, EvaluateOn, EvaluateRequest, MergeRequest, PredictRequest, Split,
    TrainRequest, Weights, exit,
};
use tenon_plugin_api::host::Plugin;
use tenon_plugin_api::model::Forward;

use crate::checkpoint::{self, Checkpoints};
use crate::contention;
use crate::cuda;
use crate::data::{Discovered, Splits};
use crate::demonstrations;
use crate::evaluate::{Evaluation, How, Stopped, evaluate};
use crate::export::{self, Merge};
use crate::part::{self, Part};
use crate::place::{self, Earlier, RunState};
use crate::predict::{self, Lines};
use crate::report::Reporter;
use crate::services;
use crate::session::{OpenTask, Session, open_task};
use crate::summary::{self, Phases};
use crate::tokenizer::trained;
use crate::train::{End, Trainer, training_summary};

/// Does what a request asks for.
///
/// # Errors
/// Whatever goes wrong, with what was being done.
pub fn run(request: &EngineRequest, linked: Vec<Plugin>) -> Result<i32> {
    services::start(&request.terminal)?;
    let settings = match &request.command {
        Command::Train(train) => &train.settings,
        Command::Evaluate(evaluate) => &evaluate.settings,
        Command::Predict(predict) => &predict.settings,
        Command::Merge(merge) => &merge.settings,
        Command::Tokenizer(tokenizer) => &tokenizer.settings,
    };
    cuda::open(settings.run.device)?;
    if let Some(threads) = settings.run.threads {
        tch::set_num_threads(threads.max(1) as i32);
    }
    contention::watch().context("starting a thread")?;
    let mut registry = Registry::scan(&request.plugins, &settings.plugins);
    for plugin in linked {
        registry.add_linked(plugin)?;
    }
    let registry = Arc::new(registry);
    match &request.command {
        Command::Train(train) => self::train(train, registry, request),
        Command::Evaluate(evaluate) => self::evaluate_run(evaluate, registry, request),
        Command::Predict(predict) => self::predict(predict, registry),
        Command::Merge(merge) => self::merge(merge, registry, request),
        Command::Tokenizer(tokenizer) => {
            let task = open_task(&registry, &tokenizer.settings)?;
            trained::command(tokenizer, &task.info.columns)
        }
    }
}

fn train(request: &TrainRequest, registry: Arc<Registry>, engine: &EngineRequest) -> Result<i32> {
    let folder = RunFolder::new(request.settings.run.folder());
    match train_in(&folder, request, registry, engine) {
        // The rest of the run is as it was at the latest checkpoint, or at the start.
        Err(error) if error.is::<Stopped>() && RunFolder::is_run(folder.root()) => {
            services::say(&format!("stopped; {}", to_go_on(&folder)));
            Ok(exit::INTERRUPTED)
        }
        Err(error) if error.is::<Stopped>() => {
            services::say("stopped before the training began");
            Ok(exit::INTERRUPTED)
        }
        outcome => outcome,
    }
}

/// How to resume the run in `folder`. Its folder names it whatever layers its run file had.
fn to_go_on(folder: &RunFolder) -> String {
    format!("to go on: tenon train --resume {}", folder.root().display())
}

fn train_in(
    folder: &RunFolder,
    request: &TrainRequest,
    registry: Arc<Registry>,
    engine: &EngineRequest,
) -> Result<i32> {
    let mut phases = Phases::start();
    let settings = request.settings.clone();
    let earlier = place::decide(request, folder)?;
    let resume = earlier == Earlier::Continued;
    let pins = registry.pins(used(&settings))?;
    if resume && !request.allow_changed_plugins && folder.pins().is_file() {
        Pins::load(&folder.pins())?.verify(&pins)?;
    }

    let task = open_task(&registry, &settings)?;
    let splits = Splits::open(&settings.data, &task.info.columns, settings.run.seed)?;
    ensure!(
        splits.get(Split::Train).is_some(),
        "the run file names no data.train"
    );
    let mut found = discover(&splits, &settings, &task)?;
    found.tokenizer = trained::for_run(&settings, &splits, &task.info.columns, resume)?;
    phases.end("data");
    services::at(settings.run.seed, 0, 0);
    let mut session = Session::open(settings, registry, task, found)?;
    phases.end("model");

    let part = |split: Split| -> Result<Option<Part>> {
        let view = splits.get(split);
        view.map(|view| Part::prepare(&session, view, split.name()))
            .transpose()
    };
    let train = splits.get(Split::Train).context("no training data")?;
    let train = part::training(&session, train, Split::Train.name())?;
    let (validation, test) = (part(Split::Validation)?, part(Split::Test)?);
    phases.end("tokenization");

    let _lock = place::take(folder, earlier, request, &pins, &session)?;
    if folder.artifacts().is_dir() {
        remove_leftovers(&folder.artifacts()).context("tidying the run's artifacts")?;
    }
    services::set_artifacts(folder.artifacts());
    let checkpoints = Checkpoints::open(
        folder.checkpoints(),
        session.settings.train.keep_checkpoints,
    )?;
    let quiet = engine.terminal.verbosity < 0;
    let report = Reporter::new(folder, !resume, quiet)?;
    if session.pretrained.is_some() && !resume {
        let new = session.new_modules();
        if !new.is_empty() {
            let new = new.join(", ");
            report.say(&format!("new, not in the pretrained weights: {new}"));
        }
    }
    let (trainable, all) = session.parameters();
    report.say(&format!(
        "{}: {trainable} of {all} parameters are trained ({:.2} %) on {}, {} threads",
        session.settings.run.name,
        100.0 * trainable as f64 / all as f64,
        summary::device_name(session.device),
        tch::get_num_threads(),
    ));
    let mut trainer = Trainer::new(&mut session, train, validation, checkpoints, report, resume)?;
    let began = Instant::now();
    let end = trainer.run()?;
    let seconds = began.elapsed().as_secs_f64();
    phases.end("training");
    trainer.report.end();
    if end == End::Interrupted {
        let (step, total) = (trainer.state.position.step, trainer.total());
        let line = format!("stopped after step {step} of {total}; {}", to_go_on(folder));
        trainer.report.say(&line);
        return Ok(exit::INTERRUPTED);
    }
    conclude(&mut trainer, folder, test, end, seconds, phases, engine)
}

/// Evaluates, and writes the result and the summary.
fn conclude(
    trainer: &mut Trainer<'_>,
    folder: &RunFolder,
    test: Option<Part>,
    end: End,
    seconds: f64,
    mut phases: Phases,
    engine: &EngineRequest,
) -> Result<i32> {
    let position = &trainer.state.position;
    services::at(
        trainer.session.settings.run.seed,
        position.epoch,
        position.step,
    );
    let best = trainer.restore_best()?;
    let mut scores = serde_json::Map::new();
    let mut tell = |trainer: &Trainer<'_>, split: Split, found: &Evaluation| {
        let line = format!("{}: {}", split.name(), found.line());
        trainer.report.say(&line);
        scores.insert(split.name().to_owned(), summary::evaluation(found));
    };
    if let Some(found) = trainer.final_validation()? {
        tell(trainer, Split::Validation, &found);
    }
    if let Some(test) = test {
        let found = trainer.evaluate(&test, Split::Test.name())?;
        tell(trainer, Split::Test, &found);
    }
    phases.end("evaluation");
    let mut training = training_summary(trainer, seconds)?;
    training["ended"] = json!(if end == End::EarlyStopped {
        "early-stopped"
    } else {
        "finished"
    });
    training["best_step"] = json!(best);
    training["first_step_seconds"] = json!(trainer.report.first_step_seconds());
    training["seconds_to_first_step"] = json!(trainer.report.seconds_to_first_step());
    let is_adapter = export::result(trainer.session, &folder.model(), &folder.adapter())?;
    phases.end("export");
    let text = summary::run(trainer.session, training, scores, &phases);
    write_atomically(&folder.summary(), text.to_string_pretty()?.as_bytes())
        .context("writing summary.json")?;
    let kind = if is_adapter {
        folder.adapter()
    } else {
        folder.model()
    };
    trainer.report.say(&format!(
        "the result is in {}; logs and summary in {}",
        kind.display(),
        folder.root().display()
    ));
    if engine.terminal.json {
        println!("{}", text.to_string_pretty()?);
    }
    Ok(exit::OK)
}

/// Settings, adapter and checkpoint that a choice of weights asks for.
struct Choice {
    settings: RunSettings,
    adapter: Option<PathBuf>,
    checkpoint: Option<PathBuf>,
    found: Option<Discovered>,
}

fn choose(settings: &RunSettings, weights: &Weights, registry: &Registry) -> Result<Choice> {
    let mut choice = Choice {
        settings: settings.clone(),
        adapter: None,
        checkpoint: None,
        found: None,
    };
    match weights {
        Weights::Pretrained => {}
        Weights::Run(root) => {
            let folder = RunFolder::new(root.clone());
            choice.found = Some(RunState::read(&folder)?.data);
            let finished = folder.summary().is_file();
            if finished && folder.adapter().is_dir() {
                choice.adapter = Some(folder.adapter());
            } else if finished && folder.model().is_dir() {
                defer_to_folder(&mut choice.settings, registry);
                choice.settings.model.pretrained = Some(Pretrained::Folder(folder.model()));
                choice.settings.peft = None;
            } else {
                let latest = checkpoint::latest_in(&folder.checkpoints())?;
                let latest = latest.with_context(|| {
                    format!("{}: no result and no checkpoint yet", root.display())
                })?;
                choice.checkpoint = Some(latest.join("trainable.safetensors"));
            }
        }
        Weights::Folder(folder) if folder.join("adapter_config.json").is_file() => {
            choice.settings.peft = Some(import_adapter(folder, registry)?);
            choice.adapter = Some(folder.clone());
        }
        Weights::Folder(folder) => {
            choice.found = config_labels(folder, &settings.task);
            defer_to_folder(&mut choice.settings, registry);
            choice.settings.model.pretrained = Some(Pretrained::Folder(folder.clone()));
            choice.settings.peft = None;
        }
    }
    Ok(choice)
}

/// Drops the defaults among the model's options where the run file names no pretrained model: the `config.json` of
/// the folder that is loaded in its place says what they are.
fn defer_to_folder(settings: &mut RunSettings, registry: &Registry) {
    let component = &mut settings.model.component;
    if settings.model.pretrained.is_some() {
        return;
    }
    let name = format!("{}::{}", component.plugin, component.id);
    let Ok(found) = registry.lookup(Kind::Model, &name) else {
        return;
    };
    let default = |key: &str| found.schema["properties"].get(key)?.get("default");
    component
        .options
        .retain(|key, value| default(key) != Some(value));
}

/// The PEFT method and options that an adapter folder describes.
fn import_adapter(folder: &Path, registry: &Registry) -> Result<ComponentSettings> {
    let path = folder.join("adapter_config.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let config: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let kind = config
        .get("peft_type")
        .and_then(serde_json::Value::as_str)
        .with_context(|| {
            format!(
                "{}: no peft_type, so this is not an adapter of PEFT",
                path.display()
            )
        })?;
    let reads = |component: &tenon_core::config::ComponentInfo| {
        let types = component
            .extra
            .get("peft_types")
            .and_then(serde_json::Value::as_array);
        types.is_some_and(|types| types.iter().any(|name| name.as_str() == Some(kind)))
    };
    let component = registry
        .components(Kind::Peft)
        .into_iter()
        .find(reads)
        .with_context(|| {
            format!(
                "{}: no installed PEFT method reads peft_type {kind}",
                path.display()
            )
        })?;
    let plugin = registry.open(&component.plugin)?;
    let options = plugin
        .import_adapter(&component.id, &text)
        .map_err(tenon_plugin_api::error::StdError)
        .with_context(|| format!("reading {}", path.display()))?;
    Ok(ComponentSettings {
        plugin: component.plugin,
        id: component.id,
        options: options.into_iter().collect(),
    })
}

/// Class names in a model folder's `config.json`, for the task's label column.
fn config_labels(folder: &Path, task: &ComponentSettings) -> Option<Discovered> {
    let text = fs::read_to_string(folder.join("config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_str(&text).ok()?;
    let names = config.get("id2label")?.as_object()?;
    let mut names: Vec<(usize, String)> = names
        .iter()
        .map(|(id, name)| Some((id.parse().ok()?, name.as_str()?.to_owned())))
        .collect::<Option<_>>()?;
    names.sort_unstable();
    let column = task
        .options
        .get("label")
        .and_then(serde_json::Value::as_str)
        .unwrap_or("label");
    let names = names.into_iter().map(|(_, name)| name).collect();
    Some(Discovered {
        labels: [(column.to_owned(), names)].into(),
        ..Discovered::default()
    })
}

/// What the data holds, and the examples that are shown from it.
fn discover(splits: &Splits, settings: &RunSettings, task: &OpenTask) -> Result<Discovered> {
    let columns = &task.info.columns;
    let mut found = splits.discover(settings, columns)?;
    found.demonstrations = demonstrations::draw(settings, splits, columns, &found)?;
    Ok(found)
}

/// A session with the chosen weights loaded.
fn open_chosen(
    choice: Choice,
    registry: Arc<Registry>,
    discover: impl FnOnce(&RunSettings, &OpenTask) -> Result<Discovered>,
) -> Result<Session> {
    let task = open_task(&registry, &choice.settings)?;
    let found = match choice.found {
        Some(found) => found,
        None => discover(&choice.settings, &task)?,
    };
    let session = Session::open(choice.settings, registry, task, found)?;
    if let Some(adapter) = &choice.adapter {
        export::load_adapter(&session, adapter)?;
    }
    if let Some(path) = &choice.checkpoint {
        let store = session.store.lock();
        checkpoint::load_trained(path, |name| {
            store.get(name).map(|param| param.tensor.shallow_clone())
        })?;
    }
    Ok(session)
}

fn evaluate_run(
    request: &EvaluateRequest,
    registry: Arc<Registry>,
    engine: &EngineRequest,
) -> Result<i32> {
    let choice = choose(&request.settings, &request.weights, &registry)?;
    let columns = open_task(&registry, &choice.settings)?.info.columns;
    let (data, seed) = (choice.settings.data.clone(), choice.settings.run.seed);
    let splits = match &request.on {
        EvaluateOn::Split(_) => Splits::open(&data, &columns, seed)?,
        EvaluateOn::Files(paths) => Splits::of_files(&data, paths, &[], &columns, Split::Test)?,
    };
    let split = match request.on {
        EvaluateOn::Split(split) => split,
        EvaluateOn::Files(_) => Split::Test,
    };
    let view = splits.get(split).with_context(|| absent(&data, split))?;
    let session = open_chosen(choice, registry, |settings, task| {
        let shots = settings.prompt.as_ref().map_or(0, |prompt| prompt.shots);
        match request.on {
            // They are drawn from the run's data, whatever is asked about.
            EvaluateOn::Files(_) if shots > 0 => {
                discover(&Splits::open(&data, &columns, seed)?, settings, task)
            }
            _ => discover(&splits, settings, task),
        }
    })?;
    let part = Part::prepare(&session, view, split.name())?;
    let mut lines = request
        .predictions
        .as_deref()
        .map(|path| Lines::to_file(path, part.predictions()))
        .transpose()?;
    let how = How {
        generate: session.settings.evaluate.generate != Generate::Never,
        ..How::whole(split.name())
    };
    let found = evaluate(&session, &part, how, |examples, made| match &mut lines {
        Some(lines) => lines.add(&session, examples, &made, None),
        None => Ok(()),
    })?;
    if let Some(lines) = lines {
        lines.finish()?;
    }
    if found.loss.is_none() && found.scores.is_empty() {
        bail!(
            "the data has no references (labels) to evaluate against; `tenon predict` needs none"
        );
    }
    if engine.terminal.json {
        let mut text = summary::evaluation(&found);
        text["peak_memory_bytes"] = json!(summary::peak_memory());
        println!("{}", serde_json::to_string_pretty(&text)?);
    } else {
        print!("{}", summary::table(split.name(), &found));
    }
    Ok(exit::OK)
}

/// Why there is no such split.
fn absent(data: &DataSettings, split: Split) -> String {
    let held_out = match split {
        Split::Train => &None,
        Split::Validation => &data.validation,
        Split::Test => &data.test,
    };
    let name = split.name();
    match held_out {
        Some(HeldOut::Split { .. }) => {
            format!("data.{name} is a part of data.train, which the run file does not name")
        }
        _ => format!("the run file names no data.{name}"),
    }
}

fn predict(request: &PredictRequest, registry: Arc<Registry>) -> Result<i32> {
    let choice = choose(&request.settings, &request.weights, &registry)?;
    let session = open_chosen(choice, registry, |settings, task| {
        let splits = Splits::open(&settings.data, &task.info.columns, settings.run.seed)?;
        discover(&splits, settings, task)
    })?;
    predict::run(&session, request)?;
    Ok(exit::OK)
}

/// Merges an adapter into the weights below it and writes the model; tells how far the outputs
/// moved, and makes sure that undoing the merge restores them exactly.
fn merge(request: &MergeRequest, registry: Arc<Registry>, engine: &EngineRequest) -> Result<i32> {
    ensure!(
        !request.output.exists(),
        "{}: exists already",
        request.output.display()
    );
    let choice = choose(&request.settings, &request.weights, &registry)?;
    let session = open_chosen(choice, registry, |settings, task| {
        let splits = Splits::open(&settings.data, &task.info.columns, settings.run.seed)?;
        discover(&splits, settings, task)
    })?;
    ensure!(
        session.peft.is_some(),
        "there is no adapter to merge: the run trains the model itself"
    );
    let _guard = tch::no_grad_guard();
    let probe = predict::probe(&session)?;
    let before = session.forward(&probe, &Forward::new(false, 0))?;
    let merged = Merge::apply(&session)?;
    let moved = export::largest_difference(&session, &before, &probe)?;
    export::write_model(&session, &request.output)?;
    merged.undo(&session)?;
    let left = export::largest_difference(&session, &before, &probe)?;
    if engine.terminal.json {
        println!(
            "{}",
            json!({"model": request.output, "largest_difference": moved, "after_undo": left})
        );
    } else {
        println!(
            "merged in float32 into {}: outputs differ by at most {moved:.2e} ({left:.1e} after undoing it)",
            request.output.display(),
        );
    }
    Ok(exit::OK)
}
