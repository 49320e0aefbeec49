//! Labels against frozen ones of `transformers`, sequences of both kinds of models, and every refusal.

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use serde_json::{Value as Json, json};
use tenon_plugin_api::options::Options as _;
use tenon_plugin_api::record::RecordBatch;
use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tokenizer::{HostTokenizer, Message, SharedTokenizer};
use tenon_testkit::conformance::{self, TaskCase};
use tenon_testkit::task::{data_for, records_for};

use crate::{Options, TextGeneration};

mod prompts;

const END: i64 = 1;
const START: i64 = 2;

/// One token a character, its code point; texts end with `</s>`, 1. Its chat template is the fixture's.
struct Characters;

impl HostTokenizer for Characters {
    fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding> {
        let mut encoding = Encoding::default();
        for (at, character) in text.char_indices() {
            encoding.ids.push(i64::from(u32::from(character)));
            encoding.offsets.push((at, at + character.len_utf8()));
            encoding.sequences.push(Some(0));
        }
        if how.target {
            // The other side spells in capitals.
            let upper = |id: &mut i64| *id -= if (97..123).contains(id) { 32 } else { 0 };
            encoding.ids.iter_mut().for_each(upper);
        }
        if !how.no_special_tokens {
            encoding.ids.push(END);
            encoding.offsets.push((0, 0));
            encoding.sequences.push(None);
        }
        Ok(encoding)
    }

    fn decode(&self, _: &[u32], _: bool) -> Result<String> {
        Err(Error::unsupported("decoding"))
    }

    fn chat(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        if messages
            .iter()
            .any(|message| message.content == "forbidden")
        {
            bail!(Data, "the chat template refuses this");
        }
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.expect("a syntax"));
        let fixture = fixture();
        let template = fixture["template"].as_str().expect("a template");
        let turns: Vec<_> = messages
            .iter()
            .map(|message| json!({ "role": message.role, "content": message.content }))
            .collect();
        let context = json!({ "messages": turns, "add_generation_prompt": add_generation_prompt });
        let context = minijinja::Value::from(minijinja::value::Serde(context));
        Ok(environment.render_str(template, context).expect("renders"))
    }

    fn token_id(&self, _: &str) -> Option<u32> {
        None
    }

    fn special(&self, role: &str) -> Option<u32> {
        (role == "eos").then_some(END as u32)
    }

    fn vocab_size(&self) -> usize {
        1 << 16
    }
}

fn fixture() -> Json {
    let text = include_str!("../fixtures/expected.json");
    serde_json::from_str(text).expect("a fixture")
}

const CAUSAL: &[&str] = &["causal-lm"];
const SEQ2SEQ: &[&str] = &["seq2seq-lm"];

fn data(offers: &[&str], max_length: usize) -> DataInfo {
    DataInfo {
        max_length,
        model: ModelFacts {
            id: "tiny".to_owned(),
            offers: offers.iter().map(|offer| (*offer).to_owned()).collect(),
            decoder_start_token_id: Some(START),
            vocab_size: 0,
        },
        ..DataInfo::default()
    }
}

fn prepared(options: &Json, data: &DataInfo) -> Result<TextGeneration> {
    let mut task = TextGeneration::new(Options::from_json(&options.to_string())?)?;
    task.prepare(data)?;
    Ok(task)
}

/// One record with these columns.
fn record(columns: &[(&str, &[&str])]) -> RecordBatch {
    let mut batch = RecordBatch::new(1);
    for (name, texts) in columns {
        let missing = texts.is_empty();
        let values = Values::texts([texts.to_vec()]);
        batch.add(name, values, &[missing]).expect("fits");
    }
    batch
}

fn encode(task: &TextGeneration, record: &RecordBatch) -> Result<Examples> {
    let tokenizer = SharedTokenizer::new(Characters);
    let mut examples = Examples::new();
    task.encode(record.record(0), &tokenizer.as_tokenizer(), &mut examples)?;
    Ok(examples)
}

fn prompt(task: &TextGeneration, record: &RecordBatch) -> Result<String> {
    let tokenizer = SharedTokenizer::new(Characters);
    let mut examples = Examples::new();
    task.encode_prompt(record.record(0), &tokenizer.as_tokenizer(), &mut examples)?;
    Ok(shown(&examples, "input_ids"))
}

/// The field of the first example as characters: `$` ends a text, `^` starts one, `_` is not learned.
fn shown(examples: &Examples, field: &str) -> String {
    let ids = examples.ints(field, 0).unwrap_or_default();
    let character = |id: &i64| match *id {
        END => '$',
        START => '^',
        -100 => '_',
        id => char::from_u32(id as u32).expect("a character"),
    };
    ids.iter().map(character).collect()
}

