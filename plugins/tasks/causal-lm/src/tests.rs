//! Likelihoods against ones worked out by hand, bytes of tokens, and every refusal.

use serde_json::json;
use tenon_plugin_api::options::Options as _;
use tenon_plugin_api::record::RecordBatch;
use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tokenizer::{HostTokenizer, SharedTokenizer};
use tenon_testkit::conformance::{self, TaskCase};
use tenon_testkit::task::{TEXT, data_for, records_for, tokenizer};

use crate::{CausalLm, Options};

fn prepared(options: &str, max_length: usize) -> Result<CausalLm> {
    let mut task = CausalLm::new(Options::from_json(options)?)?;
    task.prepare(&DataInfo {
        max_length,
        ..DataInfo::default()
    })?;
    Ok(task)
}

/// Logits `[n, 3]` where labels count, and the labels of two blocks.
fn two_blocks() -> (Vec<[f32; 3]>, TensorMap, TensorMap) {
    let logits = vec![[2.0, -1.0, 0.5], [0.0, 0.3, -0.2], [1.0, 1.0, 1.0]];
    let labels = Tensor::from_slice2(&[[-100_i64, 0, 2], [1, -100, -100]]);
    let batch = TensorMap::new()
        .with("labels", labels)
        .with("bytes", Tensor::from_slice(&[7_i64, 2]));
    let outputs = TensorMap::new().with("logits", Tensor::from_slice2(&logits));
    (logits, outputs, batch)
}

fn surprise(logits: &[f32; 3], label: usize) -> f64 {
    let sum: f64 = logits.iter().map(|z| f64::from(*z).exp()).sum();
    sum.ln() - f64::from(logits[label])
}

#[test]
fn each_block_gives_its_likelihood_tokens_and_bytes() {
    let (logits, outputs, batch) = two_blocks();
    let task = prepared("{}", 0).expect("good options");
    let expected = [
        surprise(&logits[0], 0) + surprise(&logits[1], 2),
        surprise(&logits[2], 1),
    ];

    let loss = task.loss(&outputs, &batch).expect("a loss");
    assert_eq!(loss.weight, 3.0);
    assert!((loss.sum.double_value(&[]) - expected[0] - expected[1]).abs() < 1e-6);

    let made = task.predict(&outputs, &batch).expect("predictions");
    for (block, (expected, rest)) in expected.iter().zip([[2.0, 7.0], [1.0, 2.0]]).enumerate() {
        let found = made.predictions.numbers_at(block);
        assert!((found[0] - expected).abs() < 1e-6, "{found:?}");
        assert_eq!(found[1..], rest);
    }
    let references = made.references.expect("references");
    assert_eq!((references.len(), references.numbers_at(1)), (2, &[][..]));
}

/// Tokens of two characters each, of which those that are white space have none.
struct Pairs;

impl HostTokenizer for Pairs {
    fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding> {
        assert!(how.no_special_tokens && how.offsets);
        let mut encoding = Encoding::default();
        let places: Vec<(usize, char)> = text.char_indices().collect();
        for pair in places.chunks(2) {
            let (first, last) = (pair[0], pair[pair.len() - 1]);
            if first.1 != ' ' {
                encoding.ids.push(i64::from(u32::from(first.1)));
                encoding.offsets.push((first.0, last.0 + last.1.len_utf8()));
            }
        }
        Ok(encoding)
    }

    fn decode(&self, _: &[u32], _: bool) -> Result<String> {
        Err(Error::unsupported("decoding"))
    }

    fn token_id(&self, _: &str) -> Option<u32> {
        None
    }

    fn special(&self, _: &str) -> Option<u32> {
        None
    }

    fn vocab_size(&self) -> usize {
        1 << 20
    }
}

