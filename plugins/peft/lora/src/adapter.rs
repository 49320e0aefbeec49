//! `adapter_config.json` of `peft` 0.21: written from options, and read back into them.

use std::collections::BTreeSet;

use tenon_plugin_api::names::selects;
use tenon_plugin_api::peft::prelude::*;

use crate::options::{InitLoraWeights, Options};
use crate::targets::{HEADS, Targets, is_within, modules_of, pattern_of};

/// The `peft` whose format this is.
const PEFT_VERSION: &str = "0.21.2";

/// Keys that [`read`] reads.
const READ: [&str; 13] = [
    "alpha_pattern",
    "bias",
    "exclude_modules",
    "init_lora_weights",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_rslora",
];

/// Keys that change nothing here: about the file, about how the layers are stored (sites know), and
/// about how the matrices started.
const SAY_NOTHING: [&str; 11] = [
    "auto_mapping",
    "base_model_name_or_path",
    "eva_config",
    "fan_in_fan_out",
    "inference_mode",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];

/// Values of `init_lora_weights` that start from the base model as it is.
const PLAIN_STARTS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// The content of the file for these options on this model, keys in the order of `peft`.
///
/// # Errors
/// A target selects nothing.
pub fn write(options: &Options, model: &ModelView) -> Result<Map<String, Value>> {
    let targets = Targets::select(options, model)?;
    let sites = &targets.sites;
    let layers = options.layers_to_transform.as_ref();
    let ranks = sites.iter().filter_map(|site| {
        let r = pattern_of(&options.rank_pattern, site)?;
        Some((site.name.clone(), json!(r)))
    });
    let alphas = sites.iter().filter_map(|site| {
        let alpha = pattern_of(&options.alpha_pattern, site)?;
        Some((site.name.clone(), number(*alpha)))
    });
    let start = match options.init_lora_weights {
        InitLoraWeights::Kaiming => json!(true),
        InitLoraWeights::Gaussian => json!("gaussian"),
    };
    let target_modules = match &options.target_regex {
        Some(regex) if options.exclude_sites.is_empty() => json!(regex),
        _ => json!(ends(model, &targets)),
    };
    let fan_in_fan_out = sites.iter().any(|site| site.transposed);
    let none = || Value::Null;
    let entries = [
        ("alora_invocation_tokens", none()),
        ("alpha_pattern", Value::Object(alphas.collect())),
        ("arrow_config", none()),
        ("auto_mapping", none()),
        ("base_model_name_or_path", json!(model.pretrained)),
        ("bias", json!(options.bias.word())),
        ("corda_config", none()),
        ("ensure_weight_tying", json!(false)),
        ("eva_config", none()),
        ("exclude_modules", none()),
        ("fan_in_fan_out", json!(fan_in_fan_out)),
        ("inference_mode", json!(true)),
        ("init_lora_weights", start),
        ("kasa_config", none()),
        ("layer_replication", none()),
        ("layers_pattern", none()),
        (
            "layers_to_transform",
            json!(layers.map(|layers| &layers[..])),
        ),
        ("loftq_config", json!({})),
        ("lora_alpha", number(options.lora_alpha)),
        ("lora_bias", json!(false)),
        ("lora_dropout", json!(options.lora_dropout)),
        ("lora_ga_config", none()),
        ("megatron_config", none()),
        ("megatron_core", json!("megatron.core")),
        (
            "modules_to_save",
            match targets.saved_modules.as_slice() {
                [] => none(),
                modules => json!(modules),
            },
        ),
        ("monteclora_config", none()),
        ("peft_type", json!("LORA")),
        ("peft_version", json!(PEFT_VERSION)),
        ("qalora_group_size", json!(16)),
        ("r", json!(options.r)),
        ("rank_pattern", Value::Object(ranks.collect())),
        ("revision", none()),
        ("target_modules", target_modules),
        ("target_parameters", none()),
        ("task_type", json!(task_type(model))),
        ("trainable_token_indices", none()),
        ("use_bdlora", none()),
        ("use_dora", json!(false)),
        ("use_qalora", json!(false)),
        ("use_rslora", json!(options.use_rslora)),
        ("velora_config", none()),
    ];
    let owned = entries.into_iter();
    Ok(owned.map(|(key, value)| (key.to_owned(), value)).collect())
}

