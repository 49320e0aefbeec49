//! Which layer wins, and which is blamed.

use tenon_core::config::{Batch, Length, Origin, Purpose, Warmup};

use super::fixture::{GOOD, Workplace};

fn origin(place: &Workplace, key: &str) -> String {
    place
        .resolved()
        .origin(key)
        .unwrap_or_else(|| panic!("{key} is not set"))
        .to_string()
}

/// A base, the run file on top of it, and a profile, all of which touch `[train]`.
fn layered() -> Workplace {
    let text = format!(
        "extends = \"base/base.toml\"\n{GOOD}\n[profile.long.train]\nepochs = 9\nlog_every = 1\n"
    );
    let base = "[run]\nseed = 1\n[train]\nepochs = 1\nweight_decay = 0.1\nadam_beta1 = 0.8\nlog_every = 7\n";
    Workplace::new(&text).file("base/base.toml", base)
}

#[test]
fn later_layers_win() {
    for (place, epochs, blamed) in [
        (layered(), 2, "run.toml:27:10"),
        (layered().profile("long"), 9, "run.toml:32:10"),
        (layered().env("TENON_PROFILE", "long"), 9, "run.toml:32:10"),
        (
            layered().profile("long").env("TENON_TRAIN__EPOCHS", "4"),
            4,
            "TENON_TRAIN__EPOCHS",
        ),
        (
            layered()
                .env("TENON_TRAIN__EPOCHS", "4")
                .set("train.epochs=5"),
            5,
            "--set train.epochs=5",
        ),
        (
            layered().set("train.epochs=5").set("train.epochs=6"),
            6,
            "--set train.epochs=6",
        ),
    ] {
        assert_eq!(
            place.resolved().settings.train.length,
            Length::Epochs(epochs),
            "{blamed}"
        );
        assert_eq!(origin(&place, "train.epochs"), blamed);
    }
}

/// figment blames the last provider of a table for every value in it (apollo-mcp-server#824).
#[test]
fn each_value_of_a_table_that_many_layers_touch_has_its_own_origin() {
    let place = layered()
        .profile("long")
        .env("TENON_TRAIN__LEARNING_RATE", "1e-3")
        .set("train.save_every=5");
    for (key, blamed) in [
        ("run.seed", "base/base.toml:2:8"),
        ("train.weight_decay", "base/base.toml:5:16"),
        ("train.adam_beta1", "base/base.toml:6:14"),
        ("train.batch_tokens", "run.toml:28:16"),
        ("train.log_every", "run.toml:33:13"),
        ("train.learning_rate", "TENON_TRAIN__LEARNING_RATE"),
        ("train.save_every", "--set train.save_every=5"),
        ("train.adam_beta2", "default"),
    ] {
        assert_eq!(origin(&place, key), blamed, "{key}");
    }
}

#[test]
fn a_wrong_value_is_blamed_on_the_layer_that_set_it() {
    // Every layer sets something in [train]; one of them sets weight_decay wrongly.
    let blamed = |place: Workplace| {
        let report = place.check().expect_err("a fault");
        assert_eq!(report.faults.len(), 1, "{report}");
        assert_eq!(report.faults[0].path, "train.weight_decay");
        report.faults[0].origin.as_ref().map(Origin::to_string)
    };
    let base = "[train]\nlog_every = 7\nweight_decay = -1\n";
    let over = |place: Workplace| {
        place
            .env("TENON_TRAIN__LOG_EVERY", "3")
            .set("train.save_every=5")
    };
    assert_eq!(
        blamed(over(layered().file("base/base.toml", base))),
        Some("base/base.toml:3:16".into())
    );
    let place = layered()
        .env("TENON_TRAIN__WEIGHT_DECAY", "-1")
        .set("train.save_every=5");
    assert_eq!(blamed(place), Some("TENON_TRAIN__WEIGHT_DECAY".into()));
    let place = layered()
        .env("TENON_TRAIN__LOG_EVERY", "3")
        .set("train.weight_decay=-1");
    assert_eq!(blamed(place), Some("--set train.weight_decay=-1".into()));
    // A layer on top that sets it rightly leaves nothing to blame.
    over(layered().file("base/base.toml", base))
        .set("train.weight_decay=0.1")
        .resolved();
}