#[test]
fn tokens_have_all_bytes_of_the_text() {
    let tokenizer = SharedTokenizer::new(Pairs);
    let mut examples = Examples::new();
    let task = prepared("{}", 0).expect("good options");
    for text in ["abcdé", "  ab  cd    ", "", "    "] {
        let mut batch = RecordBatch::new(1);
        batch.add("text", Values::text([text]), &[]).expect("fits");
        task.encode(batch.record(0), &tokenizer.as_tokenizer(), &mut examples)
            .expect("encodes");
    }
    assert_eq!(examples.len(), 2, "text without tokens makes no example");
    assert_eq!(examples.ints("bytes", 0), Some(&[2, 2, 2][..]));
    assert_eq!(examples.ints("bytes", 1), Some(&[4, 8][..]));
    for example in 0..2 {
        let ids = examples.ints("input_ids", example);
        assert_eq!(examples.ints("labels", example), ids);
    }
}

#[test]
fn blocks_follow_the_model() {
    let cases = [
        ("{}", 0, (1024, 1024)),
        ("{}", 512, (512, 512)),
        (r#"{"block_size": 64}"#, 512, (64, 64)),
        (r#"{"block_size": 64, "stride": 16}"#, 0, (64, 16)),
        (r#"{"stride": 16}"#, 128, (128, 16)),
    ];
    for (options, limit, expected) in cases {
        let info = prepared(options, limit).expect("good options").describe();
        let pack = info.pack.expect("packing");
        assert_eq!((pack.length, pack.stride), expected, "{options} {limit}");
    }
    let pack = |options| {
        let info = prepared(options, 0).expect("good options").describe();
        info.pack.expect("packing").separator
    };
    assert_eq!(pack("{}").as_deref(), Some("eos"));
    assert_eq!(pack(r#"{"separator": ""}"#), None);
}

#[test]
fn description() {
    let task = prepared(r#"{"block_size": 64, "stride": 32}"#, 0).expect("good options");
    insta::assert_json_snapshot!("description", task.describe());
}

#[test]
fn refusals() {
    let mut said = String::new();
    let mut check = |what: &str, result: Result<()>| {
        let error = result.expect_err(what);
        said += &format!("{what}\n  {error:?}\n");
    };
    let create = |options: &str, limit: usize| prepared(options, limit).map(drop);
    check(
        "longer than the model takes",
        create(r#"{"block_size": 513}"#, 512),
    );
    check(
        "a stride beyond the block",
        create(r#"{"block_size": 8, "stride": 9}"#, 0),
    );
    check(
        "a stride beyond the model's block",
        create(r#"{"stride": 513}"#, 512),
    );
    check(
        "a block without a target",
        create(r#"{"block_size": 1}"#, 0),
    );
    check("no stride", create(r#"{"stride": 0}"#, 0));

    let (_, outputs, batch) = two_blocks();
    let task = prepared("{}", 0).expect("good options");
    let few = TensorMap::new().with("logits", Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)));
    check("a row is missing", task.loss(&few, &batch).map(drop));
    let labels = batch.require("labels").expect("labels").shallow_clone();
    let no_bytes = TensorMap::new().with("labels", labels);
    check("no bytes", task.predict(&outputs, &no_bytes).map(drop));
    insta::assert_snapshot!(said);
}

/// Logits `[n, 20]` where labels count, drawn from the label and the block's own tokens.
fn outputs(_: &TaskInfo, batch: &TensorMap) -> TensorMap {
    let labels = batch.require("labels").expect("labels");
    let ids = batch
        .require("input_ids")
        .expect("ids")
        .to_kind(Kind::Double);
    let counts = labels.not_equal(-100).reshape([-1]);
    let places = counts.nonzero().reshape([-1]);
    let mixed = (ids * 0.7 + labels.to_kind(Kind::Double) * 1.3).reshape([-1]);
    let mixed = mixed.index_select(0, &places).unsqueeze(-1); // [n, 1]
    let classes = Tensor::arange(20, (Kind::Double, Device::Cpu));
    let logits = (mixed * classes).sin().to_kind(Kind::Float); // [n, 20]
    TensorMap::new().with("logits", logits.set_requires_grad(true))
}

#[test]
fn conforms() {
    let options = json!({ "block_size": 6, "separator": "sep" });
    let info = prepared(&options.to_string(), 0)
        .expect("good options")
        .describe();
    assert!(tokenizer().vocab_size() < 20, "{TEXT}");
    conformance::task_with::<CausalLm>(&TaskCase {
        options,
        data: data_for(&info),
        records: records_for(&info, 7, false),
        outputs,
    });
}
