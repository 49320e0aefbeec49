//! Both sides as tokens, smoothed losses against ones worked out by hand, and every refusal.

use serde_json::{Value as Json, json};
use tenon_plugin_api::options::Options as _;
use tenon_plugin_api::record::RecordBatch;
use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tokenizer::{HostTokenizer, SharedTokenizer};
use tenon_testkit::conformance::{self, TaskCase};
use tenon_testkit::task::{data_for, records_for};

use crate::{Options, Translation};

const END: i64 = 1;
const START: i64 = 2;
const SOURCE: i64 = 3;
const GERMAN: i64 = 4;

/// One token a character; sources stand between `[` (3) and `$` (1), targets before `$`, in capitals.
struct Characters {
    framed: bool,
}

impl HostTokenizer for Characters {
    fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding> {
        let mut encoding = Encoding::default();
        let mut put = |id: i64, text: Option<usize>| {
            encoding.ids.push(id);
            encoding.sequences.push(text);
        };
        let framed = self.framed && !how.no_special_tokens;
        if framed && !how.target {
            put(SOURCE, None);
        }
        for character in text.chars() {
            let id = match how.target {
                true => character.to_ascii_uppercase(),
                false => character,
            };
            put(i64::from(u32::from(id)), Some(0));
        }
        if framed {
            put(END, None);
        }
        Ok(encoding)
    }

    fn decode(&self, _: &[u32], _: bool) -> Result<String> {
        Err(Error::unsupported("decoding"))
    }

    fn token_id(&self, token: &str) -> Option<u32> {
        (token == ">>de<<").then_some(GERMAN as u32)
    }

    fn special(&self, role: &str) -> Option<u32> {
        (role == "eos").then_some(END as u32)
    }

    fn vocab_size(&self) -> usize {
        1 << 16
    }
}

fn data(max_length: usize) -> DataInfo {
    DataInfo {
        max_length,
        model: ModelFacts {
            id: "tiny".to_owned(),
            offers: vec!["seq2seq-lm".to_owned()],
            decoder_start_token_id: Some(START),
            vocab_size: 0,
        },
        ..DataInfo::default()
    }
}

fn prepared(options: &Json, data: &DataInfo) -> Result<Translation> {
    let mut task = Translation::new(Options::from_json(&options.to_string())?)?;
    task.prepare(data)?;
    Ok(task)
}

/// One record with these columns; no text is a missing cell.
fn record(columns: &[(&str, &[&str])]) -> RecordBatch {
    let mut batch = RecordBatch::new(1);
    for (name, texts) in columns {
        let values = Values::texts([texts.to_vec()]);
        batch.add(name, values, &[texts.is_empty()]).expect("fits");
    }
    batch
}

fn encode(task: &Translation, record: &RecordBatch, framed: bool) -> Result<Examples> {
    let tokenizer = SharedTokenizer::new(Characters { framed });
    let mut examples = Examples::new();
    task.encode(record.record(0), &tokenizer.as_tokenizer(), &mut examples)?;
    Ok(examples)
}

fn shown(examples: &Examples, field: &str) -> String {
    let ids = examples.ints(field, 0).unwrap_or_default();
    let character = |id: &i64| match *id {
        END => '$',
        START => '^',
        SOURCE => '[',
        GERMAN => '#',
        id => char::from_u32(id as u32).expect("a character"),
    };
    ids.iter().map(character).collect()
}

