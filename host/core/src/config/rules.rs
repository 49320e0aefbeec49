//! What keys of different tables owe each other.

use serde_json::Value;

use super::components::Components;
use super::draft::Purpose;
use super::keypath::KeyPath;
use super::options::DataFormat;
use super::origin::Origin;
use super::report::{Code, Fault, Note};
use super::suggest;
use super::tree::Located;
use super::words;
use crate::data::FormatOptions;

/// The score that every run has.
const LOSS: &str = "loss";
/// What training cannot do without, and evaluation can.
const TRAINING_DATA: &str = "data.train";
/// Keys that ask for something of it, and what they take.
const OF_TRAINING_DATA: [(&str, &str); 4] = [
    ("prompt.shots", "examples from it"),
    ("data.validation.split", "a part of it"),
    ("data.test.split", "a part of it"),
    ("tokenizer.train", "its text"),
];

/// Checks a run file as far as its single values are right; `told` are the faults of the others.
/// For want of a file that is missing it may be `incomplete`.
pub(super) fn check(
    tree: &Located,
    components: &Components,
    told: &[Fault],
    purpose: Purpose,
    incomplete: bool,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    match purpose {
        _ if incomplete => {}
        Purpose::Train => {
            faults.extend(training_data(tree));
            faults.extend(trained_by_prompts(tree));
        }
        Purpose::Check => made_of_training_data(tree, &OF_TRAINING_DATA, &mut faults),
        // What else a finished run took of it, it has.
        Purpose::Use => made_of_training_data(tree, &OF_TRAINING_DATA[..1], &mut faults),
    }
    held_out(tree, &mut faults);
    metric_names(tree, components, &mut faults);
    metric_inputs(tree, components, &mut faults);
    faults.extend(select_best(tree, components));
    needs(tree, told, &mut faults);
    ignored_weights(tree, &mut faults);
    // A table that holds a fault lacks its value for that reason.
    faults.retain(|fault| !is_told(told, &fault.path));
    faults
}

fn is_told(told: &[Fault], keys: &str) -> bool {
    let inside = |path: &str| {
        path.strip_prefix(keys)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    told.iter().any(|fault| inside(&fault.path))
}

fn at(keys: &str) -> KeyPath {
    keys.split('.')
        .fold(KeyPath::default(), |path, key| path.key(key))
}

fn conflict(keys: &str, value: &Located, message: impl Into<String>) -> Fault {
    Fault::new(Code::Conflict, at(keys), value.origin.clone(), message)
}

fn training_data(tree: &Located) -> Option<Fault> {
    if tree.find(TRAINING_DATA).is_some() {
        return None;
    }
    let origin = tree
        .find("data")
        .map(|data| data.origin.clone())
        .filter(|origin| *origin != Origin::Default);
    let message = "missing: expected the path of the training data, a list of paths, or a table";
    Some(Fault::new(
        Code::MissingKey,
        at(TRAINING_DATA),
        origin,
        message,
    ))
}

/// Keys that ask for something of the training data, in a run file that has none.
fn made_of_training_data(tree: &Located, asking: &[(&str, &str)], faults: &mut Vec<Fault>) {
    if tree.find(TRAINING_DATA).is_some() {
        return;
    }
    for (keys, what) in asking {
        if let Some(value) = tree.find(keys)
            && value.number() != Some(0.0)
        {
            let message = format!("needs {TRAINING_DATA}, as it takes {what}");
            faults.push(conflict(keys, value, message));
        }
    }
}

/// With `[prompt]` a model is asked as it is.
fn trained_by_prompts(tree: &Located) -> Option<Fault> {
    let prompt = tree.find("prompt")?;
    let message = "excludes training: a model that is prompted learns nothing";
    let fault = conflict("prompt", prompt, message);
    Some(fault.note("`tenon evaluate --pretrained` asks it; to fine-tune it, leave the table out"))
}

/// Tables of `validation` and `test` need a path or a fraction; the fractions leave something.
fn held_out(tree: &Located, faults: &mut Vec<Fault>) {
    let mut total = 0.0;
    for split in ["validation", "test"] {
        let keys = format!("data.{split}");
        let Some(value) = tree.find(&keys).filter(|value| value.table().is_some()) else {
            continue;
        };
        match (
            value.get("path"),
            value.get("split").and_then(Located::number),
        ) {
            (None, None) => {
                let message = "missing: expected `path` or `split`";
                faults.push(Fault::new(
                    Code::MissingKey,
                    at(&keys),
                    value.origin.clone(),
                    message,
                ));
            }
            (None, Some(fraction)) => {
                total += fraction;
                if let (Some(_), Some(group)) = (asked(value, "stratify"), asked(value, "group")) {
                    let message = "excludes `stratify`: what stays together cannot be shared out";
                    faults.push(conflict(&format!("{keys}.group"), group, message));
                }
            }
            (Some(_), _) => {
                for key in ["stratify", "group"] {
                    if let Some(given) = asked(value, key) {
                        let message = "applies to `split` only";
                        faults.push(conflict(&format!("{keys}.{key}"), given, message));
                    }
                }
            }
        }
    }
    let parts = ["validation", "test"].map(|split| tree.find(&format!("data.{split}")));
    if let [Some(validation), Some(test)] = parts
        && [validation, test]
            .iter()
            .all(|part| part.get("split").is_some() && part.get("path").is_none())
    {
        let groups = [validation, test].map(|part| asked(part, "group"));
        if groups[0].map(Located::to_json) != groups[1].map(Located::to_json)
            && let Some(group) = groups[1].or(groups[0])
        {
            let keys = match groups[1] {
                Some(_) => "data.test.group",
                None => "data.validation.group",
            };
            let message =
                "validation and test are held out of the same rows: both need the same `group`";
            faults.push(conflict(keys, group, message));
        }
    }
    if total >= 1.0
        && let Some(test) = tree.find("data.test.split")
    {
        let message = format!(
            "leaves nothing to train on: together with data.validation.split it is {total}"
        );
        faults.push(conflict("data.test.split", test, message));
    }
}

/// What a table asks for, unless that is nothing.
fn asked<'a>(table: &'a Located, key: &str) -> Option<&'a Located> {
    table.get(key).filter(|value| {
        let nothing = matches!(value.to_json(), Value::Bool(false) | Value::Null);
        value.origin != Origin::Default && !nothing
    })
}