#[test]
fn values_of_variables_are_text_where_text_is_wanted() {
    let place = Workplace::new(GOOD)
        .env("TENON_RUN__NAME", "17")
        .set("task.text=message")
        .set("run.output_dir=1e3");
    let run = place.resolved().settings.run;
    assert_eq!(
        (run.name.as_str(), run.output_dir.to_str()),
        ("17", Some("1e3"))
    );
}

#[test]
fn an_index_reaches_into_a_list() {
    let place = Workplace::new(GOOD)
        .env("TENON_METRICS__1__AVERAGE", "micro")
        .set("metrics[2]={use=\"f1\", name=\"f1_weighted\"}")
        .set("metrics[2].average=weighted")
        .set("peft.target_sites[1]=key");
    let settings = place.resolved().settings;
    let averages: Vec<_> = settings
        .metrics
        .iter()
        .map(|m| m.component.options.get("average").cloned())
        .collect();
    assert_eq!(
        averages,
        [None, Some("micro".into()), Some("weighted".into())]
    );
    assert_eq!(
        origin(&place, "metrics[1].average"),
        "TENON_METRICS__1__AVERAGE"
    );
    assert_eq!(origin(&place, "metrics[1].use"), "run.toml:22:7");
    assert_eq!(origin(&place, "peft.target_sites[0]"), "run.toml:16:17");
    assert_eq!(
        origin(&place, "peft.target_sites[1]"),
        "--set peft.target_sites[1]=key"
    );
}

#[test]
fn another_component_leaves_the_options_of_the_first_behind() {
    let place = Workplace::new(GOOD)
        .set("peft.use=freeze")
        .set("peft.layers=2");
    let resolved = place.resolved();
    let peft = resolved.settings.peft.expect("a method");
    assert_eq!((peft.id.as_str(), peft.options.len()), ("freeze", 1));
    let notes: Vec<_> = resolved
        .notes
        .iter()
        .map(|note| format!("{}: {}", note.path, note.message))
        .collect();
    assert_eq!(
        notes,
        ["peft.target_sites: left out: an option of `lora`, and peft.use is `freeze`"]
    );

    let place = Workplace::new(GOOD)
        .set("metrics[1].use=accuracy")
        .set("metrics[1].name=again");
    assert!(
        place.resolved().settings.metrics[1]
            .component
            .options
            .is_empty()
    );

    // The full name is the same component: its options stay.
    let place = Workplace::new(GOOD)
        .set("peft.use=lora::lora")
        .set("peft.r=4");
    assert_eq!(
        place.resolved().settings.peft.expect("a method").options["target_sites"][0],
        "query"
    );
}

#[test]
fn variables_choose_a_component_before_its_options() {
    // In the order of their names, LAYERS comes before USE.
    let place = Workplace::new(GOOD)
        .env("TENON_PEFT__LAYERS", "2")
        .env("TENON_PEFT__USE", "freeze");
    assert_eq!(
        place.resolved().settings.peft.expect("a method").options["layers"],
        2
    );
}

#[test]
fn full_fine_tuning_needs_no_component() {
    let place = Workplace::new(GOOD).set("peft.use=full");
    assert!(place.resolved().settings.peft.is_none());
}

#[test]
fn the_highest_layer_chooses_among_keys_that_exclude_each_other() {
    let place = Workplace::new(GOOD)
        .set("train.max_steps=10")
        .env("TENON_TRAIN__BATCH_SIZE", "4")
        .set("train.warmup_steps=2")
        .set("data.validation.path=data/train.jsonl");
    let settings = place.resolved().settings;
    assert_eq!(settings.train.length, Length::Steps(10));
    assert_eq!(settings.train.batch, Batch::Examples(4));
    assert_eq!(settings.train.warmup, Warmup::Steps(2));
    assert_eq!(settings.evaluate.batch, Batch::Examples(4));
    assert!(place.resolved().origin("train.epochs").is_none());
}