#[test]
fn pairs_become_tokens_of_both_sides() {
    let columns = record(&[
        ("source", &["a house"]),
        ("target", &["ein Haus", "das Haus"]),
    ]);
    let map = r#"{"en": "a house", "de": ["ein Haus", "das Haus"]}"#;
    let map = record(&[("translation", &[map])]);
    let pair = json!({ "pair": "translation", "source_language": "en", "target_language": "de" });
    let cases = [
        ("columns", json!({}), 0, &columns, true),
        ("a map", pair, 0, &map, true),
        (
            "a tokenizer that adds nothing",
            json!({}),
            0,
            &columns,
            false,
        ),
        (
            "a prefix",
            json!({ "prefix": "to German: " }),
            0,
            &columns,
            true,
        ),
        (
            "a language token",
            json!({ "source_token": ">>de<<" }),
            0,
            &columns,
            true,
        ),
        (
            "a first token of the target",
            json!({ "target_token": ">>de<<" }),
            0,
            &columns,
            true,
        ),
        ("6 tokens at most", json!({}), 6, &columns, true),
        (
            "less",
            json!({ "max_source_length": 4, "max_target_length": 3 }),
            6,
            &columns,
            true,
        ),
    ];
    let mut said = String::new();
    for (what, options, limit, record, framed) in &cases {
        let task = prepared(options, &data(*limit)).expect("good options");
        let made = encode(&task, record, *framed).expect("encodes");
        said += &format!(
            "{what}: {:?} | {:?} -> {:?}\n",
            shown(&made, "input_ids"),
            shown(&made, "decoder_input_ids"),
            shown(&made, "labels")
        );
        let tokenizer = SharedTokenizer::new(Characters { framed: *framed });
        let mut prompts = Examples::new();
        task.encode_prompt(record.record(0), &tokenizer.as_tokenizer(), &mut prompts)
            .expect("a prompt");
        assert_eq!(prompts.ints("input_ids", 0), made.ints("input_ids", 0));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn losses_are_smoothed_over_the_vocabulary() {
    let logits = [[2.0_f32, -1.0, 0.5], [0.0, 0.3, -0.2]];
    let labels = Tensor::from_slice2(&[[0_i64, -100], [2, -100]]);
    let batch = TensorMap::new().with("labels", labels);
    let outputs = TensorMap::new().with("logits", Tensor::from_slice2(&logits));
    let surprise = |row: &[f32; 3], class: usize| {
        let sum: f64 = row.iter().map(|z| f64::from(*z).exp()).sum();
        sum.ln() - f64::from(row[class])
    };
    for smoothing in [0.0, 0.3] {
        let task = prepared(&json!({ "label_smoothing": smoothing }), &data(0));
        let loss = task.expect("good options").loss(&outputs, &batch);
        let loss = loss.expect("a loss");
        let expected: f64 = [(&logits[0], 0), (&logits[1], 2)]
            .iter()
            .map(|(row, class)| {
                let all: f64 = (0..3).map(|class| surprise(row, class)).sum();
                (1.0 - smoothing) * surprise(row, *class) + smoothing / 3.0 * all
            })
            .sum();
        assert!((loss.sum.double_value(&[]) - expected).abs() < 1e-6);
        assert_eq!(loss.weight, 2.0);
    }
}

#[test]
fn translations_are_compared_with_all_references() {
    let task = |options| tenon_testkit::task::<Translation>(options);
    let mut records = RecordBatch::new(2);
    let sources = Values::text(["one", "two"]);
    records.add("source", sources, &[]).expect("fits");
    let written = Values::text([" eins", "zwei\n"]);
    let made = task(json!({})).conclude(&records, &written, &[0, 1]);
    let made = made.expect("concludes");
    assert_eq!(made.predictions, Values::text(["eins", "zwei"]));
    assert_eq!(made.references, None);

    let targets = Values::texts([vec!["eins", "ein"], vec!["zwei"]]);
    records.add("target", targets.clone(), &[]).expect("fits");
    let made = task(json!({})).conclude(&records, &written, &[0, 1]);
    assert_eq!(made.expect("concludes").references, Some(targets));

    let pair = json!({ "pair": "t", "source_language": "en", "target_language": "de" });
    let mut records = RecordBatch::new(2);
    let cells = Values::text([r#"{"en": "one", "de": "eins"}"#, r#"{"en": "two"}"#]);
    records.add("t", cells, &[]).expect("fits");
    let made = task(pair).conclude(&records, &written, &[0, 1]);
    assert_eq!(made.expect("concludes").references, None, "one has none");
}

#[test]
fn description() {
    let options = json!({ "target_token": "deu_Latn", "max_target_length": 100 });
    let task = prepared(&options, &data(512)).expect("good options");
    insta::assert_json_snapshot!("description", task.describe());
}

#[test]
fn refusals() {
    let mut said = String::new();
    let mut check = |what: &str, error: Option<Error>| {
        let error = error.unwrap_or_else(|| panic!("{what}: expected an error"));
        said += &format!("{what}\n  {error:?}\n");
    };
    let create = |options: Json, data: &DataInfo| prepared(&options, data).err();
    let causal = DataInfo {
        model: ModelFacts {
            offers: vec!["causal-lm".to_owned()],
            decoder_start_token_id: None,
            ..data(0).model
        },
        ..DataInfo::default()
    };
    let no_start = DataInfo {
        model: ModelFacts {
            decoder_start_token_id: None,
            ..data(0).model
        },
        ..DataInfo::default()
    };
    check("a causal model", create(json!({}), &causal));
    check("no start", create(json!({}), &no_start));
    check(
        "too long",
        create(json!({ "max_target_length": 513 }), &data(512)),
    );
    check(
        "a language without a map",
        create(json!({ "source_language": "en" }), &data(0)),
    );
    check(
        "a map and a column",
        create(json!({ "pair": "t", "source": "en" }), &data(0)),
    );
    check(
        "a map without a language",
        create(json!({ "pair": "t", "source_language": "en" }), &data(0)),
    );

    let mut encoding = |what: &str, options: &Json, columns: &[(&str, &[&str])]| {
        let task = prepared(options, &data(0)).expect("good options");
        check(what, encode(&task, &record(columns), false).err());
    };
    let both: &[(&str, &[&str])] = &[("source", &["a"]), ("target", &["b"])];
    encoding("no token", &json!({ "source_token": ">>fr<<" }), both);
    encoding(
        "no token of the target",
        &json!({ "target_token": "fra" }),
        both,
    );
    encoding("no column", &json!({ "target": "de" }), both);
    encoding(
        "no target",
        &json!({}),
        &[("source", &["a"]), ("target", &[])],
    );
    encoding(
        "no source",
        &json!({}),
        &[("source", &[""]), ("target", &["b"])],
    );
    let pair = json!({ "pair": "t", "source_language": "en", "target_language": "de" });
    encoding("no JSON", &pair, &[("t", &["{"])]);
    encoding("no map", &pair, &[("t", &["[1]"])]);
    encoding(
        "another language",
        &pair,
        &[("t", &[r#"{"en": "a", "french": "b"}"#])],
    );
    encoding("no text", &pair, &[("t", &[r#"{"en": "a", "de": 3}"#])]);
    insta::assert_snapshot!(said);
}

/// Logits `[n, vocab]` where labels count, drawn from the label and its position's input.
fn outputs(_: &TaskInfo, batch: &TensorMap) -> TensorMap {
    let labels = batch.require("labels").expect("labels");
    let ids = batch
        .require("decoder_input_ids")
        .expect("ids")
        .to_kind(Kind::Double);
    let places = labels.not_equal(-100).reshape([-1]).nonzero().reshape([-1]);
    let mixed = (ids * 0.7 + labels.to_kind(Kind::Double) * 1.3).reshape([-1]);
    let mixed = mixed.index_select(0, &places).unsqueeze(-1); // [n, 1]
    let classes = Tensor::arange(20, (Kind::Double, Device::Cpu));
    let logits = (mixed * classes).sin().to_kind(Kind::Float); // [n, 20]
    TensorMap::new().with("logits", logits.set_requires_grad(true))
}

#[test]
fn conforms() {
    let options = json!({ "label_smoothing": 0.1 });
    let info = prepared(&options, &data(12))
        .expect("good options")
        .describe();
    conformance::task_with::<Translation>(&TaskCase {
        options,
        data: DataInfo {
            model: data(0).model,
            ..data_for(&info)
        },
        records: records_for(&info, 7, false),
        outputs,
    });
}