/// What a run file that has no training data is good for.
pub(super) fn without_training(tree: &Located) -> Option<Note> {
    if tree.find(TRAINING_DATA).is_some() {
        return None;
    }
    let message =
        "not set: good for evaluation and prediction with a model that is trained already";
    Some(Note {
        path: TRAINING_DATA.into(),
        origin: None,
        message: message.into(),
    })
}

/// Tables of formats must be of one that can be read.
pub(super) fn formats(tree: &Located) -> Vec<Fault> {
    let mut faults = Vec::new();
    for keys in [
        "data.format",
        "data.train.format",
        "data.validation.format",
        "data.test.format",
    ] {
        let Some(value) = tree.find(keys).filter(|value| value.table().is_some()) else {
            continue;
        };
        let Ok(format) = serde_json::from_value::<DataFormat>(value.to_json()) else {
            continue;
        };
        if let Err(fault) = FormatOptions::from(format).check() {
            let blamed = value.get(fault.key).unwrap_or(value);
            faults.push(conflict(
                &format!("{keys}.{}", fault.key),
                blamed,
                fault.problem,
            ));
        }
    }
    faults
}

/// The metrics: path of the table, name in the run, where the name comes from.
fn metrics<'a>(
    tree: &'a Located,
    components: &'a Components,
) -> Vec<(KeyPath, String, &'a Origin)> {
    let tables = tree
        .get("metrics")
        .and_then(Located::array)
        .into_iter()
        .flatten()
        .enumerate();
    let named = tables.filter_map(|(index, table)| {
        let path = at("metrics").index(index);
        let component = table.get("use")?;
        let id = components
            .get(&path.to_string())
            .map(|found| found.id.as_str())
            .or(component.str())?;
        let name = table.get("name").and_then(Located::str).unwrap_or(id);
        let origin = table
            .get("name")
            .map_or(&component.origin, |name| &name.origin);
        Some((path, name.to_owned(), origin))
    });
    named.collect()
}

