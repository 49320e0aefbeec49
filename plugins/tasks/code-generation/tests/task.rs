//! The task on real problems: what a model is asked, and which candidates pass.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tenon_code_generation::sandbox::{Sandbox, Settings};
use tenon_code_generation::{CodeGeneration, Options};
use tenon_plugin_api::host::TaskHandle;
use tenon_plugin_api::options::Options as _;
use tenon_plugin_api::record::{Examples, RecordBatch};
use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tokenizer::{HostTokenizer, SharedTokenizer};
use tenon_testkit::conformance::{self, TaskCase};
use tenon_testkit::task::{data_for, records_for, task};

const HUMAN_EVAL: &[u8] = include_bytes!("fixtures/HumanEval.jsonl.gz");
const MBPP: &str = include_str!("fixtures/mbpp.jsonl");
const MBPP_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mbpp.jsonl");

fn human_eval() -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(HUMAN_EVAL)
        .read_to_string(&mut text)
        .expect("the fixture is gzip");
    lines(&text)
}

fn lines(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).expect("the fixture is JSON");
    text.lines().map(line).collect()
}

/// Problems as a host reads them, with a column more.
fn records(
    problems: &[Value],
    more: &str,
    each: impl Fn(usize, &Value) -> Vec<String>,
) -> RecordBatch {
    let mut records = RecordBatch::new(problems.len());
    let names = problems[0].as_object().expect("an object").keys();
    for name in names.filter(|name| *name != "task_id" && *name != more) {
        let texts = problems.iter().map(|problem| match &problem[name] {
            Value::Array(texts) => texts
                .iter()
                .map(|text| text.as_str().unwrap_or("").to_owned())
                .collect(),
            text => vec![text.as_str().expect("text").to_owned()],
        });
        records
            .add(
                name,
                Values::texts(texts.collect::<Vec<Vec<String>>>()),
                &[],
            )
            .expect("fits");
    }
    if !more.is_empty() {
        let texts = problems
            .iter()
            .enumerate()
            .map(|(row, problem)| each(row, problem));
        records.add(more, Values::texts(texts), &[]).expect("fits");
    }
    records
}

/// Full where the system isolates, so that everything else is tested everywhere.
fn isolation() -> &'static str {
    match Sandbox::new(Settings::default()) {
        Ok(_) => "full",
        Err(error) => {
            eprintln!("{error}: candidates run without isolation");
            "none"
        }
    }
}

fn prepared(mut options: Value) -> TaskHandle {
    options["isolation"] = isolation().into();
    let mut task = task::<CodeGeneration>(options);
    task.prepare(&causal(0)).expect("it can be prepared");
    task
}

fn causal(max_length: usize) -> DataInfo {
    DataInfo {
        max_length,
        model: ModelFacts {
            id: "tiny".to_owned(),
            offers: vec!["causal-lm".to_owned()],
            ..ModelFacts::default()
        },
        ..DataInfo::default()
    }
}

/// Outcomes of each problem's candidates.
fn outcomes(task: &TaskHandle, records: &RecordBatch, written: &[&[&str]]) -> Vec<Vec<f64>> {
    let found = Values::texts(written.iter().map(|texts| texts.to_vec()));
    let owners: Vec<u64> = (0..written.len() as u64).collect();
    let made = task
        .conclude(records, &found, &owners)
        .expect("it concludes");
    let lists = (0..records.len()).map(|row| made.predictions.numbers_at(row).to_vec());
    lists.collect()
}

#[test]
fn canonical_solutions_of_human_eval_pass_164_of_164() {
    let problems = human_eval();
    let task = prepared(json!({"completions": "canonical_solution", "timeout": 30.0}));
    let records = records(&problems, "", |_, _| Vec::new());
    let passed = outcomes(&task, &records, &[]);
    let failed: Vec<_> = (0..)
        .zip(&passed)
        .filter(|(_, list)| **list != [1.0])
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(passed.len(), 164);
}

#[test]
fn programs_that_do_nothing_or_leave_early_pass_none_of_human_eval() {
    let problems = human_eval();
    let task = prepared(json!({"completions": "tried", "timeout": 30.0}));
    let records = records(&problems[..60], "tried", |_, _| {
        [
            "    pass\n",
            "    import sys; sys.exit(0)\n",
            "    import os; os._exit(0)\n",
            "    return (\n",
            "    raise SystemExit\n",
        ]
        .map(str::to_owned)
        .to_vec()
    });
    let passed = outcomes(&task, &records, &[]);
    assert_eq!(passed, vec![vec![0.0; 5]; 60]);
}