/// The options that a file describes.
///
/// # Errors
/// The file asks for what is not offered; every such key is named.
pub fn read(config: &Map<String, Value>) -> Result<Map<String, Value>> {
    let refused = refused(config);
    if !refused.is_empty() {
        return Err(Error::unsupported(format!(
            "reading adapter_config.json: {} not offered",
            match refused.as_slice() {
                [one] => format!("{one} is"),
                all => format!("{} are", all.join(", ")),
            }
        )));
    }
    let mut options = Map::new();
    let mut set = |key: &str, value: Value| options.insert(key.to_owned(), value);
    let same = [
        "r",
        "lora_alpha",
        "lora_dropout",
        "use_rslora",
        "bias",
        "layers_to_transform",
    ];
    for key in same {
        if let Some(value) = given(config, key) {
            set(key, value.clone());
        }
    }
    for key in ["rank_pattern", "alpha_pattern"] {
        if let Some(patterns) = given(config, key).and_then(Value::as_object) {
            set(key, Value::Object(plain_names(key, patterns)?));
        }
    }
    match given(config, "target_modules") {
        Some(Value::String(text)) if !text.eq_ignore_ascii_case("all-linear") => {
            set("target_regex", json!(text))
        }
        Some(Value::String(_)) => set("target_sites", json!("all-linear")),
        Some(modules) => set("target_sites", attached_only(config, modules)),
        None => None,
    };
    if let Some(modules) = given(config, "exclude_modules") {
        set("exclude_sites", modules.clone());
    }
    if let Some(modules) = given(config, "modules_to_save").and_then(Value::as_array) {
        let is_head = |module: &&Value| module.as_str().is_some_and(|name| HEADS.contains(&name));
        let rest: Vec<_> = modules.iter().filter(|module| !is_head(module)).collect();
        set("modules_to_save", json!(rest));
    }
    if given(config, "init_lora_weights") == Some(&json!("gaussian")) {
        set("init_lora_weights", json!("gaussian"));
    }
    Ok(options)
}

/// The targets without those that `modules_to_save` names: `peft` lists such modules with
/// `all-linear`, and attaches nothing there.
fn attached_only(config: &Map<String, Value>, modules: &Value) -> Value {
    let list = |value: Option<&Value>| -> Vec<String> {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let saved = list(config.get("modules_to_save"));
    let mut targets = list(Some(modules));
    targets.retain(|target| !saved.iter().any(|module| is_within(target, module)));
    json!(targets)
}

/// Keys that ask for something else than this method does, with their values.
fn refused(config: &Map<String, Value>) -> Vec<String> {
    let is_refused = |key: &str, value: &Value| match (key, value) {
        (_, value) if is_off(value) => false,
        ("peft_type", value) => value != "LORA",
        ("init_lora_weights", Value::String(start)) => !PLAIN_STARTS.contains(&start.as_str()),
        // a regular expression
        ("exclude_modules", value) => value.is_string(),
        _ => !READ.contains(&key) && !SAY_NOTHING.contains(&key),
    };
    let refused = config.iter().filter(|(key, value)| is_refused(key, value));
    refused
        .map(|(key, value)| format!("`{key}` = {value}"))
        .collect()
}

/// Whether a value is what `peft` writes for a feature that is not used.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

fn given<'a>(config: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    config.get(key).filter(|value| !value.is_null())
}

/// Keys of `peft`'s patterns are regular expressions for the end of a name; here they are ends of
/// names, as nearly all are.
fn plain_names(option: &str, patterns: &Map<String, Value>) -> Result<Map<String, Value>> {
    let mut plain = Map::new();
    for (key, value) in patterns {
        let name = key
            .trim_start_matches('^')
            .trim_end_matches('$')
            .replace("\\.", ".");
        let is_plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
        if !name.chars().all(is_plain) {
            let message = format!(
                "reading adapter_config.json: the regular expression `{key}` in `{option}` is not \
                 offered"
            );
            return Err(Error::unsupported(message)
                .with_help("write the names of the modules that it matches in its place"));
        }
        plain.insert(name, value.clone());
    }
    Ok(plain)
}

/// For each target the shortest end of its name that selects only targets, as in `target_modules`.
fn ends<'a>(model: &'a ModelView, targets: &Targets<'a>) -> Vec<&'a str> {
    let names = |sites: &[&'a SiteInfo]| -> BTreeSet<&'a str> {
        sites.iter().map(|site| site.name.as_str()).collect()
    };
    let wanted = names(&targets.in_all_layers);
    let attached = names(&targets.sites);
    let parameters = model.parameters.iter();
    let others: BTreeSet<&str> = parameters
        .flat_map(|parameter| modules_of(&parameter.name))
        .filter(|module| !wanted.contains(module))
        // `peft` never attaches to these
        .filter(|module| {
            !targets
                .saved_modules
                .iter()
                .any(|saved| is_within(module, saved))
        })
        .collect();
    let mut found = Vec::new();
    for site in &targets.in_all_layers {
        let name = site.name.as_str();
        let starts = name.rmatch_indices('.').map(|(dot, _)| &name[dot + 1..]);
        let end = starts
            .chain([name])
            .find(|end| !others.iter().any(|other| selects(end, other)))
            .unwrap_or(name);
        // A whole name counts in every layer, whatever `layers_to_transform` says.
        let counts = end != name || attached.contains(name);
        if counts && !found.contains(&end) {
            found.push(end);
        }
    }
    found
}

/// The task in `peft`'s words.
fn task_type(model: &ModelView) -> Option<&'static str> {
    Some(match model.head.as_ref()?.kind.as_str() {
        "sequence-classification" => "SEQ_CLS",
        "token-classification" => "TOKEN_CLS",
        "question-answering" => "QUESTION_ANS",
        "causal-lm" => "CAUSAL_LM",
        "seq2seq-lm" => "SEQ_2_SEQ_LM",
        _ => return None,
    })
}

/// Whole numbers without a fraction, as `peft` has them.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}
