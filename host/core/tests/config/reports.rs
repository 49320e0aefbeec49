//! What is said of faulty run files; the snapshots are the specification.

use insta::assert_snapshot;
use tenon_core::config::{Note, Purpose, Resolved};

use super::fixture::{GOOD, Workplace};

/// `GOOD` with one text in place of another.
fn with(old: &str, new: &str) -> Workplace {
    assert!(GOOD.contains(old), "{old}");
    Workplace::new(&GOOD.replace(old, new))
}

#[test]
fn the_good_run_file_is_good() {
    Workplace::new(GOOD).resolved();
}

#[test]
fn all_faults_at_once() {
    let text = GOOD
        .replace(
            "target_sites = [\"query\"",
            "rank = 4\ntarget_sites = [\"qurey\"",
        )
        .replace("use = \"accuracy\"", "use = \"acuracy\"")
        .replace("average = \"macro\"", "average = \"marco\"")
        .replace("text = \"message\"", "text = \"mesage\"")
        .replace("models/minilm", "models/minlm")
        .replace(
            "learning_rate = 2e-4",
            "learning_rate = -1\nschedule = \"cosin\"\nepoch = 3\nprecision = 16",
        );
    let place = Workplace::new(&text)
        .env("TENON_TRAIN__EPOCHS", "three")
        .set("train.seed=1");
    assert_snapshot!(place.report());
}

#[test]
fn unknown_keys_and_what_was_meant() {
    let text = format!(
        "{GOOD}lr = 1\nnum_train_epochs = 3\nseed = 1\nzzz = 1\n\n[trian]\nepochs = 1\n\n[tokenizer]\nmaxlength = 8\n\n[lora]\nr = 1\n"
    );
    assert_snapshot!(Workplace::new(&text).report());
}

#[test]
fn names_of_peft_become_options_of_a_component() {
    let place = with(
        "use = \"lora\"",
        "use = \"lora\"\nlora_r = 4\nalpha = 8\nlora_alpha = 16\nrank = 4\npeft_type = \"LORA\"",
    );
    assert_snapshot!(place.report());
}

#[test]
fn wrong_types() {
    let text = r#"
run.seed = "17"
run.device = "gpu"
run.name = ""
run.threads = 0
plugins.paths = "plugins"
plugins.allow = [{ name = "lora", sha256 = "abc" }, 3, { nam = "x" }]
model = "bert"
task.use = ["classification"]
data.train = 3
data.validation = { split = 1.5 }
data.format = "json"
data.columns = { text = 1 }
metrics = { use = "f1" }
peft.use = 1
train.eval_every = "epochs"
train.save_every = 0
train.adam_beta1 = 1.0
train.epochs = 2.5
train.keep_checkpoints = true
evaluate = []
"#;
    assert_snapshot!(Workplace::new(text).report());
}

#[test]
fn an_empty_file_lacks_what_is_required() {
    assert_snapshot!(Workplace::new("").report());
}

#[test]
fn components_that_are_missing_ambiguous_or_broken() {
    let place = with("use = \"bert\"", "use = \"broken\"");
    let place = place
        .set("peft.use=lorra")
        .set("metrics[0].use=mcc")
        .set("metrics[1].use=zzz")
        .set("task.use=translation");
    assert_snapshot!(place.report());
}

#[test]
fn a_component_of_another_kind_of_output() {
    assert_snapshot!(with("use = \"accuracy\"", "use = \"bleu\"").report());
}

#[test]
fn a_preferred_component() {
    let text = GOOD.replace("use = \"accuracy\"", "use = \"mcc\"")
        + "\n[plugins]\nprefer.mcc = \"other-metrics::mcc\"\n";
    let resolved = Workplace::new(&text).resolved();
    assert_eq!(
        resolved.settings.metrics[0].component.plugin,
        "other-metrics"
    );
}

#[test]
fn keys_that_exclude_each_other_in_one_file() {
    let text =
        format!("{GOOD}max_steps = 10\nbatch_size = 8\nwarmup_steps = 3\nwarmup_ratio = 0.1\n")
            .replace(
                "{ split = 0.1 }",
                "{ split = 0.1, path = \"data/test.jsonl\" }",
            );
    assert_snapshot!(Workplace::new(&text).report());
}

#[test]
fn keys_that_need_each_other() {
    let text = format!("{GOOD}patience = 3\nmode = \"max\"\n")
        .replace(
            "validation = { split = 0.1 }",
            "validation = { split = 0.6 }\ntest = { split = 0.4 }",
        )
        .replace(
            "pretrained = \"models/minilm\"",
            "revision = \"main\"\nignore_weights = [\"head.*\", \"head[\"]",
        )
        .replace("use = \"classification-metrics::f1\"", "use = \"accuracy\"")
        .replace("average = \"macro\"\n", "");
    assert_snapshot!(Workplace::new(&text).report());
}