#[test]
fn what_was_written_is_run_up_to_where_it_ends() {
    let problems = human_eval();
    let task = prepared(json!({"samples": 3}));
    let records = records(&problems[..2], "", |_, _| Vec::new());
    let right = problems[0]["canonical_solution"].as_str().expect("text");
    let longer = format!("{right}\nprint(has_close_elements)\nraise ValueError\n");
    let broken = format!("{right}\n\n\nraise ValueError\n");
    let written: [&[&str]; 2] = [&[right, &longer, &broken], &[right, "", "    return"]];
    let passed = outcomes(&task, &records, &written);
    assert_eq!(passed, [vec![1.0, 1.0, 0.0], vec![0.0; 3]]);
}

#[test]
fn problems_of_mbpp_are_tested_with_their_setup() {
    let problems = lines(MBPP);
    let task = prepared(json!({"format": "mbpp", "completions": "tried"}));
    let records = records(&problems, "tried", |row, problem| {
        let code = problem["code"].as_str().expect("text");
        let other = problems[(row + 1) % problems.len()]["code"]
            .as_str()
            .expect("text");
        vec![code.to_owned(), other.to_owned(), String::new()]
    });
    let passed = outcomes(&task, &records, &[]);
    assert_eq!(passed, vec![vec![1.0, 0.0, 0.0]; problems.len()]);

    let task = prepared(json!({"format": "mbpp"}));
    let written = "def double(n):\n  return n + n\n[DONE]\n\nYou are an expert";
    let first = records_of(&problems[..1]);
    assert_eq!(outcomes(&task, &first, &[&[written]]), [[1.0]]);
}

fn records_of(problems: &[Value]) -> RecordBatch {
    records(problems, "", |_, _| Vec::new())
}

/// One token a character, its code point; texts begin with 2 and end with 1.
struct Characters;

impl HostTokenizer for Characters {
    fn encode(&self, text: &str, how: &Encode<'_>) -> Result<Encoding> {
        let mut encoding = Encoding::default();
        let mut push = |id: i64, sequence| {
            encoding.ids.push(id);
            encoding.offsets.push((0, 0));
            encoding.sequences.push(sequence);
        };
        let special = !how.no_special_tokens;
        special.then(|| push(2, None));
        text.chars()
            .for_each(|c| push(i64::from(u32::from(c)), Some(0)));
        special.then(|| push(1, None));
        Ok(encoding)
    }

    fn decode(&self, _: &[u32], _: bool) -> Result<String> {
        Err(Error::unsupported("decoding"))
    }

    fn token_id(&self, _: &str) -> Option<u32> {
        None
    }

    fn special(&self, role: &str) -> Option<u32> {
        (role == "eos").then_some(1)
    }

    fn vocab_size(&self) -> usize {
        1 << 16
    }
}

/// A field of the first example as text: `^` begins, `$` ends, `_` is not learned.
fn shown(examples: &Examples, field: &str) -> String {
    let character = |id: &i64| match *id {
        2 => '^',
        1 => '$',
        -100 => '_',
        id => char::from_u32(id as u32).unwrap_or('?'),
    };
    let ids = examples.ints(field, 0).unwrap_or_default();
    ids.iter().map(character).collect()
}

fn asked(options: Value, max_length: usize, problem: &Value) -> String {
    let mut options = options;
    options["isolation"] = "none".into();
    let mut task = task::<CodeGeneration>(options);
    task.prepare(&causal(max_length))
        .expect("it can be prepared");
    let tokenizer = SharedTokenizer::new(Characters);
    let records = records_of(std::slice::from_ref(problem));
    let prompts = task.encode_prompt(&records, &tokenizer).expect("a prompt");
    shown(&prompts, "input_ids")
}

#[test]
fn prompts_of_both_formats() {
    let (human_eval, mbpp) = (human_eval(), lines(MBPP));
    insta::assert_snapshot!("prompt_of_human_eval", asked(json!({}), 0, &human_eval[0]));
    insta::assert_snapshot!(
        "prompt_of_mbpp",
        asked(json!({"format": "mbpp"}), 0, &mbpp[3])
    );
    let shots = json!({"format": "mbpp", "demonstrations": MBPP_FILE, "demonstration_ids": [2, 4]});
    insta::assert_snapshot!(
        "prompt_of_mbpp_after_demonstrations",
        asked(shots, 0, &mbpp[3])
    );
    let own = json!({"format": "mbpp", "prompt": "# {{ text }}\n# {{ test_list[0] }}\n"});
    insta::assert_snapshot!("prompt_of_ones_own", asked(own, 0, &mbpp[3]));
    // Half of what the model takes is left to write; the start is cut off.
    assert_eq!(
        asked(json!({}), 40, &human_eval[0]),
        "^)\n    True\n    \"\"\"\n"
    );
}