#[test]
fn conversations_are_masked_as_transformers_masks_them() {
    let fixture = fixture();
    let conversations = fixture["conversations"].as_array().expect("some");
    assert_eq!(conversations.len(), 3);
    for conversation in conversations {
        let ints = |key: &str| -> Vec<i64> {
            let all = conversation[key].as_array().expect("a list").iter();
            all.map(|id| id.as_i64().expect("an id")).collect()
        };
        let (ids, mask) = (ints("ids"), ints("mask"));
        let sharegpt: Vec<Json> = conversation["messages"]
            .as_array()
            .expect("turns")
            .iter()
            .map(|turn| {
                let from = match turn["role"].as_str() {
                    Some("user") => "human",
                    Some("assistant") => "gpt",
                    role => role.expect("a role"),
                };
                json!({ "from": from, "value": turn["content"] })
            })
            .collect();
        let cells = [
            ("messages", conversation["messages"].to_string()),
            ("sharegpt", Json::from(sharegpt).to_string()),
        ];
        for (format, cell) in cells {
            let options = json!({ "format": format, "messages": "turns" });
            let task = prepared(&options, &data(CAUSAL, 0)).expect("good options");
            let record = record(&[("turns", &[&cell])]);
            let made = encode(&task, &record).expect("encodes");
            let found = made.ints("input_ids", 0).expect("ids");
            // What follows the last turn of the assistant is left out, as nothing of it is learned.
            assert_eq!(found, &ids[..found.len()]);
            assert!(mask[found.len() + 1..].iter().all(|learned| *learned == 0));
            let next = ids.iter().zip(&mask).skip(1);
            let labels: Vec<i64> = next
                .map(|(id, learned)| if *learned == 1 { *id } else { -100 })
                .take(found.len())
                .collect();
            assert_eq!(made.ints("labels", 0), Some(&labels[..]), "{format}");
            let expected: String = ints("prompt")
                .iter()
                .map(|id| char::from_u32(*id as u32).expect("a character"))
                .collect();
            assert_eq!(prompt(&task, &record).expect("a prompt"), expected);
        }
    }
}

#[test]
fn decoder_inputs_are_shifted_as_transformers_shifts_them() {
    let fixture = fixture();
    let rows = |key: &str| -> Vec<Vec<i64>> {
        serde_json::from_value(fixture["pairs"][key].clone()).expect("rows")
    };
    for (labels, expected) in rows("labels").iter().zip(rows("decoder_input_ids")) {
        let mut examples = Examples::new();
        tenon_nn::seq2seq::example(&[7, 8, 1], labels, 0, &mut examples);
        assert_eq!(
            examples.ints("decoder_input_ids", 0),
            Some(&expected[..labels.len()])
        );
        assert_eq!(examples.ints("labels", 0), Some(&labels[..]));
    }
}

/// What examples and prompts look like, for both kinds of models.
#[test]
fn sequences() {
    let summary = record(&[("text", &["a long text"]), ("summary", &["short", "brief"])]);
    let alpaca = record(&[
        ("instruction", &["Add."]),
        ("input", &["2, 3"]),
        ("output", &["5"]),
    ]);
    let no_input = record(&[
        ("instruction", &["Sing."]),
        ("input", &[]),
        ("output", &["La"]),
    ]);
    let turns = json!([
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": "Ho" },
        { "role": "user", "content": [{ "type": "text", "text": "Hi" }, { "type": "text", "text": "?" }] },
        { "role": "assistant", "content": "Ha" },
    ])
    .to_string();
    let turns = record(&[("messages", &[&turns])]);
    let template = "{{ text }}\n";
    let cases = [
        (
            "plain",
            json!({ "prompt": template, "target": "summary" }),
            0,
            &summary,
        ),
        (
            "the prompt learned, too",
            json!({ "prompt": template, "target": "summary", "train_on_prompt": true }),
            0,
            &summary,
        ),
        (
            "a system prompt",
            json!({ "prompt": template, "target": "summary", "system": "Be brief." }),
            0,
            &summary,
        ),
        (
            "in a chat",
            json!({ "prompt": "{{ text }}", "target": "summary", "chat": true, "system": "Brief!" }),
            0,
            &summary,
        ),
        (
            "more than 12 tokens",
            json!({ "prompt": template, "target": "summary" }),
            12,
            &summary,
        ),
        (
            "cut at the right",
            json!({ "prompt": template, "target": "summary", "truncation": "right" }),
            12,
            &summary,
        ),
        (
            "both short",
            json!({ "prompt": template, "target": "summary", "max_source_length": 5, "max_target_length": 3 }),
            0,
            &summary,
        ),
        ("alpaca", json!({ "format": "alpaca" }), 0, &alpaca),
        (
            "alpaca without input",
            json!({ "format": "alpaca" }),
            0,
            &no_input,
        ),
        (
            "alpaca in a chat",
            json!({ "format": "alpaca", "chat": true }),
            0,
            &alpaca,
        ),
        ("turns", json!({ "format": "messages" }), 0, &turns),
        (
            "the last turn, with a system prompt",
            json!({ "format": "messages", "turns": "last", "system": "S" }),
            0,
            &turns,
        ),
    ];
    let mut said = String::new();
    for (what, options, limit, record) in &cases {
        said += &format!("# {what}\n");
        for offers in [CAUSAL, SEQ2SEQ] {
            if options.get("train_on_prompt").is_some() && offers == SEQ2SEQ {
                continue;
            }
            let task = prepared(options, &data(offers, *limit)).expect("good options");
            let made = encode(&task, record).expect("encodes");
            let fields: Vec<&str> = made.fields().collect();
            for field in fields {
                said += &format!("{field:<18}{:?}\n", shown(&made, field));
            }
            let prompt = prompt(&task, record).expect("a prompt");
            said += &format!("{:<18}{prompt:?}\n", "prompt");
        }
    }
    insta::assert_snapshot!(said);
}

