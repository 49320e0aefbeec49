//! Losses against frozen ones of `transformers`, examples, predictions, and every refusal.

use std::path::Path;

use tenon_plugin_api::options::Options as _;
use tenon_plugin_api::record::RecordBatch;
use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tokenizer::{HostTokenizer, SharedTokenizer};

use tenon_testkit::Whitespace;

use crate::{Classification, Options, Problem};

/// Ids are word lengths; `[CLS]` is 101 and `[SEP]` 102.
struct Words;

impl HostTokenizer for Words {
    fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding> {
        let mut encoding = Encoding::default();
        let mut add = |id, text| {
            encoding.ids.push(id);
            encoding.type_ids.push(text);
        };
        add(101, 0);
        for (place, text) in [Some(text), how.pair].into_iter().flatten().enumerate() {
            for word in text.split_whitespace() {
                add(word.len() as i64, place as i64);
            }
            add(102, place as i64);
        }
        let limit = how.max_length.unwrap_or(usize::MAX);
        if how.truncation == Truncation::Never && encoding.ids.len() > limit {
            bail!(Data, "{} tokens, more than {limit}", encoding.ids.len());
        }
        encoding.ids.truncate(limit);
        encoding.type_ids.truncate(limit);
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
        103
    }
}

fn create(options: &str) -> Result<Classification> {
    Classification::new(Options::from_json(options)?)
}

/// A task that was told of a label column with these classes.
fn prepared(options: &str, classes: &[&str]) -> Result<Classification> {
    let mut task = create(options)?;
    let mut data = DataInfo {
        max_length: 512,
        ..DataInfo::default()
    };
    let names = classes.iter().map(|name| (*name).to_owned()).collect();
    data.labels.insert("label".to_owned(), names);
    task.prepare(&data)?;
    Ok(task)
}

fn pets(options: &str) -> Classification {
    prepared(options, &["ant", "bee", "cat"]).expect("good options")
}

fn outputs(logits: &[&[f32]]) -> TensorMap {
    let shape = [logits.len() as i64, logits[0].len() as i64];
    let logits = Tensor::from_slice(&logits.concat()).view(shape);
    TensorMap::new().with("logits", logits)
}

fn labelled(labels: Tensor) -> TensorMap {
    TensorMap::new().with("labels", labels)
}

/// Labels with a shape, in float32.
fn float_labels(labels: &[f32], shape: &[i64]) -> TensorMap {
    labelled(Tensor::from_slice(labels).view(shape))
}

fn close(found: f64, expected: f64, what: &str) {
    let error = (found - expected).abs();
    assert!(
        error <= 1e-5 * expected.abs().max(1e-3),
        "{what}: {found} for {expected}"
    );
}