#[test]
fn rows_that_stay_together() {
    let cases = [
        "validation = { path = \"data/test.jsonl\", group = \"label\" }",
        "validation = { split = 0.1, group = \"label\", stratify = true }",
        "validation = { split = 0.1, group = \"label\" }\ntest = { split = 0.1 }",
        "validation = { split = 0.1, group = \"lable\" }",
    ];
    let reports = cases.map(|case| with("validation = { split = 0.1 }", case).report());
    assert_snapshot!(reports.join("\n"));
    let same = "validation = { split = 0.1, group = \"label\" }\ntest = { split = 0.1, group = \"label\" }";
    assert!(with("validation = { split = 0.1 }", same).check().is_ok());
}

#[test]
fn the_best_by_a_score_that_nobody_computes() {
    let report = |score: &str| {
        Workplace::new(&format!("{GOOD}select_best = \"{score}\"\n"))
            .check()
            .err()
    };
    for score in ["accuracy", "loss", "f1", "f1_macro", "f1/ham"] {
        assert!(report(score).is_none(), "{score}");
    }
    assert_snapshot!(report("acuracy").expect("a fault"));
    assert_snapshot!(report("f11").expect("a fault"));
}

#[test]
fn files_that_are_missing() {
    let text =
        GOOD.replace(
            "train = \"data/train.jsonl\"",
            "train = [\"data/train.jsonl\", \"data/trian.jsonl\"]",
        )
        .replace(
            "validation = { split = 0.1 }",
            "validation = \"dta/test.jsonl\"\ntest = { path = \"nowhere/x.jsonl\" }",
        ) + "\n[tokenizer]\npath = \"models/tokenizer.json\"\n\n[plugins]\npaths = [\"plugins\"]\n";
    let place = Workplace::new(&format!(
        "extends = [\"base/missing.toml\", \"rum.toml\"]\n{text}"
    ));
    assert_snapshot!(place.report());
}