#[test]
fn what_was_written_is_compared_with_all_targets() {
    let mut records = RecordBatch::new(2);
    records
        .add("prompt", Values::text(["one", "two"]), &[])
        .expect("fits");
    let targets = Values::texts([vec!["1", "I"], vec!["2"]]);
    let labelled = {
        let mut records = records.clone();
        records.add("target", targets.clone(), &[]).expect("fits");
        records
    };
    let handle = tenon_testkit::task::<TextGeneration>(json!({}));
    let written = Values::texts([vec![" I \n", "1"], vec!["three"]]);
    let made = handle
        .conclude(&labelled, &written, &[0, 1])
        .expect("concludes");
    assert_eq!(
        made.predictions,
        Values::texts([vec!["I", "1"], vec!["three"]])
    );
    assert_eq!(made.references, Some(targets));
    let made = handle
        .conclude(&records, &written, &[0, 1])
        .expect("concludes");
    assert_eq!(made.references, None);
    let made = handle
        .conclude(&records, &Values::text(["three"]), &[1])
        .expect("concludes");
    assert_eq!(made.predictions, Values::text(["", "three"]));
}

#[test]
fn descriptions() {
    let of = |options, offers| {
        prepared(&options, &data(offers, 512))
            .expect("good options")
            .describe()
    };
    let options =
        json!({ "prompt": "{{ b }} {{ a }}: {{ b }}", "target": "y", "max_target_length": 60 });
    insta::assert_json_snapshot!("description_for_an_encoder_decoder", of(options, SEQ2SEQ));
    insta::assert_json_snapshot!(
        "description_of_conversations",
        of(json!({ "format": "sharegpt" }), CAUSAL)
    );
}

