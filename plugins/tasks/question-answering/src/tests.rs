//! Windows against those of `tokenizers`, losses and predictions worked out by hand, and every refusal.

use serde_json::json;
use tenon_plugin_api::host::TaskHandle;
use tenon_plugin_api::record::RecordBatch;
use tenon_plugin_api::task::prelude::*;
use tenon_testkit::conformance::{self, TaskCase};
use tenon_testkit::task::collate;
use tenon_testkit::tokenizer::Whitespace;

use crate::QuestionAnswering;
use crate::answers::{self, Answer};
use crate::options::Offsets;

const PASSAGE: &str = "a tenon fits a mortise and a dovetail holds a drawer";

fn task(options: serde_json::Value, max_length: usize) -> TaskHandle {
    let mut task = tenon_testkit::task::<QuestionAnswering>(options);
    let data = DataInfo {
        max_length,
        ..DataInfo::default()
    };
    task.prepare(&data).expect("good data");
    task
}

/// Records on [`PASSAGE`]; `answers` as JSON, of which "" is a missing cell.
fn records(question: &str, answers: &[&str]) -> RecordBatch {
    let count = answers.len();
    let missing: Vec<bool> = answers.iter().map(|answer| answer.is_empty()).collect();
    let mut records = RecordBatch::new(count);
    for (name, text) in [("question", question), ("context", PASSAGE)] {
        let column = Values::text(std::iter::repeat_n(text, count));
        records.add(name, column, &[]).expect("fits");
    }
    records
        .add("answers", Values::text(answers), &missing)
        .expect("fits");
    records
}

fn tokenizer() -> tenon_plugin_api::tokenizer::SharedTokenizer {
    Whitespace::new(&format!("what fits holds {PASSAGE}")).shared()
}

/// Logits from the tokens' own ids, drawn so that gradients can flow.
fn logits(batch: &TensorMap, factor: f64) -> Tensor {
    let ids = batch.require("input_ids").expect("ids");
    ((ids.to_kind(Kind::Float) * factor).sin() * 3.0).set_requires_grad(true)
}

fn outputs(_: &TaskInfo, batch: &TensorMap) -> TensorMap {
    TensorMap::new()
        .with("start_logits", logits(batch, 1.3))
        .with("end_logits", logits(batch, 2.1))
}

#[test]
fn conformance() {
    for no_answer in [false, true] {
        let given = r#"{"text": ["a mortise"], "answer_start": [13]}"#;
        let second = match no_answer {
            true => "",
            false => r#"[{"text": "tenon", "answer_start": 2}]"#,
        };
        conformance::task_with::<QuestionAnswering>(&TaskCase {
            options: json!({ "no_answer": no_answer, "n_best": 2 }),
            data: DataInfo {
                max_length: 12,
                ..DataInfo::default()
            },
            records: records("what fits", &[given, second, given]),
            outputs,
        });
    }
}

