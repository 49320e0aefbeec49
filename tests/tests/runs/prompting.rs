//! Models that are asked as they are: demonstrations before prompts are what one would write there by hand.

use std::fs;

use serde_json::{Value, json};
use tenon_tests::repository;

use super::desk::Desk;
use super::files::json;

/// The texts that are solved in the training data, as demonstrations.
const SOLVED: [&str; 2] = ["ab:ba; ", "cd:dc; "];

/// A folder with two solved records, three to ask about, and a tokenizer of characters for all models here.
fn desk() -> Desk {
    let desk = Desk::new();
    let rows = |rows: &[(&str, &str)]| -> String {
        let row =
            |(text, label): &(&str, &str)| json!({ "text": text, "label": label }).to_string();
        rows.iter().map(|pair| row(pair) + "\n").collect()
    };
    desk.write("train.jsonl", &rows(&[("ab", "ba"), ("cd", "dc")]));
    desk.write(
        "test.jsonl",
        &rows(&[("ae", "ba"), ("fgh", "dc"), ("c", "dc")]),
    );
    let model = repository().join("tests/fixtures/generation/model");
    let mut tokenizer = json(&model.join("tokenizer.json"));
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut();
    // The smallest models have embeddings for 40.
    vocabulary
        .expect("words")
        .retain(|_, id| id.as_u64() < Some(40));
    desk.write("tokenizer.json", &tokenizer.to_string());
    fs::copy(
        model.join("tokenizer_config.json"),
        desk.path("tokenizer_config.json"),
    )
    .expect("a copy");
    desk
}

const GPT2: [(&str, &str); 2] = [
    ("model.use", "\"gpt2\""),
    ("model.pretrained", "FIXTURES/generation/model"),
];
const T5: [(&str, &str); 2] = [
    ("model.use", "\"t5\""),
    ("model.pretrained", "FIXTURES/seq2seq/t5"),
];
const WRITING: [(&str, &str); 5] = [
    ("task.use", "\"text-generation\""),
    ("task.text", ""),
    ("task.label", ""),
    ("task.target", "\"label\""),
    ("task.max_target_length", "6"),
];
const LABELLING: [(&str, &str); 2] = [("task.text", ""), ("task.label", "\"label\"")];

/// What a run file needs not have that is not trained with.
const UNTRAINED: [(&str, &str); 5] = [
    ("tokenizer.path", "\"tokenizer.json\""),
    ("data.validation", ""),
    ("peft", ""),
    ("metrics", ""),
    ("train.select_best", ""),
];

/// What differs from one question to the next.
type Settings<'a> = &'a [(&'a str, &'a str)];