#[test]
fn refusals() {
    let mut said = String::new();
    let mut check = |what: &str, error: Option<Error>| {
        let error = error.unwrap_or_else(|| panic!("{what}: expected an error"));
        said += &format!("{what}\n  {error:?}\n");
    };
    let causal = data(CAUSAL, 64);
    let create = |options: Json, data: &DataInfo| prepared(&options, data).err();
    check(
        "a template that does not end",
        create(json!({ "prompt": "Sum up:\n{{ text }" }), &causal),
    );
    check(
        "no filter",
        create(json!({ "prompt": "{{ text | uper }}" }), &causal),
    );
    check("no column", create(json!({ "prompt": "Write." }), &causal));
    check(
        "an open block",
        create(json!({ "prompt": "{% if a %}{{ a }}" }), &causal),
    );
    check(
        "a prompt for turns",
        create(
            json!({ "format": "messages", "prompt": "{{ a }}" }),
            &causal,
        ),
    );
    check(
        "turns for a prompt",
        create(json!({ "messages": "turns" }), &causal),
    );
    check(
        "a target for turns",
        create(json!({ "format": "sharegpt", "target": "y" }), &causal),
    );
    check(
        "too long a source",
        create(json!({ "max_source_length": 65 }), &causal),
    );
    check(
        "a prompt that is not written",
        create(json!({ "train_on_prompt": true }), &data(SEQ2SEQ, 0)),
    );
    let no_start = DataInfo {
        model: ModelFacts {
            decoder_start_token_id: None,
            ..data(SEQ2SEQ, 0).model
        },
        ..DataInfo::default()
    };
    check("no start", create(json!({}), &no_start));

    let mut encoding = |what: &str, options: Json, columns: &[(&str, &[&str])]| {
        let task = prepared(&options, &data(CAUSAL, 0)).expect("good options");
        check(what, encode(&task, &record(columns)).err());
    };
    let plain = || json!({ "prompt": "{{ text }}" });
    encoding(
        "no such column",
        plain(),
        &[("body", &["x"]), ("target", &["y"])],
    );
    encoding("no target", plain(), &[("text", &["x"]), ("target", &[])]);
    encoding("no prompt", plain(), &[("text", &[]), ("target", &["y"])]);
    encoding(
        "no attribute",
        json!({ "prompt": "a\n{{ text.title.first }}" }),
        &[("text", &["x"]), ("target", &["y"])],
    );
    let turns = || json!({ "format": "messages" });
    let mut conversation = |what: &str, cell: &str| {
        encoding(what, turns(), &[("messages", &[cell])]);
    };
    conversation("no JSON", "[{");
    conversation("no list", r#"{"role": "user"}"#);
    conversation("no turn", "[]");
    conversation(
        "no role",
        r#"[{"role": "user", "content": "a"}, {"from": "gpt", "value": "b"}]"#,
    );
    conversation("no text", r#"[{"role": "user", "content": 3}]"#);
    conversation(
        "an image",
        r#"[{"role": "user", "content": [{"type": "image_url"}]}]"#,
    );
    conversation("no answer", r#"[{"role": "user", "content": "a"}]"#);
    conversation(
        "refused",
        r#"[{"role": "user", "content": "forbidden"}, {"role": "assistant", "content": "a"}]"#,
    );
    encoding(
        "an unknown speaker",
        json!({ "format": "sharegpt" }),
        &[(
            "conversations",
            &[r#"[{"from": "narrator", "value": "a"}]"#],
        )],
    );
    insta::assert_snapshot!(said);
}

/// A template that writes earlier turns in another way once there are later ones.
struct Forgets;

impl HostTokenizer for Forgets {
    fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding> {
        Characters.encode(text, how)
    }

    fn decode(&self, ids: &[u32], skip: bool) -> Result<String> {
        Characters.decode(ids, skip)
    }

    fn chat(&self, messages: &[Message], _: bool) -> Result<String> {
        let (last, earlier) = messages.split_last().context("no turn")?;
        let earlier: String = earlier
            .iter()
            .map(|turn| turn.content.to_lowercase())
            .collect();
        Ok(format!("{earlier}{}", last.content))
    }

    fn token_id(&self, _: &str) -> Option<u32> {
        None
    }

    fn special(&self, role: &str) -> Option<u32> {
        Characters.special(role)
    }

    fn vocab_size(&self) -> usize {
        1 << 16
    }
}

#[test]
fn templates_that_change_earlier_turns_are_found_out() {
    let tokenizer = SharedTokenizer::new(Forgets);
    let turns = ["user", "assistant", "user", "assistant"]
        .map(|role| json!({ "role": role, "content": "Turn" }));
    let record = record(&[("messages", &[&Json::from(turns.to_vec()).to_string()])]);
    let encode = |options: Json| {
        let mut examples = Examples::new();
        let task = prepared(&options, &data(CAUSAL, 0)).expect("good options");
        let made = task.encode(record.record(0), &tokenizer.as_tokenizer(), &mut examples);
        made.map(|()| shown(&examples, "labels"))
    };
    let error = encode(json!({ "format": "messages" })).expect_err("all turns");
    insta::assert_snapshot!(format!("{error:?}"));
}

/// Logits `[n, vocab]` where labels count, drawn from the label and its position's input.
fn outputs(_: &TaskInfo, batch: &TensorMap) -> TensorMap {
    let labels = batch.require("labels").expect("labels");
    let ids = batch
        .get("decoder_input_ids")
        .or_else(|| batch.get("input_ids"));
    let ids = ids.expect("ids").to_kind(Kind::Double);
    let places = labels.not_equal(-100).reshape([-1]).nonzero().reshape([-1]);
    let mixed = (ids * 0.7 + labels.to_kind(Kind::Double) * 1.3).reshape([-1]);
    let mixed = mixed.index_select(0, &places).unsqueeze(-1); // [n, 1]
    let classes = Tensor::arange(20, (Kind::Double, Device::Cpu));
    let logits = (mixed * classes).sin().to_kind(Kind::Float); // [n, 20]
    TensorMap::new().with("logits", logits.set_requires_grad(true))
}

#[test]
fn conforms() {
    for offers in [CAUSAL, SEQ2SEQ] {
        let options = json!({ "prompt": "{{ text }}", "target": "summary" });
        let info = prepared(&options, &data(offers, 12))
            .expect("good options")
            .describe();
        conformance::task_with::<TextGeneration>(&TaskCase {
            options,
            data: DataInfo {
                model: data(offers, 0).model,
                ..data_for(&info)
            },
            records: records_for(&info, 7, false),
            outputs,
        });
    }
}