#[test]
fn losses_equal_those_of_transformers() {
    let cases = [
        ("gelu", "single_label", 2),
        ("gelu-new", "single_label", 3),
        ("silu-multi-label", "multi_label", 4),
        ("relu-regression", "regression", 0),
    ];
    for (folder, problem, classes) in cases {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/bert");
        let file = fixtures.join(folder).join("expected.safetensors");
        let tensors: TensorMap = Tensor::read_safetensors(file)
            .expect("a fixture")
            .into_iter()
            .collect();
        let get = |name: &str| {
            tensors
                .require(name)
                .expect("in the fixture")
                .shallow_clone()
        };
        let names = ["a", "b", "c", "d"];
        let options = format!(r#"{{"problem": "{problem}"}}"#);
        let task = prepared(&options, &names[..classes]).expect("good options");
        let loss = task
            .loss(
                &TensorMap::new().with("logits", get("output.logits")),
                &labelled(get("input.labels")),
            )
            .expect("a loss");
        let expected = get("output.loss").double_value(&[0]);
        close(loss.sum.double_value(&[]) / loss.weight, expected, folder);
        assert_eq!(loss.weight, get("input.labels").size()[0] as f64);
    }
}

#[test]
fn weights_and_smoothing_are_those_of_torch() {
    let logits = [[2.0, -1.0, 0.5], [0.0, 0.3, -0.2]];
    let rows: Vec<&[f32]> = logits.iter().map(|row| &row[..]).collect();
    let log_softmax = |row: &[f32; 3], class: usize| {
        let sum: f64 = row.iter().map(|z| f64::from(*z).exp()).sum();
        f64::from(row[class]) - sum.ln()
    };
    let labels = || labelled(Tensor::from_slice(&[0_i64, 1]));

    let task = pets(r#"{"problem": "single_label", "class_weights": {"bee": 3.0}}"#);
    let loss = task.loss(&outputs(&rows), &labels()).expect("a loss");
    let expected = -log_softmax(&logits[0], 0) - 3.0 * log_softmax(&logits[1], 1);
    close(loss.sum.double_value(&[]), expected, "class weights");
    assert_eq!(loss.weight, 4.0, "weights of the references");

    let task = pets(r#"{"problem": "single_label", "label_smoothing": 0.3}"#);
    let loss = task.loss(&outputs(&rows), &labels()).expect("a loss");
    let smooth = |row, class| {
        let all: f64 = (0..3).map(|c| log_softmax(row, c)).sum();
        -0.7 * log_softmax(row, class) - 0.1 * all
    };
    let expected = smooth(&logits[0], 0) + smooth(&logits[1], 1);
    close(loss.sum.double_value(&[]), expected, "smoothing");

    let task = pets(r#"{"problem": "multi_label", "class_weights": {"ant": 2.0}}"#);
    let batch = float_labels(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0], &[2, 3]);
    let loss = task.loss(&outputs(&rows), &batch).expect("a loss");
    let log_sigmoid = |z: f32| -(-f64::from(z)).exp().ln_1p();
    let expected = -(2.0 * log_sigmoid(2.0)
        + log_sigmoid(1.0)
        + log_sigmoid(0.5)
        + log_sigmoid(0.0)
        + log_sigmoid(0.3)
        + log_sigmoid(0.2))
        / 3.0;
    close(loss.sum.double_value(&[]), expected, "pos_weight");
    assert_eq!(loss.weight, 2.0);
}

#[test]
fn predictions_carry_scores_and_references() {
    let logits: [&[f32]; 2] = [&[0.0, 2.0, 1.0], &[3.0, -1.0, 0.0]];

    let made = pets(r#"{"problem": "single_label"}"#)
        .predict(
            &outputs(&logits),
            &labelled(Tensor::from_slice(&[1_i64, 2])),
        )
        .expect("predictions");
    let scores = made.predictions.scores_at(0);
    assert_eq!(made.predictions.class_ids_at(0), [1]);
    assert_eq!(made.predictions.class_ids_at(1), [0]);
    close(scores.iter().sum(), 1.0, "sum of scores");
    close(scores[1] / scores[2], 1_f64.exp(), "softmax");
    assert_eq!(made.references, Some(Values::labels([1, 2])));

    let made = pets(r#"{"problem": "multi_label", "threshold": 0.7}"#)
        .predict(
            &outputs(&logits),
            &float_labels(&[1.0, 0.0, 1.0, 0.0, 0.0, 0.0], &[2, 3]),
        )
        .expect("predictions");
    assert_eq!(made.predictions.class_ids_at(0), [1, 2]);
    assert_eq!(made.predictions.class_ids_at(1), [0]);
    close(made.predictions.scores_at(0)[0], 0.5, "sigmoid");
    let expected = Values::label_sets([vec![0, 2], vec![]]);
    assert_eq!(made.references, Some(expected));

    let made = pets(r#"{"problem": "regression"}"#)
        .predict(&outputs(&[&[0.5], &[2.5]]), &TensorMap::new())
        .expect("predictions");
    assert_eq!(made.predictions, Values::numbers([0.5, 2.5]));
    assert_eq!(made.references, None);
}

#[test]
fn examples_hold_ids_types_and_labels() {
    let tokenizer = SharedTokenizer::new(Words);
    let mut batch = RecordBatch::new(2);
    batch
        .add("a", Values::text(["big cat", "x"]), &[])
        .expect("fits");
    batch
        .add("b", Values::text(["no dogs", "y"]), &[])
        .expect("fits");
    let kinds = [
        ("single_label", Values::labels([2, 0])),
        ("multi_label", Values::label_sets([vec![2, 0], vec![]])),
        ("regression", Values::numbers([1.5, -2.0])),
    ];
    let mut seen = String::new();
    for (problem, labels) in kinds {
        let options = format!(
            r#"{{"text": "a", "text_pair": "b", "problem": "{problem}", "max_length": 6}}"#
        );
        let task = pets(&options);
        let mut batch = batch.clone();
        batch.add("label", labels, &[]).expect("fits");
        let mut examples = Examples::new();
        for row in 0..2 {
            task.encode(batch.record(row), &tokenizer.as_tokenizer(), &mut examples)
                .expect("an example");
        }
        seen += &format!("{problem}\n");
        for example in 0..examples.len() {
            for field in task.describe().fields {
                let values = match field.kind {
                    FieldKind::Int => format!("{:?}", examples.ints(&field.name, example)),
                    FieldKind::Float => format!("{:?}", examples.floats(&field.name, example)),
                };
                seen += &format!("  {} {values}\n", field.name);
            }
        }
    }
    insta::assert_snapshot!(seen);
}

#[test]
fn without_a_label_column_there_are_no_labels() {
    let tokenizer = SharedTokenizer::new(Words);
    let mut batch = RecordBatch::new(1);
    batch
        .add("text", Values::text(["a cat"]), &[])
        .expect("fits");
    let mut examples = Examples::new();
    pets("{}")
        .encode(batch.record(0), &tokenizer.as_tokenizer(), &mut examples)
        .expect("an example");
    assert_eq!(examples.ints("input_ids", 0), Some(&[101, 1, 3, 102][..]));
    assert_eq!(
        examples.fields().collect::<Vec<_>>(),
        ["input_ids", "token_type_ids"]
    );
}

#[test]
fn the_problem_follows_the_data() {
    let cases = [
        ("{}", None, Problem::SingleLabel),
        ("{}", Some(ColumnKind::Label), Problem::SingleLabel),
        ("{}", Some(ColumnKind::Labels), Problem::MultiLabel),
        ("{}", Some(ColumnKind::Number), Problem::Regression),
        (
            r#"{"num_labels": 1}"#,
            Some(ColumnKind::Label),
            Problem::Regression,
        ),
        (
            r#"{"problem": "multi_label"}"#,
            Some(ColumnKind::Label),
            Problem::MultiLabel,
        ),
    ];
    for (options, kind, expected) in cases {
        let mut task = create(options).expect("good options");
        let mut data = DataInfo::default();
        data.labels
            .insert("label".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
        data.kinds
            .extend(kind.map(|kind| ("label".to_owned(), kind)));
        task.prepare(&data).expect("good data");
        let (output, outputs) = match expected {
            Problem::MultiLabel => ("labels", 2),
            Problem::Regression => ("number", 1),
            _ => ("label", 2),
        };
        let info = task.describe();
        assert_eq!(info.output.kind, output, "{options} {kind:?}");
        assert_eq!(
            info.head.expect("a head").num_labels,
            outputs,
            "{options} {kind:?}"
        );
    }
}

#[test]
fn descriptions() {
    let auto = create("{}").expect("good options").describe();
    let pair = r#"{"text": "s1", "text_pair": "s2", "problem": "multi_label", "num_labels": 4}"#;
    insta::assert_json_snapshot!("description_before_the_data_is_known", auto);
    insta::assert_json_snapshot!("description_of_a_multi_label_task", pets(pair).describe());
}

#[test]
fn refusals() {
    let tokenizer = SharedTokenizer::new(Words);
    let mut said = String::new();
    let mut check = |what: &str, result: Result<()>| {
        let error = result.expect_err(what);
        said += &format!("{what}\n  {error:?}\n");
    };
    let create = |options: &str, classes: &[&str]| prepared(options, classes).map(drop);

    check(
        "smoothing",
        create(r#"{"problem": "regression", "label_smoothing": 0.1}"#, &[]),
    );
    check(
        "auto, then smoothing",
        create(r#"{"num_labels": 1, "label_smoothing": 0.1}"#, &[]),
    );
    check(
        "outputs",
        create(r#"{"problem": "regression", "num_labels": 3}"#, &[]),
    );
    check(
        "weights",
        create(
            r#"{"problem": "regression", "class_weights": {"a": 1}}"#,
            &[],
        ),
    );
    check(
        "unknown class",
        create(r#"{"class_weights": {"spma": 2}}"#, &["ham", "spam"]),
    );
    check(
        "bad weight",
        create(r#"{"class_weights": {"spam": -2}}"#, &["ham", "spam"]),
    );
    check(
        "fewer classes",
        create(r#"{"num_labels": 2}"#, &["a", "b", "c"]),
    );
    check("one class", create("{}", &["ham"]));
    check("no class", create("{}", &[]));
    check("too long", create(r#"{"max_length": 513}"#, &["a", "b"]));

    let mut encode = |what: &str, options: &str, label: Values, missing: bool| {
        let mut batch = RecordBatch::new(1);
        batch
            .add("text", Values::text(["some words"]), &[])
            .expect("fits");
        batch.add("label", label, &[missing]).expect("fits");
        let mut examples = Examples::new();
        let task = pets(options);
        check(
            what,
            task.encode(batch.record(0), &tokenizer.as_tokenizer(), &mut examples),
        );
    };
    encode("no label", "{}", Values::labels([0]), true);
    encode("a class too many", "{}", Values::labels([3]), false);
    encode(
        "no set",
        r#"{"problem": "multi_label"}"#,
        Values::label_sets([vec![]]),
        true,
    );
    encode(
        "no number",
        r#"{"problem": "regression"}"#,
        Values::numbers([0.0]),
        true,
    );
    encode(
        "not finite",
        r#"{"problem": "regression"}"#,
        Values::numbers([f64::NAN]),
        false,
    );
    encode(
        "no such column",
        r#"{"text_pair": "second"}"#,
        Values::labels([0]),
        false,
    );
    encode(
        "cut never",
        r#"{"truncation": "never", "max_length": 3}"#,
        Values::labels([0]),
        false,
    );

    let loss =
        |logits: &[&[f32]], batch: &TensorMap| pets("{}").loss(&outputs(logits), batch).map(drop);
    check("no labels", loss(&[&[0.0, 0.0, 0.0]], &TensorMap::new()));
    check(
        "shape",
        loss(&[&[0.0, 0.0]], &labelled(Tensor::from_slice(&[0_i64]))),
    );
    insta::assert_snapshot!(said);
}

/// Prompts for the labels `bad` and `good`, as the fields of examples.
fn prompted(model: &str, prompt: PromptInfo, text: &str) -> Result<Vec<(Vec<i64>, Vec<i64>)>> {
    let mut task = Classification::new(Options::from_json("{}").expect("options"))?;
    let labels = ["bad", "good"].map(str::to_owned).to_vec();
    task.prepare(&DataInfo {
        labels: [("label".to_owned(), labels)].into(),
        max_length: 12,
        model: ModelFacts {
            id: "model".to_owned(),
            offers: vec![model.to_owned()],
            ..ModelFacts::default()
        },
        prompt: Some(prompt),
        ..DataInfo::default()
    })?;
    assert_eq!(task.describe().head.expect("a head").kind, model);
    let tokenizer = Whitespace::new("it was great terrible so a film dull").shared();
    let mut records = RecordBatch::new(1);
    records.add("text", Values::text([text]), &[])?;
    let mut examples = Examples::new();
    task.encode(records.record(0), &tokenizer.as_tokenizer(), &mut examples)?;
    let fields = |at| {
        let field = |name| {
            examples
                .ints(name, at)
                .map(<[i64]>::to_vec)
                .unwrap_or_default()
        };
        (field("input_ids"), field("labels"))
    };
    Ok((0..examples.len()).map(fields).collect())
}

fn prompt(template: &str) -> PromptInfo {
    let words = [("bad", "terrible"), ("good", "great")];
    let words = words.map(|(label, word)| (label.to_owned(), word.to_owned()));
    PromptInfo {
        template: Some(template.to_owned()),
        verbalizers: words.into(),
        separator: " so ".to_owned(),
        ..PromptInfo::default()
    }
}

#[test]
fn each_label_is_asked_for_where_the_answer_stands() {
    let ids = |text: &str| {
        let tokenizer = Whitespace::new("it was great terrible so a film dull").shared();
        let how = Encode {
            no_special_tokens: true,
            ..Encode::default()
        };
        tokenizer
            .as_tokenizer()
            .encode(text, &how)
            .expect("ids")
            .ids
    };
    let made = prompted(
        "causal-lm",
        prompt("{{ text }} it was {{ answer }}"),
        "a film",
    );
    let made = made.expect("examples");
    assert_eq!(made.len(), 2);
    for ((input, labels), word) in made.iter().zip(["terrible", "great"]) {
        let text = ids(&format!("a film it was {word}"));
        assert!(input.ends_with(&text), "{input:?} {text:?}");
        // The word is what comes after the token before it.
        let asked: Vec<usize> = (0..labels.len()).filter(|at| labels[*at] != -100).collect();
        assert_eq!(asked, [input.len() - 2]);
        assert_eq!(labels[asked[0]], text[4]);
    }

    let solved = [("text", "dull"), ("label", "bad")];
    let solved = solved.map(|(column, text)| (column.to_owned(), vec![text.to_owned()]));
    let few = PromptInfo {
        demonstrations: vec![solved.into()],
        ..prompt("{{ text }} it was {{ answer }}")
    };
    let made = prompted("causal-lm", few.clone(), "a film").expect("examples");
    let text = ids("dull it was terrible so a film it was great");
    assert!(made[1].0.ends_with(&text), "{:?} {text:?}", made[1].0);
    // What does not fit any more is not shown.
    let long = "a film a film a film";
    let made = prompted("causal-lm", few, long).expect("examples");
    assert!(made[1].0.ends_with(&ids(&format!("{long} it was great"))));
    assert!(made[1].0.len() <= 12);
}

#[test]
fn prompts_that_cannot_be_asked_are_refused() {
    let ends = prompt("{{ answer }} is what {{ text }} was");
    let unknown = prompt("{{ txt }} {{ answer }}");
    let open = prompt("{{ text }} {{ answer");
    let nowhere = prompt("{{ text }} it was");
    let none = PromptInfo {
        template: None,
        ..prompt("")
    };
    let mut label = prompt("{{ text }} {{ answer }}");
    label
        .verbalizers
        .insert("goood".to_owned(), "fine".to_owned());
    let cases = [
        ("causal-lm", ends),
        ("causal-lm", unknown),
        ("causal-lm", open),
        ("causal-lm", nowhere),
        ("causal-lm", none),
        ("causal-lm", label),
        ("encoder", prompt("{{ text }} {{ answer }}")),
    ];
    let lines = cases.map(|(model, prompt)| {
        let error = prompted(model, prompt, "a film").expect_err("refused");
        error.message().to_owned()
    });
    insta::assert_snapshot!("prompts_that_cannot_be_asked", lines.join("\n"));
}