/// As `tokenizer(question, context, truncation="only_second", max_length=10, stride=2,
/// return_overflowing_tokens=True)` cuts it; the answer as `run_qa.py` places it.
#[test]
fn windows_overlap_and_know_the_answer() {
    let task = task(json!({ "max_length": 10, "doc_stride": 2 }), 512);
    let answer = r#"{"text": ["a mortise"], "answer_start": [13]}"#;
    let encoded = task.encode(&records("what fits", &[answer]), &tokenizer());
    let examples = encoded.expect("examples");
    let mut seen = String::new();
    for example in 0..examples.len() {
        let field = |name: &str| examples.ints(name, example).expect("a field");
        let words = field("passage_starts").iter().zip(field("passage_ends"));
        let words: Vec<&str> = words
            .filter(|(start, _)| **start >= 0)
            .map(|(start, end)| &PASSAGE[*start as usize..*end as usize])
            .collect();
        seen += &format!(
            "{}\n  ids   {:?}\n  types {:?}\n  answer {}..={}\n",
            words.join(" "),
            field("input_ids"),
            field("token_type_ids"),
            field("start_positions")[0],
            field("end_positions")[0],
        );
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn answers_of_every_shape() {
    let both = || {
        let answer = |text: &str, start| Answer {
            text: text.to_owned(),
            start,
        };
        vec![answer("tenon", Some(2)), answer("drawer", Some(46))]
    };
    let bare = || {
        let mut answers = both();
        answers.iter_mut().for_each(|answer| answer.start = None);
        answers
    };
    let cases = [
        (
            r#"{"text": ["tenon", "drawer"], "answer_start": [2, 46]}"#,
            both(),
        ),
        (
            r#"[{"text": "tenon", "answer_start": 2}, {"text": "drawer", "answer_start": 46}]"#,
            both(),
        ),
        (r#"{"text": ["tenon", "drawer"]}"#, bare()),
        (r#"["tenon", "drawer"]"#, bare()),
        (
            r#"{"text": "tenon", "answer_start": 2}"#,
            both()[..1].to_vec(),
        ),
        (r#""tenon""#, bare()[..1].to_vec()),
        ("tenon", bare()[..1].to_vec()),
        (r#"{"text": [], "answer_start": []}"#, vec![]),
        (r#"{"text": [""], "answer_start": [0]}"#, vec![]),
        ("null", vec![]),
        ("", vec![]),
    ];
    for (text, expected) in cases {
        let records = records("what", &[text]);
        let found = answers::read(records.record(0), "answers");
        assert_eq!(found.expect("answers"), expected, "{text}");
    }
}

#[test]
fn offsets_count_characters() {
    let answer = Answer {
        text: "été".to_owned(),
        start: Some(3),
    };
    let found = answers::find(&answer, "où été", Offsets::Given).expect("found");
    assert_eq!(found, 4..9);
    let found = answers::find(&answer, "un été, où", Offsets::First).expect("found");
    assert_eq!(found, 3..8);
}

/// Two windows: the first with the answer, the second shorter and without.
fn batch(task: &TaskHandle) -> (TensorMap, Vec<u64>) {
    let answer = r#"{"text": ["tenon"], "answer_start": [2]}"#;
    let encoded = task.encode(&records("what", &[answer]), &tokenizer());
    let examples = encoded.expect("examples");
    let all: Vec<usize> = (0..examples.len()).collect();
    let fields = task.describe().expect("a description").fields;
    let owners = all
        .iter()
        .map(|example| examples.record_of(*example) as u64);
    (collate(&fields, &examples, &all), owners.collect())
}

/// Logits that are 0 but at the places given, `(window, token, value)`; 100 at padding.
fn flat(batch: &TensorMap, peaks: &[(i64, i64, f64)]) -> Tensor {
    let mask = batch.require("attention_mask").expect("a mask");
    let logits = mask.eq(0).to_kind(Kind::Float) * 100.0;
    for (window, token, value) in peaks {
        let _ = logits.get(*window).get(*token).fill_(*value);
    }
    logits
}

#[test]
fn padding_has_no_share_in_the_loss() {
    let task = task(json!({ "max_length": 11, "doc_stride": 1 }), 512);
    let (batch, _) = batch(&task);
    let mask = batch.require("attention_mask").expect("a mask");
    assert_eq!(mask.size(), [2, 11]);
    let lengths =
        Vec::<i64>::try_from(mask.sum_dim_intlist([1_i64].as_slice(), false, Kind::Int64));
    assert_eq!(lengths.expect("lengths"), [11, 9]);
    // [CLS] what [SEP] a tenon …: the answer is token 4
    let outputs = TensorMap::new()
        .with("start_logits", flat(&batch, &[(0, 4, 2.0), (1, 0, 1.0)]))
        .with("end_logits", flat(&batch, &[(0, 4, 0.0)]));
    let loss = task.loss(&outputs, &batch).expect("a loss");
    let start = |own: f64, others: f64| -(own.exp() / (own.exp() + others)).ln();
    let expected = (start(2.0, 10.0) + start(1.0, 8.0) + start(0.0, 10.0) + start(0.0, 8.0)) / 2.0;
    assert_eq!(loss.weight, 2.0);
    let found = loss.sum.double_value(&[]);
    assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
}

/// What the task concludes of one record whose windows have these logits.
fn concluded(
    options: serde_json::Value,
    starts: &[(i64, i64, f64)],
    ends: &[(i64, i64, f64)],
) -> (Vec<String>, Vec<f64>, Vec<String>) {
    let mut given = json!({ "max_length": 11, "doc_stride": 1 });
    let table = given.as_object_mut().expect("a table");
    table.extend(options.as_object().expect("a table").clone());
    let task = task(given, 512);
    let (batch, owners) = batch(&task);
    let outputs = TensorMap::new()
        .with("start_logits", flat(&batch, starts))
        .with("end_logits", flat(&batch, ends));
    let found = task.predict(&outputs, &batch).expect("spans");
    let answer = r#"{"text": ["tenon", "drawer"], "answer_start": [2, 46]}"#;
    let records = records("what", &[answer]);
    let made = task.conclude(&records, &found.predictions, &owners);
    let made = made.expect("a conclusion");
    let texts = |values: &Values| values.texts_at(0).map(str::to_owned).collect();
    let scores = made.predictions.scores_at(0).to_vec();
    (
        texts(&made.predictions),
        scores,
        texts(&made.references.expect("references")),
    )
}

#[test]
fn the_best_span_of_all_windows_is_the_answer() {
    // of the first window: [CLS] what [SEP] a tenon fits a mortise and a [SEP]
    // of the second: [CLS] what [SEP] a dovetail holds a drawer [SEP]
    let cases = [
        (
            "the first window",
            json!({}),
            vec![(0, 4, 5.0)],
            vec![(0, 7, 5.0)],
        ),
        (
            "the second window",
            json!({}),
            vec![(0, 4, 5.0), (1, 4, 6.0)],
            vec![(0, 4, 5.0), (1, 5, 6.0)],
        ),
        (
            "no end before a start",
            json!({}),
            vec![(0, 7, 5.0)],
            vec![(0, 4, 5.0), (0, 8, 1.0)],
        ),
        (
            "not of the question",
            json!({}),
            vec![(0, 1, 9.0), (0, 5, 1.0)],
            vec![(0, 1, 9.0), (0, 5, 1.0)],
        ),
        (
            "short enough",
            json!({ "max_answer_length": 2 }),
            vec![(0, 3, 5.0)],
            vec![(0, 7, 5.0), (0, 4, 1.0)],
        ),
        (
            "several",
            json!({ "n_best": 3 }),
            vec![(0, 4, 5.0), (1, 7, 4.0)],
            vec![(0, 4, 5.0), (0, 5, 3.0), (1, 7, 4.0)],
        ),
        (
            "an answer all the same",
            json!({ "no_answer": true }),
            vec![(0, 0, 3.0), (1, 0, 3.0), (0, 4, 2.0)],
            vec![(0, 4, 2.0)],
        ),
        (
            "one window is sure",
            json!({ "no_answer": true }),
            vec![(0, 0, 8.0), (1, 0, 3.0), (1, 4, 4.0)],
            vec![(1, 5, 2.0)],
        ),
        (
            "a threshold",
            json!({ "no_answer": true, "no_answer_threshold": -6.0 }),
            vec![(1, 4, 4.0)],
            vec![(1, 5, 1.0)],
        ),
        (
            "none, and several",
            json!({ "no_answer": true, "n_best": 2 }),
            vec![(0, 0, 9.0), (1, 0, 9.0), (0, 4, 2.0)],
            vec![(0, 4, 2.0)],
        ),
    ];
    let mut seen = String::new();
    for (what, options, starts, ends) in cases {
        let (texts, scores, references) = concluded(options, &starts, &ends);
        seen += &format!("{what}: {texts:?}");
        for score in scores {
            seen += &format!(", none with {score:.4}");
        }
        seen += "\n";
        assert_eq!(references, ["tenon", "drawer"]);
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn descriptions() {
    let described = task(json!({ "no_answer": true }), 512).describe();
    insta::assert_json_snapshot!(described.expect("a description"));
}

#[test]
fn refusals() {
    let mut said = String::new();
    let mut check = |what: &str, error: Option<Error>| {
        let error = error.unwrap_or_else(|| panic!("{what} is accepted"));
        said += &format!("{what}\n  {error:?}\n");
    };
    for (what, options) in [
        (
            "a threshold of nothing",
            json!({ "no_answer_threshold": 1.0 }),
        ),
        (
            "an overlap too long",
            json!({ "max_length": 64, "doc_stride": 64 }),
        ),
        (
            "a question too long",
            json!({ "max_length": 64, "max_question_length": 80 }),
        ),
    ] {
        check(
            what,
            TaskHandle::of::<QuestionAnswering>(&options.to_string()).err(),
        );
    }
    let mut of_512 = tenon_testkit::task::<QuestionAnswering>(json!({ "max_length": 640 }));
    let data = DataInfo {
        max_length: 512,
        ..DataInfo::default()
    };
    check("more than the model takes", of_512.prepare(&data).err());

    let encode = |options: serde_json::Value, question: &str, answer: &str| {
        let task = task(options, 512);
        task.encode(&records(question, &[answer]), &tokenizer())
            .err()
    };
    for (what, options, answer) in [
        (
            "elsewhere",
            json!({}),
            r#"{"text": ["drawer"], "answer_start": [3]}"#,
        ),
        (
            "behind the end",
            json!({}),
            r#"{"text": ["drawer"], "answer_start": [300]}"#,
        ),
        (
            "nowhere",
            json!({}),
            r#"{"text": ["screw"], "answer_start": [2]}"#,
        ),
        (
            "nowhere, and sought",
            json!({ "offsets": "first" }),
            r#"["screw"]"#,
        ),
        ("without a start", json!({}), r#"["drawer"]"#),
        ("no answer", json!({}), ""),
        ("no answers", json!({}), r#"{"answer": "drawer"}"#),
        (
            "lists that differ",
            json!({}),
            r#"{"text": ["drawer"], "answer_start": [46, 3]}"#,
        ),
        ("no JSON", json!({}), r#"{"text": "#),
    ] {
        check(what, encode(options, "what", answer));
    }
    let long = "what ".repeat(20);
    let options = json!({ "max_length": 20, "max_question_length": 19 });
    let answer = r#"{"text": ["drawer"], "answer_start": [46]}"#;
    check("no room", encode(options, &long, answer));

    let task = task(json!({}), 512);
    let (batch, owners) = batch(&task);
    let short = TensorMap::new()
        .with(
            "start_logits",
            Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)),
        )
        .with(
            "end_logits",
            Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)),
        );
    check("logits of another shape", task.loss(&short, &batch).err());
    let records = records("what", &[answer]);
    let texts = Values::text(owners.iter().map(|_| "a text"));
    check(
        "something else found",
        task.conclude(&records, &texts, &owners).err(),
    );
    insta::assert_snapshot!(said);
}