/// What a model answers: its loss, and its predictions.
fn ask(desk: &Desk, always: &[Settings<'_>], more: Settings<'_>) -> (Value, String) {
    let common = [
        ("tokenizer.path", "\"tokenizer.json\""),
        ("data.validation", ""),
        ("metrics", ""),
        ("peft", ""),
        ("train.select_best", ""),
    ];
    let mut settings = common.to_vec();
    for (key, value) in always.iter().copied().flatten().chain(more) {
        settings.retain(|(known, _)| known != key);
        settings.push((*key, *value));
    }
    let file = desk.run_file("asking", &settings);
    let out = desk.path("answers.jsonl").display().to_string();
    let fixed = [
        "evaluate",
        &file,
        "--pretrained",
        "--json",
        "--predictions",
        &out,
    ];
    let told = desk.succeed(&fixed).stdout;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let answers = fs::read_to_string(desk.path("answers.jsonl")).expect("answers");
    (told["loss"].clone(), answers)
}

/// Holds few-shot prompts against ones that are written by hand: `template` puts what stands before all into the task's
/// or the run's template.
fn check(always: &[Settings<'_>], key: &str, template: &str) {
    let desk = desk();
    let by_hand = |before: &str| {
        let written = format!("\"{before}{template}\"");
        // As it is where there are demonstrations.
        let stop = ("generation.stop_strings", "[\"; \"]");
        ask(&desk, always, &[(key, &written), stop])
    };
    let drawn = |shots: &str, seed: &str| {
        let plain = format!("\"{template}\"");
        let settings = [
            (key, plain.as_str()),
            ("run.seed", seed),
            ("prompt.shots", shots),
            ("prompt.separator", "\"; \""),
            ("prompt.balanced", "false"),
        ];
        ask(&desk, always, &settings)
    };
    let zero = by_hand("");
    let [first, second] = SOLVED.map(by_hand);
    let orders = [SOLVED.concat(), [SOLVED[1], SOLVED[0]].concat()].map(|all| by_hand(&all));
    let all = [&zero, &first, &second, &orders[0], &orders[1]];
    for (at, one) in all.iter().enumerate() {
        assert!(
            !all[..at].contains(one),
            "prompt {at} is answered as another: {one:?}"
        );
    }
    let mut seen = [false; 2];
    for seed in ["6", "7", "8"] {
        let two = drawn("2", seed);
        assert_eq!(drawn("2", seed), two, "the same seed draws the same");
        let order = orders.iter().position(|order| *order == two);
        let order = order.unwrap_or_else(|| panic!("{two:?} is none of {orders:?}"));
        seen[order] = true;
        // One is the first of two.
        assert_eq!(
            drawn("1", seed),
            [&first, &second][order].clone(),
            "seed {seed}"
        );
    }
    assert_eq!(seen, [true; 2], "the seed chooses the order");
    assert_eq!(drawn("0", "6"), zero);
}

#[test]
fn a_decoder_is_shown_what_to_write() {
    check(&[&GPT2, &WRITING], "task.prompt", "{{ text }}:");
}

#[test]
fn an_encoder_decoder_is_shown_what_to_write() {
    check(&[&T5, &WRITING], "task.prompt", "{{ text }}:");
}

/// The run's template, too, decides what is asked: nothing of another is found in the cache.
#[test]
fn a_decoder_is_shown_which_label_to_choose() {
    check(
        &[&GPT2, &LABELLING],
        "prompt.template",
        "{{ text }}:{{ answer }}",
    );
}

/// A run file that is only evaluated needs no training data.
#[test]
fn without_training_data() {
    let desk = desk();
    let settings = |more: Settings<'_>| {
        let no_data = [("data.train", "")];
        let all = [&GPT2[..], &LABELLING, &UNTRAINED, &no_data, more].concat();
        desk.run_file("bare", &all)
    };
    let file = settings(&[("prompt.template", "\"{{ text }}:{{ answer }}\"")]);
    let noted = desk.succeed(&["check", &file]);
    assert!(
        noted.stderr.contains("data.train: not set"),
        "{}",
        noted.stderr
    );
    let told = desk.succeed(&["evaluate", &file, "--pretrained"]).stdout;
    assert!(told.contains("accuracy"), "{told}");
    let said = desk.fail(3, &["train", &file]);
    assert!(
        said.contains("data.train") && said.contains("missing"),
        "{said}"
    );

    // The words of a prompt say which labels there are, even without any data.
    let words = [
        ("prompt.template", "\"{{ text }}:{{ answer }}\""),
        ("prompt.verbalizers", "{ good = \"ba\", bad = \"dc\" }"),
        ("data.test", ""),
    ];
    let file = settings(&words);
    let told = desk
        .succeed(&["predict", &file, "--pretrained", "ab", "cd"])
        .stdout;
    let labels: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(labels.len(), 2, "{told}");
    for line in &labels {
        assert!(
            ["good", "bad"].contains(&line["label"].as_str().unwrap_or_default()),
            "{line}"
        );
    }

    // What is no file of the user's is called what it came through.
    let rows = "{\"text\": \"ab\"}\n{\"words\": \"cd\"}\n";
    let outcome = desk.feed(rows, &["predict", &file, "--pretrained"]);
    let (code, said) = (outcome.code, outcome.stderr);
    assert!(
        code == Some(1) && said.contains("standard input:2: no column `text`"),
        "{code:?} {said}"
    );

    let shots = [
        ("prompt.template", "\"{{ text }}:{{ answer }}\""),
        ("prompt.shots", "1"),
    ];
    let file = settings(&shots);
    for command in [&["check", &*file][..], &["evaluate", &file, "--pretrained"]] {
        let said = desk.fail(3, command);
        assert!(said.contains("prompt.shots  needs data.train"), "{said}");
    }
    let file = settings(&[("data.validation", "{ split = 0.5 }"), ("data.test", "")]);
    let said = desk.fail(1, &["evaluate", &file, "--pretrained"]);
    assert!(
        said.contains("data.validation is a part of data.train"),
        "{said}"
    );
}

/// A text is one column; of a prompt with two, none is silently taken for it.
#[test]
fn columns_that_a_text_does_not_bring() {
    let desk = desk();
    let prompt = [("task.prompt", "\"{{ text }} {{ mood }}:\"")];
    let settings = [&GPT2[..], &WRITING, &UNTRAINED, &prompt].concat();
    let file = desk.run_file("greedy", &settings);
    let said = desk.fail(1, &["predict", &file, "--pretrained", "ab", "cd"]);
    let needed = "read to predict, which is `mood`, `text`: give JSON objects instead, one a line: \
                  {\"mood\": …, \"text\": …}";
    assert!(said.contains(needed), "{said}");
    let settings = [
        &GPT2[..],
        &WRITING,
        &UNTRAINED,
        &[("task.prompt", "\"{{ text }}\"")],
    ]
    .concat();
    let file = desk.run_file("one", &settings);
    let said = desk.fail(1, &["predict", &file, "--pretrained", "ab", ""]);
    assert!(said.contains("command line:2:"), "{said}");
}

#[test]
fn more_examples_than_there_are() {
    let desk = desk();
    let shots = [("task.prompt", "\"{{ text }}:\""), ("prompt.shots", "3")];
    let settings = [&GPT2[..], &WRITING, &UNTRAINED, &shots].concat();
    let file = desk.run_file("greedy", &settings);
    let said = desk.fail(1, &["evaluate", &file, "--pretrained"]);
    assert!(said.contains("only 2 examples to draw 3 from"), "{said}");
    // Nothing is trained of prompts, which is said before anything is loaded.
    let said = desk.fail(3, &["train", &file]);
    assert!(said.contains("prompt  excludes training"), "{said}");
}
