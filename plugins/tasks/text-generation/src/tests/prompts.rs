//! Demonstrations before prompts.

use super::*;

/// A demonstration: texts of its columns.
type Solved<'a> = &'a [(&'a str, &'a [&'a str])];

const SUM: Solved<'_> = &[("q", &["1+1"]), ("a", &["2", "two"])];
const DIFFERENCE: Solved<'_> = &[("q", &["5-2"]), ("a", &["3"])];
const ASKED: &[(&str, &[&str])] = &[("q", &["2+2"]), ("a", &["4"])];

fn asking(separator: &str, solved: &[Solved<'_>]) -> PromptInfo {
    let cell = |(name, texts): &(&str, &[&str])| {
        let texts = texts.iter().map(|text| (*text).to_owned());
        ((*name).to_owned(), texts.collect())
    };
    PromptInfo {
        separator: separator.to_owned(),
        demonstrations: solved
            .iter()
            .map(|cells| cells.iter().map(cell).collect())
            .collect(),
        ..PromptInfo::default()
    }
}

fn few_shot(
    options: &Json,
    offers: &[&str],
    limit: usize,
    info: PromptInfo,
) -> Result<TextGeneration> {
    prepared(
        options,
        &DataInfo {
            prompt: Some(info),
            ..data(offers, limit)
        },
    )
}

fn plain() -> Json {
    json!({ "prompt": "{{ q }}=", "target": "a", "max_target_length": 4 })
}

#[test]
fn demonstrations_stand_before_the_prompt_in_order() {
    let asked = record(ASKED);
    let solved = [SUM, DIFFERENCE];
    let task = few_shot(&plain(), CAUSAL, 0, asking("; ", &solved)).expect("good");
    assert_eq!(
        prompt(&task, &asked).expect("a prompt"),
        "1+1=2; 5-2=3; 2+2="
    );
    // The loss is that of the target, as it is written after them.
    let made = encode(&task, &asked).expect("encodes");
    assert_eq!(shown(&made, "input_ids"), "1+1=2; 5-2=3; 2+2=4");
    assert_eq!(shown(&made, "labels"), format!("{}4$", "_".repeat(17)));

    let task = few_shot(&plain(), SEQ2SEQ, 0, asking("; ", &solved)).expect("good");
    assert_eq!(
        prompt(&task, &asked).expect("a prompt"),
        "1+1=2; 5-2=3; 2+2=$"
    );
    let made = encode(&task, &asked).expect("encodes");
    assert_eq!(shown(&made, "input_ids"), "1+1=2; 5-2=3; 2+2=$");
    assert_eq!(shown(&made, "labels"), "4$".to_uppercase());

    // What goes for all of it is said once, and first.
    let mut options = plain();
    options["system"] = "Add.".into();
    let task = few_shot(&options, CAUSAL, 0, asking("\n", &solved[..1])).expect("good");
    assert_eq!(
        prompt(&task, &asked).expect("a prompt"),
        "Add.\n\n1+1=2\n2+2="
    );

    // Without any it is the prompt alone.
    let task = few_shot(&plain(), CAUSAL, 0, asking("; ", &[])).expect("good");
    assert_eq!(prompt(&task, &asked).expect("a prompt"), "2+2=");
}

#[test]
fn the_first_ones_are_left_out_where_they_do_not_fit() {
    let asked = record(ASKED);
    // Room for a prompt besides the 4 tokens of a target; of an encoder's, one ends the text.
    let cases = [
        (CAUSAL, 18 + 4, "1+1=2; 5-2=3; 2+2="),
        (CAUSAL, 17 + 4, "5-2=3; 2+2="),
        (CAUSAL, 11 + 4, "5-2=3; 2+2="),
        (CAUSAL, 10 + 4, "2+2="),
        (CAUSAL, 3 + 4, "+2="),
        (SEQ2SEQ, 19, "1+1=2; 5-2=3; 2+2=$"),
        (SEQ2SEQ, 18, "5-2=3; 2+2=$"),
        (SEQ2SEQ, 4, "2+2$"),
    ];
    for (offers, limit, expected) in cases {
        let info = asking("; ", &[SUM, DIFFERENCE]);
        let task = few_shot(&plain(), offers, limit, info).expect("good");
        assert_eq!(
            prompt(&task, &asked).expect("a prompt"),
            expected,
            "{limit}"
        );
    }
    let mut options = plain();
    options["max_source_length"] = 12.into();
    let info = asking("; ", &[SUM, DIFFERENCE]);
    let task = few_shot(&options, CAUSAL, 0, info).expect("good");
    assert_eq!(prompt(&task, &asked).expect("a prompt"), "5-2=3; 2+2=");
}

/// A conversation, as a cell.
fn turns(all: &[(&str, &str)]) -> String {
    let turn = |(role, content): &(&str, &str)| json!({ "role": role, "content": content });
    Json::from(all.iter().map(turn).collect::<Vec<_>>()).to_string()
}

#[test]
fn in_a_chat_they_are_earlier_turns() {
    let whole = [
        ("system", "Add."),
        ("user", "1+1="),
        ("assistant", "2"),
        ("user", "2+2="),
        ("assistant", "4"),
    ];
    let conversations = |format: &Json, cell: &str, info: Option<PromptInfo>| {
        let data = DataInfo {
            prompt: info,
            ..data(CAUSAL, 0)
        };
        let task = prepared(format, &data).expect("good");
        let record = record(&[("messages", &[cell])]);
        let made = encode(&task, &record).expect("encodes");
        let prompt = prompt(&task, &record).expect("a prompt");
        (prompt, shown(&made, "input_ids"), shown(&made, "labels"))
    };
    // All of it in one record, of which the last turn is learned.
    let last = json!({ "format": "messages", "turns": "last" });
    let expected = conversations(&last, &turns(&whole), None);

    let options = json!({ "prompt": "{{ q }}=", "target": "a", "chat": true, "system": "Add." });
    let task = few_shot(&options, CAUSAL, 0, asking("; ", &[SUM])).expect("good");
    let asked = record(ASKED);
    let made = encode(&task, &asked).expect("encodes");
    let found = (
        prompt(&task, &asked).expect("a prompt"),
        shown(&made, "input_ids"),
        shown(&made, "labels"),
    );
    assert_eq!(found, expected);

    // The same of records with turns: only one system speaks, and nothing is learned of demonstrations.
    let solved = turns(&[whole[0], whole[1], whole[2], ("user", "Thanks.")]);
    let own = turns(&[whole[0], whole[3], whole[4]]);
    let demonstration: Solved<'_> = &[("messages", &[&solved])];
    let info = asking("; ", &[demonstration]);
    let all = json!({ "format": "messages" });
    assert_eq!(conversations(&all, &own, Some(info)), expected);
}

#[test]
fn what_is_written_ends_where_another_demonstration_would_begin() {
    let stops = |separator: &str, offers, solved: &[Solved<'_>]| {
        let task = few_shot(&plain(), offers, 0, asking(separator, solved)).expect("good");
        let info = task.describe();
        assert!(info.promptable);
        info.generation.get("stop_strings").cloned()
    };
    let lines: Solved<'_> = &[("q", &["1"]), ("a", &["1\n\n1"])];
    assert_eq!(stops("\n\n", CAUSAL, &[SUM]), Some(json!(["\n\n"])));
    assert_eq!(stops("###", CAUSAL, &[SUM]), Some(json!(["###"])));
    assert_eq!(stops("\n\n", CAUSAL, &[SUM, lines]), None);
    assert_eq!(stops(" ", CAUSAL, &[SUM]), None);
    assert_eq!(stops("", CAUSAL, &[SUM]), None);
    assert_eq!(stops("\n\n", CAUSAL, &[]), None);
    assert_eq!(stops("\n\n", SEQ2SEQ, &[SUM]), None);
}

#[test]
fn what_cannot_be_prompted_is_refused() {
    let of = |change: &dyn Fn(&mut PromptInfo)| {
        let mut info = asking("\n", &[SUM]);
        change(&mut info);
        let refused = few_shot(&plain(), CAUSAL, 0, info).expect_err("refused");
        refused.message().to_owned()
    };
    let said = [
        of(&|info| info.template = Some("{{ q }} {{ answer }}".to_owned())),
        of(&|info| drop(info.verbalizers.insert("a".to_owned(), "b".to_owned()))),
        of(&|info| info.calibrate = true),
        of(&|info| drop(info.demonstrations[0].remove("a"))),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    prompt.template: prompts have their own, `task.prompt`
    prompt.verbalizers: what is written are texts, and no labels
    prompt.calibrate: only scores of labels can be calibrated
    no column `a` among q
    ");
    let unanswered = turns(&[("user", "1+1=")]);
    let demonstration: Solved<'_> = &[("messages", &[&unanswered])];
    let options = json!({ "format": "messages" });
    let refused = few_shot(&options, CAUSAL, 0, asking("", &[demonstration]));
    let refused = refused.expect_err("refused");
    assert!(
        refused.message().contains("a turn of the assistant"),
        "{refused:?}"
    );
}

#[test]
fn conforms_with_demonstrations() {
    for offers in [CAUSAL, SEQ2SEQ] {
        let options = json!({ "prompt": "{{ text }}", "target": "summary" });
        let info = prepared(&options, &data(offers, 12))
            .expect("good")
            .describe();
        let solved: Solved<'_> = &[("text", &["a film"]), ("summary", &["glue"])];
        conformance::task_with::<TextGeneration>(&TaskCase {
            options,
            data: DataInfo {
                model: data(offers, 0).model,
                prompt: Some(asking(" ", &[solved, solved])),
                ..data_for(&info)
            },
            records: records_for(&info, 7, false),
            outputs,
        });
    }
}
