//! The battery of tasks that have text written, or that conclude record by record.

use tenon_plugin_api::host::TaskHandle;
use tenon_plugin_api::info::TaskInfo;
use tenon_plugin_api::record::{Examples, RecordBatch};
use tenon_plugin_api::tokenizer::SharedTokenizer;
use tenon_plugin_api::values::{ValueKind, Values};

use super::task::{TaskCase, fields, has_references, not_a_panic, unlabelled};
use crate::columns::pick;
use crate::task::{collate, pack};

/// Prompts: fields as declared, and the same whether the record has references or not.
#[track_caller]
pub(super) fn prompts(
    task: &TaskHandle,
    info: &TaskInfo,
    case: &TaskCase,
    tokenizer: &SharedTokenizer,
) {
    assert!(
        info.concludes || info.output.kind == ValueKind::Text.name(),
        "text is written, but the task puts out {:?} and does not conclude",
        info.output.kind
    );
    let made = crate::ok(task.encode_prompt(&case.records, tokenizer), "prompts");
    fields(&info.prompt, &case.data, &made);
    let without = task.encode_prompt(&unlabelled(info, case), tokenizer);
    let without = crate::ok(without, "prompts of records for prediction");
    assert_eq!(
        format!("{without:?}"),
        format!("{made:?}"),
        "prompts of the same records without the columns of references"
    );
}

/// Conclusions: one a record, whatever records share a call, with references where they are known.
#[track_caller]
pub(super) fn conclusions(
    task: &TaskHandle,
    info: &TaskInfo,
    case: &TaskCase,
    tokenizer: &SharedTokenizer,
) {
    for (records, all_columns) in [(&case.records, true), (&unlabelled(info, case), false)] {
        let (found, owners) = found(task, info, case, records, tokenizer);
        let made = crate::ok(task.conclude(records, &found, &owners), "concluding");
        let kind = ValueKind::from_name(&info.output.kind);
        assert_eq!(made.predictions.kind(), kind, "kind of the conclusions");
        assert_eq!(
            made.references.as_ref().map(Values::len),
            has_references(info, all_columns).then_some(records.len()),
            "references of the conclusions"
        );
        if owners.is_empty() {
            continue;
        }
        // Found of another number of examples than it names, which is the host's fault.
        let wrong = task.conclude(records, &found, &owners[1..]);
        let what = "conclusions of more than was found";
        not_a_panic(what, &crate::error(wrong, what));
    }
}

/// Something found of each example, and the records that they are of.
#[track_caller]
fn found(
    task: &TaskHandle,
    info: &TaskInfo,
    case: &TaskCase,
    records: &RecordBatch,
    tokenizer: &SharedTokenizer,
) -> (Values, Vec<u64>) {
    let owners = |examples: &Examples| -> Vec<u64> {
        let owner = |example| examples.record_of(example) as u64;
        (0..examples.len()).map(owner).collect()
    };
    if !info.prompt.is_empty() {
        let made = crate::ok(task.encode_prompt(records, tokenizer), "prompts");
        let written = |example: usize| format!(" a text that was written {example} ");
        let texts = Values::text((0..made.len()).map(written));
        return (texts, owners(&made));
    }
    if info.fields.is_empty() {
        return (Values::new(ValueKind::Text), Vec::new());
    }
    let made = crate::ok(task.encode(records, tokenizer), "encoding");
    let owners = owners(&made);
    let examples = pack(info, made, &tokenizer.as_tokenizer());
    let all: Vec<usize> = (0..examples.len()).collect();
    let batch = collate(&info.fields, &examples, &all);
    let outputs = (case.outputs)(info, &batch);
    let made = crate::ok(task.predict(&outputs, &batch), "predicting");
    (pick(&made.predictions, 0..owners.len()), owners)
}
