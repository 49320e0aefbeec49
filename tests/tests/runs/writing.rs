//! Models that start from nothing, with tokenizers of their own, learn running text, prompts and pairs: through
//! training, evaluation and prediction, from the files that the fixtures have.

use std::fs;

use serde_json::Value;
use tenon_tests::repository;

use super::desk::Desk;
use super::files::{json, scores};

/// Settings of a small decoder that starts from nothing.
const GPT: [(&str, &str); 14] = [
    ("model.use", "\"gpt2\""),
    ("model.pretrained", ""),
    ("model.n_layer", "2"),
    ("model.n_head", "2"),
    ("model.n_embd", "32"),
    ("model.n_positions", "128"),
    ("tokenizer.path", ""),
    ("task.text", ""),
    ("task.label", ""),
    ("data.test", ""),
    ("peft", ""),
    ("train.epochs", "1"),
    ("train.eval_every", "\"epoch\""),
    ("train.select_best", ""),
];

fn settings<'a>(
    base: &[(&'a str, &'a str)],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let kept = |(key, _): &&(&str, &str)| more.iter().all(|(changed, _)| changed != key);
    let kept = base.iter().filter(kept);
    kept.chain(more).copied().collect()
}

/// A score of the validation in a run's summary.
fn score(desk: &Desk, run: &str, name: &str) -> f64 {
    let summary = json(&desk.run(run).join("summary.json"));
    let found = scores(&summary["scores"]["validation"]);
    let score = found.get(name);
    *score.unwrap_or_else(|| panic!("no {name} among {found:?}"))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

#[test]
fn running_text_is_learned_character_by_character() {
    let desk = Desk::new();
    let play = fs::read_to_string(repository().join("tests/fixtures/lm/hamlet.txt"));
    let play = play.expect("a fixture");
    let (train, validation) = play.split_at(play.floor_char_boundary(play.len() * 4 / 5));
    desk.write("train.txt", train);
    desk.write("validation.txt", validation);
    let file = desk.run_file(
        "hamlet",
        &settings(
            &GPT,
            &[
                ("tokenizer.train", "{ kind = \"char\" }"),
                ("task.use", "\"causal-lm\""),
                ("task.block_size", "64"),
                ("data.train", "\"train.txt\""),
                ("data.validation", "\"validation.txt\""),
                ("data.format", "\"text\""),
                ("metrics", ""),
                ("train.epochs", "2"),
            ],
        ),
    );
    desk.succeed(&["train", &file]);
    let (loss, perplexity) = (
        score(&desk, "hamlet", "loss"),
        score(&desk, "hamlet", "perplexity"),
    );
    assert!(
        (perplexity - loss.exp()).abs() < 1e-4 * perplexity,
        "loss {loss}, perplexity {perplexity}: each character counts once, whatever batch it is in"
    );
    let characters = {
        let all: std::collections::BTreeSet<char> = train.chars().collect();
        all.len() as f64
    };
    assert!(
        perplexity < characters / 2.0,
        "something was learned: {perplexity}"
    );

    // Overlapping blocks see more: another likelihood, of the same characters.
    let bytes = |stride: &str| {
        let set = format!("task.stride={stride}");
        let out = desk.path("blocks.jsonl");
        let out = out.to_string_lossy();
        desk.succeed(&[
            "evaluate",
            &file,
            "--split",
            "validation",
            "--set",
            &set,
            "--predictions",
            &out,
        ]);
        let blocks = lines(&fs::read_to_string(&*out).expect("predictions"));
        let number = |block: &Value, at: usize| block["numbers"][at].as_f64().expect("a number");
        let sum = |at| blocks.iter().map(|block| number(block, at)).sum::<f64>();
        (blocks.len(), sum(1), sum(2))
    };
    let (blocks, tokens, text) = bytes("64");
    let (more, same_tokens, same_text) = bytes("16");
    assert!(more > 3 * blocks, "{more} blocks for {blocks}");
    assert_eq!((tokens, text), (same_tokens, same_text));
    let first = validation.chars().next().map_or(0, char::len_utf8);
    assert_eq!(text as usize, validation.len() - first);
}

#[test]
fn synopses_are_written_after_descriptions() {
    let desk = Desk::new();
    let data = repository().join("tests/fixtures/sum/debian-synopsis.jsonl");
    fs::copy(&data, desk.path("train.jsonl")).expect("a copy");
    let file = desk.run_file(
        "synopsis",
        &settings(
            &GPT,
            &[
                ("tokenizer.train", "{ kind = \"bpe\", vocab_size = 500 }"),
                ("task.use", "\"text-generation\""),
                ("task.prompt", "\"{{ description }}\\nSynopsis: \""),
                ("task.target", "\"synopsis\""),
                ("task.max_target_length", "12"),
                ("data.train", "\"train.jsonl\""),
                ("data.validation", "{ split = 0.2 }"),
                ("metrics", "[{ use = \"rouge\" }]"),
            ],
        ),
    );
    desk.succeed(&["train", &file]);
    assert!(score(&desk, "synopsis", "loss").is_finite());
    let rouge = score(&desk, "synopsis", "rouge1");
    assert!((0.0..=1.0).contains(&rouge), "{rouge}");

    // A description alone is enough to predict, and the run's folder to build the model again.
    desk.write(
        "new.jsonl",
        "{\"description\": \"a tool that joins beams\"}\n{\"description\": \"\"}\n",
    );
    let run = desk.run("synopsis");
    let out = desk.succeed(&["predict", &run.to_string_lossy(), "--input", "new.jsonl"]);
    let written = lines(&out.stdout);
    assert_eq!(written.len(), 2, "{}", out.stdout);
    assert!(
        written.iter().all(|line| line["text"].is_string()),
        "{}",
        out.stdout
    );
}

#[test]
fn pairs_are_translated() {
    let desk = Desk::new();
    let data = repository().join("tests/fixtures/mt/udhr-en-de.tsv");
    fs::copy(&data, desk.path("pairs.tsv")).expect("a copy");
    let file = desk.run_file(
        "rights",
        &settings(
            &GPT[6..],
            &[
                ("model.use", "\"transformer\""),
                ("model.pretrained", ""),
                ("model.d_model", "32"),
                ("model.encoder_layers", "1"),
                ("model.decoder_layers", "1"),
                ("model.encoder_attention_heads", "2"),
                ("model.decoder_attention_heads", "2"),
                ("model.encoder_ffn_dim", "64"),
                ("model.decoder_ffn_dim", "64"),
                ("model.max_position_embeddings", "256"),
                (
                    "tokenizer.train",
                    "{ kind = \"unigram\", vocab_size = 300 }",
                ),
                ("task.use", "\"translation\""),
                ("task.source", "\"en\""),
                ("task.target", "\"de\""),
                ("task.max_target_length", "20"),
                ("task.label_smoothing", "0.1"),
                ("data.train", "\"pairs.tsv\""),
                ("data.validation", "{ split = 0.2 }"),
                (
                    "data.format",
                    "{ kind = \"tsv\", columns = [\"en\", \"de\"], quoting = false }",
                ),
                ("metrics", "[{ use = \"bleu\" }, { use = \"chrf\" }]"),
                ("generation.num_beams", "2"),
            ],
        ),
    );
    desk.succeed(&["train", &file]);
    assert!(score(&desk, "rights", "loss").is_finite());
    assert!(score(&desk, "rights", "bleu").is_finite());
    let run = desk.run("rights");
    let out = desk.feed(
        "Everyone has the right to life.\n",
        &["predict", &run.to_string_lossy()],
    );
    assert_eq!(lines(&out.stdout).len(), 1, "{}", out.stdout);
}

/// Each evaluation runs programs: what is left of them is that of the latest, whole, of each split.
#[test]
fn programs_that_are_kept_are_those_of_one_evaluation() {
    let desk = Desk::new();
    let problem = |name: &str| {
        let prompt = format!("def {name}(x):\n");
        let test = format!("def check(f):\n    assert f(1) == 1\n# {name}\n");
        let problem = serde_json::json!({
            "task_id": name, "prompt": prompt, "canonical_solution": "    return x\n", "test": test, "entry_point": name
        });
        format!("{problem}\n")
    };
    let problems = |names: &[&str]| names.iter().map(|name| problem(name)).collect::<String>();
    desk.write("train.jsonl", &problems(&["one", "two", "three"]));
    desk.write("validation.jsonl", &problems(&["four", "five"]));
    desk.write("test.jsonl", &problems(&["six"]));
    let file = desk.run_file(
        "programs",
        &settings(
            &GPT,
            &[
                ("tokenizer.train", "{ kind = \"char\" }"),
                ("task.use", "\"code-generation\""),
                ("task.solution", "\"canonical_solution\""),
                ("task.isolation", "\"none\""),
                ("generation.max_new_tokens", "4"),
                ("data.train", "\"train.jsonl\""),
                ("data.validation", "\"validation.jsonl\""),
                ("data.test", "\"test.jsonl\""),
                ("metrics", ""),
                ("train.epochs", "3"),
                ("evaluate.generate", "\"always\""),
            ],
        ),
    );
    desk.succeed(&["train", &file]);
    let artifacts = desk.run("programs").join("artifacts");
    for (split, programs) in [("validation", 2), ("test", 1)] {
        let path = artifacts.join(split).join("candidates.jsonl");
        let text = fs::read_to_string(&path).expect("candidates");
        assert_eq!(lines(&text).len(), programs, "{split}: {text}");
    }
    let left = fs::read_dir(&artifacts).expect("a folder").count();
    assert_eq!(left, 2, "in {}", artifacts.display());
}
