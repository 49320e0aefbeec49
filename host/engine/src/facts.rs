//! What is known of a model before it is built: from its manifest, its options, its `config.json`, and the tokenizer.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use tenon_core::config::ComponentInfo;
use tenon_core::data::{HfTokenizer, Tokenize as _};
use tenon_plugin_api::info::{ModelFacts, TaskInfo};

/// What a task is told of the model.
pub fn of(
    component: &ComponentInfo,
    options: &Map<String, Value>,
    config: &Map<String, Value>,
    tokenizer: &HfTokenizer,
) -> ModelFacts {
    let offers = component.extra.get("offers").and_then(Value::as_array);
    let offers = offers.into_iter().flatten().filter_map(Value::as_str);
    let value = |key: &str| {
        let known = config.get(key).or_else(|| options.get(key));
        known.or_else(|| default(&component.schema, key))
    };
    // Encoder–decoders that tell no start token begin with the padding token, as T5 and Marian do.
    let pad = || tokenizer.special("pad").map(i64::from);
    ModelFacts {
        id: component.id.clone(),
        offers: offers.map(str::to_owned).collect(),
        decoder_start_token_id: value("decoder_start_token_id")
            .and_then(Value::as_i64)
            .or_else(pad),
        vocab_size: value("vocab_size").and_then(Value::as_u64).unwrap_or(0) as usize,
    }
}

/// Gives a model that starts from nothing the sizes and tokens of its tokenizer, where it has options for them and
/// the run file says nothing.
pub fn fit(options: &mut Map<String, Value>, schema: &Value, tokenizer: &HfTokenizer) {
    let token = |role: &str| tokenizer.special(role).map(|id| json!(id));
    let known = [
        ("vocab_size", Some(json!(tokenizer.vocab_size()))),
        ("bos_token_id", token("bos").or_else(|| token("cls"))),
        ("eos_token_id", token("eos").or_else(|| token("sep"))),
        ("pad_token_id", token("pad")),
        (
            "decoder_start_token_id",
            token("pad").or_else(|| token("bos")),
        ),
    ];
    for (key, value) in known {
        let has = schema["properties"].get(key).is_some();
        let set = (options.get(key)).is_some_and(|set| default(schema, key) != Some(set));
        if let Some(value) = value
            && has
            && !set
        {
            options.insert(key.to_owned(), value);
        }
    }
}

/// The most positions of the model, by any of the names that configurations have for it; 0 without a limit.
pub fn positions(
    options: &Map<String, Value>,
    schema: &Value,
    config: &Map<String, Value>,
) -> usize {
    const NAMES: [&str; 3] = ["max_position_embeddings", "n_positions", "n_ctx"];
    let value = |key: &&str| {
        let known = options.get(*key).or_else(|| config.get(*key));
        let known = known.or_else(|| default(schema, key));
        known.and_then(Value::as_u64)
    };
    NAMES.iter().find_map(value).unwrap_or(0) as usize
}

fn default<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema["properties"].get(key)?.get("default")
}

/// Checks that the model offers the head that the task needs.
///
/// # Errors
/// It does not.
pub fn check_head(task: &TaskInfo, facts: &ModelFacts) -> Result<()> {
    let Some(head) = &task.head else {
        return Ok(());
    };
    if facts.offers.is_empty() || facts.offers(&head.kind) {
        return Ok(());
    }
    bail!(
        "the task needs a model with the head {}; {} offers {}",
        head.kind,
        facts.id,
        facts.offers.join(", ")
    )
}