fn metric_names(tree: &Located, components: &Components, faults: &mut Vec<Fault>) {
    let mut seen: Vec<(KeyPath, String)> = Vec::new();
    for (path, name, origin) in metrics(tree, components) {
        match seen.iter().find(|(_, other)| *other == name) {
            Some((other, _)) => {
                let message =
                    format!("{other} is named `{name}` too; give one of them another `name`");
                faults.push(Fault::new(
                    Code::Conflict,
                    path.key("name"),
                    origin.clone(),
                    message,
                ));
            }
            None => seen.push((path, name)),
        }
    }
}

/// A metric must read one of the kinds of predictions that the task puts out.
fn metric_inputs(tree: &Located, components: &Components, faults: &mut Vec<Fault>) {
    let Some(task) = components.get("task") else {
        return;
    };
    let outputs = strings(&task.extra["outputs"]);
    for (path, _, _) in metrics(tree, components) {
        let Some(metric) = components.get(&path.to_string()) else {
            continue;
        };
        let inputs = strings(&metric.extra["inputs"]);
        if inputs.is_empty()
            || outputs.is_empty()
            || inputs.iter().any(|input| outputs.contains(input))
        {
            continue;
        }
        let origin = tree.at(&path.key("use")).map(|value| value.origin.clone());
        let message = format!(
            "metric `{}` reads {}, but task `{}` puts out {}",
            metric.id,
            inputs.join(" or "),
            task.id,
            outputs.join(" or ")
        );
        faults.push(Fault::new(Code::Conflict, path.key("use"), origin, message));
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// `train.select_best` is `loss`, the name of a metric, or one of its scores, which start with
/// its name. Without `[[metrics]]` the task brings its own, known when the run starts.
fn select_best(tree: &Located, components: &Components) -> Option<Fault> {
    let value = tree.find("train.select_best")?;
    let score = value.str()?;
    if tree.find("data.validation").is_none() {
        return Some(conflict(
            "train.select_best",
            value,
            "needs data.validation, on which scores are computed",
        ));
    }
    let names: Vec<String> = metrics(tree, components)
        .into_iter()
        .map(|(_, name, _)| name)
        .collect();
    let plain = |text: &str| text.replace('-', "_");
    let is_score_of = |name: &String| {
        let rest = plain(score).strip_prefix(&plain(name)).map(str::to_owned);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '/', '.']))
    };
    if score == LOSS || names.is_empty() || names.iter().any(is_score_of) {
        return None;
    }
    let known = || names.iter().map(String::as_str).chain([LOSS]);
    let message = format!("{} is no score of this run", words::text_shown(score));
    let fault = Fault::new(
        Code::UnknownScore,
        at("train.select_best"),
        value.origin.clone(),
        message,
    );
    Some(
        fault
            .suggest(suggest::closest(score, known()))
            .note(format!("scores: {}", suggest::list(known(), 8))),
    )
}

/// `model.ignore_weights` are globs.
fn ignored_weights(tree: &Located, faults: &mut Vec<Fault>) {
    let globs = tree.find("model.ignore_weights").and_then(Located::array);
    for (index, value) in globs.into_iter().flatten().enumerate() {
        if let Some(Err(error)) = value.str().map(globset::Glob::new) {
            let path = at("model.ignore_weights").index(index);
            let message = format!("not a glob: {}", error.kind());
            faults.push(Fault::new(
                Code::InvalidValue,
                path,
                value.origin.clone(),
                message,
            ));
        }
    }
}

/// Keys that mean something only where another is set.
fn needs(tree: &Located, told: &[Fault], faults: &mut Vec<Fault>) {
    for (keys, other) in [
        ("train.patience", "train.select_best"),
        ("train.mode", "train.select_best"),
        ("model.revision", "model.pretrained"),
        ("model.ignore_weights", "model.pretrained"),
    ] {
        if let Some(value) = tree.find(keys)
            && tree.find(other).is_none()
            && !is_told(told, other)
        {
            faults.push(conflict(keys, value, format!("needs {other}")));
        }
    }
    let never = |keys: &str| tree.find(keys).and_then(Located::str) == Some("never");
    if let Some(value) = tree.find("train.patience")
        && never("train.eval_every")
    {
        faults.push(conflict(
            "train.patience",
            value,
            "needs evaluations: train.eval_every is \"never\"",
        ));
    }
}