#[test]
fn a_run_file_that_is_missing() {
    assert_snapshot!(Workplace::new(GOOD).run_file("runn.toml").report(), @r#"
    runn.toml: 1 problem
      no such file runn.toml; did you mean "run.toml"?
    "#);
    assert_snapshot!(Workplace::new(GOOD).run_file("data").report(), @r"
    data: 1 problem
      data is a folder, not a run file
    ");
}

#[test]
fn columns_that_the_data_has_not() {
    let text = GOOD.replace("text = \"message\"\n", "text_pair = \"mesage\"\n")
        + "\n[data.columns]\nlabel = \"lable\"\n";
    assert_snapshot!(Workplace::new(&text).report());
}

#[test]
fn columns_that_a_template_names() {
    let hint = |template: &str| {
        let hint = format!("text = \"message\"\nhint = {template}\n");
        Workplace::new(&GOOD.replace("text = \"message\"\n", &hint))
    };
    let good = "\"{% for m in [message] %}{{ loop.index }} {{ m | upper }}{% endfor %} {{ range(3) }} {{ label }}\"";
    assert!(hint(good).check().is_ok());
    assert_snapshot!(hint("\"{{ mesage }} and {{ label.x }}{% if other %}!{% endif %}\"").report(), @r#"
    run.toml: 2 problems
      8:8  task.hint  no column "mesage" in data/train.jsonl; did you mean "message"? (columns: message, label)
      8:8  task.hint  no column "other" in data/train.jsonl (columns: message, label)
    "#);
    assert_snapshot!(hint("\"\"\"\nOn {{ message }}\nor {{ label \n\"\"\"").report(), @r#"
    run.toml: 1 problem
      8:8  task.hint  no template: syntax error: unexpected end of input, expected end of variable block, in its line 2, "or {{ label "
    "#);
    // The answer is no column, but only where there is one.
    let prompt = |table: &str| Workplace::new(&format!("{GOOD}\n[prompt]\n{table}\n"));
    assert!(
        prompt("template = \"{{ message }}: {{ answer }}\"")
            .check_for(Purpose::Check)
            .is_ok()
    );
    let misspelt = prompt("template = \"{{ massage }}: {{ answer }}\"");
    let report = misspelt.check_for(Purpose::Check).expect_err("a fault");
    assert_snapshot!(report.to_string(), @r#"
    run.toml: 1 problem
      31:12  prompt.template  no column "massage" in data/train.jsonl; did you mean "message"? (columns: message, label)
    "#);
    assert_snapshot!(hint("\"{{ answer }}\"").report(), @r#"
    run.toml: 1 problem
      8:8  task.hint  no column "answer" in data/train.jsonl (columns: message, label)
    "#);
}

/// A run file without training data is good for all but training, unless it takes something of it.
#[test]
fn training_data_is_for_training() {
    let bare = GOOD.replace("train = \"data/train.jsonl\"\n", "").replace(
        "validation = { split = 0.1 }\n",
        "test = \"data/train.jsonl\"\n",
    );
    let report = |text: &str, purpose| {
        let checked = Workplace::new(text).check_for(purpose);
        checked.map_or_else(|report| report.to_string(), |resolved| notes(&resolved))
    };
    let notes_or_faults =
        [Purpose::Check, Purpose::Use, Purpose::Train].map(|purpose| report(&bare, purpose));
    assert_snapshot!(notes_or_faults.join("\n"), @r"
    data.train: not set: good for evaluation and prediction with a model that is trained already


    run.toml: 1 problem
      10:2  data.train  missing: expected the path of the training data, a list of paths, or a table
    ");
    let taken = GOOD.replace("train = \"data/train.jsonl\"\n", "test.split = 0.2\n")
        + "\n[tokenizer]\ntrain = { kind = \"bpe\" }\n\n[prompt]\ntemplate = \"{{ answer }}\"\nshots = 2\n";
    assert_snapshot!(report(&taken, Purpose::Check), @r"
    run.toml: 4 problems
      11:14  data.test.split        needs data.train, as it takes a part of it
      12:24  data.validation.split  needs data.train, as it takes a part of it
      31:1   tokenizer.train        needs data.train, as it takes its text
      35:9   prompt.shots           needs data.train, as it takes examples from it
    ");
    assert_snapshot!(report(&taken, Purpose::Use), @r"
    run.toml: 1 problem
      35:9  prompt.shots  needs data.train, as it takes examples from it
    ");
    let zero = format!("{bare}\n[prompt]\ntemplate = \"{{{{ answer }}}}\"\nshots = 0\n");
    assert!(Workplace::new(&zero).check_for(Purpose::Check).is_ok());
    let asked = format!("{GOOD}\n[prompt]\ntemplate = \"{{{{ answer }}}}\"\n");
    assert!(Workplace::new(&asked).check_for(Purpose::Check).is_ok());
    assert_snapshot!(report(&asked, Purpose::Train), @r"
    run.toml: 1 problem
      30:2  prompt  excludes training: a model that is prompted learns nothing (`tenon evaluate --pretrained` asks it; to fine-tune it, leave the table out)
    ");
}

fn notes(resolved: &Resolved) -> String {
    let line = |note: &Note| format!("{}: {}\n", note.path, note.message);
    resolved.notes.iter().map(line).collect()
}

#[test]
fn columns_differ_between_splits() {
    assert_snapshot!(with("{ split = 0.1 }", "\"data/test.jsonl\"").report());
    let broken = with("{ split = 0.1 }", "\"data/broken.jsonl\"").file("data/broken.jsonl", "no");
    assert_snapshot!(broken.report());
}

#[test]
fn renamed_columns_have_their_new_names() {
    let text = GOOD.replace("text = \"message\"\n", "") + "\n[data.columns]\ntext = \"message\"\n";
    let resolved = Workplace::new(&text).resolved();
    assert_eq!(resolved.settings.data.columns["text"], "message");
}

#[test]
fn folders_that_are_no_models() {
    let place = with("models/minilm", "models").file("models/README", "");
    assert_snapshot!(place.report());
    assert_snapshot!(with("models/minilm", "data/train.jsonl").report());
}

#[test]
fn syntax_errors_of_all_files() {
    let place = Workplace::new(
        "extends = \"base.toml\"\n[train]\nepochs = \nlearning_rate = 2e-4\n[train]\nx = 1\n",
    )
    .file("base.toml", "[run\nname = 'x'\n");
    assert_snapshot!(place.report());
}

#[test]
fn faults_of_profiles_that_do_not_apply() {
    let text = format!(
        "{GOOD}\n[profile.small.train]\nepochs = 0\nepohcs = 1\n\n[profile.frozen.peft]\nuse = \"freeze\"\nlayer = 2\n\n[profile.fine.train]\nepochs = 1\n"
    );
    assert_snapshot!(Workplace::new(&text).report());
    assert_snapshot!(Workplace::new(&text).profile("smal").report());
}

#[test]
fn circles() {
    let place = Workplace::new(&format!("extends = \"base/a.toml\"\n{GOOD}"))
        .file(
            "base/a.toml",
            "extends = [\"./b.toml\"]\n[train]\nepochs = 0",
        )
        .file("base/b.toml", "extends = \"../base/../run.toml\"");
    assert_snapshot!(place.report());
}

#[test]
fn assignments_that_cannot_be_read() {
    let place = Workplace::new(GOOD)
        .set("train.epochs")
        .set("=3")
        .set("metrics[5].use=\"f1\"")
        .set("train[0]=1")
        .set("train.epochs[0]=1")
        .set("extends=\"x.toml\"")
        .env("TENON_TRAIN____EPOCHS", "1");
    assert_snapshot!(place.report());
}

#[test]
fn reports_are_data_too() {
    let report = with("epochs = 2", "epohcs = 2")
        .check()
        .expect_err("a fault");
    assert_snapshot!(serde_json::to_string_pretty(&report).expect("plain data"));
}