#[test]
fn one_underscore_too_few_is_told() {
    let place = Workplace::new(GOOD)
        .env("TENON_TRAIN_EPOCHS", "1")
        .env("TENON_PLUGIN_PATH", "x")
        .env("TENON_LOG", "debug");
    let notes: Vec<_> = place
        .resolved()
        .notes
        .into_iter()
        .map(|note| note.message)
        .collect();
    assert_eq!(
        notes,
        [
            "the variable TENON_TRAIN_EPOCHS sets nothing; two underscores part a table from its key: TENON_TRAIN__EPOCHS"
        ]
    );
}

#[test]
fn bases_extend_bases_and_later_ones_win() {
    let place = Workplace::new(&format!(
        "extends = [\"base/a.toml\", \"base/b.toml\"]\n{GOOD}"
    ))
    .file(
        "base/a.toml",
        "extends = \"deep/c.toml\"\n[run]\nseed = 1\nthreads = 1",
    )
    .file("base/b.toml", "extends = \"deep/c.toml\"\n[run]\nseed = 2")
    .file(
        "base/deep/c.toml",
        "[run]\nseed = 3\nthreads = 3\ndevice = \"cpu\"",
    );
    assert_eq!(origin(&place, "run.seed"), "base/b.toml:3:8");
    assert_eq!(origin(&place, "run.threads"), "base/deep/c.toml:3:11");
    assert_eq!(origin(&place, "run.device"), "base/deep/c.toml:4:10");
}

#[test]
fn a_finished_run_is_used_without_its_data() {
    let text = GOOD
        .replace("data/train.jsonl", "gone/train.jsonl")
        .replace("models/minilm", "models/gone");
    let place = Workplace::new(&text);
    assert!(place.check().is_err());
    let settings = place.check_for(Purpose::Use).expect("no fault").settings;
    assert_eq!(settings.task.id, "classification");
    let place = Workplace::new(&text.replace("train = \"gone/train.jsonl\"\n", ""));
    assert!(place.check_for(Purpose::Use).is_ok());
}

#[test]
fn plugins_are_known_before_the_check() {
    let hash = "0123456789ABCDEF".repeat(4);
    let text = format!(
        "[plugins]\npaths = [\"p\"]\nallow = [\"lora\", {{ name = \"bert\", sha256 = \"{hash}\" }}]\n[model]\nuse = 3\n"
    );
    let plugins = Workplace::new(&text).draft().expect("TOML").plugins();
    assert_eq!(plugins.paths, [std::path::PathBuf::from("p")]);
    let allowed = plugins.allow.expect("a list");
    assert_eq!(allowed[0].sha256, None);
    assert_eq!(
        allowed[1].sha256.as_deref(),
        Some(hash.to_lowercase().as_str())
    );
}

#[test]
fn the_base_for_classification_is_a_base() {
    let base = include_str!("../../../../configs/base/classification.toml");
    let own = "extends = \"base/classification.toml\"\n[model]\npretrained = \"models/minilm\"\n[task]\ntext = \"message\"\n[data]\ntrain = \"data/train.jsonl\"\n";
    let settings = Workplace::new(own)
        .file("base/classification.toml", base)
        .resolved()
        .settings;
    assert_eq!(settings.metrics.len(), 2);
    assert_eq!(settings.peft.expect("a method").id, "lora");
}

#[test]
fn a_pattern_stands_for_the_files_that_it_matches() {
    // The data finds the files; the check must not take the pattern for a file that is missing.
    let text = GOOD.replace("data/train.jsonl", "data/tr*.jsonl");
    let report = Workplace::new(&text)
        .check()
        .expect_err("the probe of these tests knows none");
    assert!(
        report.faults[0]
            .message
            .starts_with("cannot read the columns of"),
        "{report}"
    );
}