#[test]
fn a_solution_is_learned_after_its_prompt() {
    let options =
        json!({"format": "mbpp", "prompt": "{{ text }}", "solution": "code", "isolation": "none"});
    let mut task = task::<CodeGeneration>(options);
    let tokenizer = SharedTokenizer::new(Characters);
    let records = records_of(&lines(MBPP)[1..2]);
    let mut lines = Vec::new();
    for limit in [0, 48] {
        task.prepare(&causal(limit)).expect("it can be prepared");
        let examples = task.encode(&records, &tokenizer).expect("examples");
        lines.push(shown(&examples, "input_ids"));
        lines.push(shown(&examples, "labels"));
    }
    insta::assert_snapshot!("example_of_a_solution", lines.join("\n---\n"));
}

#[test]
fn descriptions() {
    let describe = |options: Value| {
        let made = task::<CodeGeneration>(options.clone()).describe();
        let info = made.expect("a description");
        let mark = |needed: bool| if needed { "" } else { "?" };
        let column =
            |column: &ColumnInfo| format!("{}{}", column.name, mark(column.for_prediction));
        let columns: Vec<_> = info.columns.iter().map(column).collect();
        let names = |fields: &[FieldInfo]| {
            let names = fields.iter().map(|field| field.name.as_str());
            names.collect::<Vec<_>>().join(" ")
        };
        let head = info.head.map_or_else(String::new, |head| head.kind);
        let generation = serde_json::to_string(&info.generation).expect("JSON");
        format!(
            "{options}\n  columns {}\n  head {head}\n  fields {}\n  prompt {}\n  generation {generation}\n",
            columns.join(" "),
            names(&info.fields),
            names(&info.prompt),
        )
    };
    let all = [
        describe(json!({})),
        describe(json!({"format": "mbpp", "samples": 20, "solution": "code"})),
        describe(json!({"completions": "canonical_solution"})),
    ];
    insta::assert_snapshot!("descriptions", all.join("\n"));
}

#[test]
fn refusals() {
    let refused = |options: Value, max_length: usize, offers: &str| {
        let made = || -> Result<()> {
            let mut task = CodeGeneration::new(Options::from_json(&options.to_string())?)?;
            let mut data = causal(max_length);
            data.model.offers = vec![offers.to_owned()];
            task.prepare(&data)
        };
        made()
            .expect_err("each case is a fault")
            .to_string()
            .replace(MBPP_FILE, "mbpp.jsonl")
    };
    let causal = |options| refused(options, 0, "causal-lm");
    let all = [
        causal(json!({"format": "apps"})),
        causal(json!({"prompt": "{{ text }}"})),
        causal(json!({"prompt": "{{ prompt "})),
        causal(json!({"stop_strings": [""]})),
        causal(json!({"samples": 0})),
        causal(json!({"timeout": 0.0})),
        causal(json!({"demonstrations": "no.jsonl"})),
        causal(json!({"format": "mbpp", "demonstrations": MBPP_FILE, "demonstration_ids": [7]})),
        causal(json!({"demonstrations": MBPP_FILE})),
        causal(json!({"completions": "code", "solution": "code"})),
        causal(json!({"command": []})),
        causal(json!({"command": ["python9"]})),
        causal(json!({"readable": ["/no/folder"]})),
        refused(json!({"isolation": "none"}), 0, "seq2seq-lm"),
    ];
    insta::assert_snapshot!("refusals", all.join("\n\n"));
}

/// Logits `[n, 20]` for the labels that count, from the tokens and labels there.
fn outputs(_: &TaskInfo, batch: &TensorMap) -> TensorMap {
    let ids = batch
        .require("input_ids")
        .expect("ids")
        .to_kind(Kind::Double);
    let labels = batch.require("labels").expect("labels");
    let places = labels.not_equal(-100).reshape([-1]).nonzero().reshape([-1]);
    let mixed = (ids * 0.7 + labels.to_kind(Kind::Double) * 1.3).reshape([-1]);
    let mixed = mixed.index_select(0, &places).unsqueeze(-1); // [n, 1]
    let classes = Tensor::arange(20, (Kind::Double, Device::Cpu));
    let logits = (mixed * classes).sin().to_kind(Kind::Float); // [n, 20]
    TensorMap::new().with("logits", logits.set_requires_grad(true))
}

#[test]
fn conforms() {
    for options in [
        json!({}),
        json!({"solution": "code"}),
        json!({"completions": "code"}),
    ] {
        let mut options = options;
        options["isolation"] = isolation().into();
        let info = task::<CodeGeneration>(options.clone())
            .describe()
            .expect("a description");
        conformance::task_with::<CodeGeneration>(&TaskCase {
            options,
            data: data_for(&info),
            records: records_for(&info, 4, false),
            outputs,
        });
    }
}
