//! The battery of tasks.

use std::collections::BTreeSet;

use serde_json::Value;
use tenon_plugin_api::host::TaskHandle;
use tenon_plugin_api::info::{DataInfo, FieldInfo, TaskInfo};
use tenon_plugin_api::record::{Examples, RecordBatch};
use tenon_plugin_api::task::Task;
use tenon_plugin_api::tch::{Kind, Tensor};
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::tokenizer::SharedTokenizer;
use tenon_plugin_api::values::{ValueKind, Values};
use tenon_plugin_api::{ErrorCode, Result};

use super::{declarations, writing};
use crate::columns::Draws;
use crate::metric::close;
use crate::task::{collate, data_for, pack, records_for, tokenizer};

/// What a battery cannot find in a task's declarations.
pub struct TaskCase {
    /// Options, as a run file would give them.
    pub options: Value,
    /// What the host found in the data.
    pub data: DataInfo,
    /// Records to train on, three at least.
    pub records: RecordBatch,
    /// Outputs of a model for a batch, such as logits; they must require gradients, and one
    /// example's must not depend on the others.
    pub outputs: fn(&TaskInfo, &TensorMap) -> TensorMap,
}

/// Checks a task whose required columns and head are enough to make data and outputs up: head
/// `sequence-classification` (logits `[batch, num_labels]`). See [`task_with`].
///
/// # Panics
/// It does not pass, or it needs a [`TaskCase`].
#[track_caller]
pub fn task<T: Task>(options: Value) {
    let made = crate::task::task::<T>(options.clone());
    let info = crate::ok(made.describe(), "describing before `prepare`");
    task_with::<T>(&TaskCase {
        options,
        data: data_for(&info),
        records: records_for(&info, 7, false),
        outputs: logits,
    });
}

/// Logits `[batch, num_labels]`, drawn from the example's own tokens.
fn logits(info: &TaskInfo, batch: &TensorMap) -> TensorMap {
    let Some(head) = &info.head else {
        panic!("the task asks for no head: give `conformance::task_with` outputs")
    };
    assert_eq!(
        head.kind, "sequence-classification",
        "the testkit makes no outputs of this head up: give them to `conformance::task_with`"
    );
    let labels = head.num_labels as i64;
    let ids = crate::ok(batch.require("input_ids"), "the batch");
    let mask = crate::ok(batch.require("attention_mask"), "the batch");
    let sums = (ids * mask).sum_dim_intlist([1_i64].as_slice(), false, Kind::Int64);
    let sums = Vec::<i64>::try_from(&sums).unwrap_or_default();
    let mut values = Vec::new();
    for sum in &sums {
        let mut draws = Draws(*sum as u64 * 1000);
        values.extend((0..labels).map(|_| draws.normal() as f32));
    }
    let logits = Tensor::from_slice(&values).reshape([sums.len() as i64, labels]);
    TensorMap::new().with("logits", logits.set_requires_grad(true))
}

/// Checks a task: its declarations; that records become examples with the declared fields,
/// alike alone, in batches and from several threads; that prediction needs only the columns that it
/// says; that the loss is a sum (not a mean) with a weight, through which gradients flow; that
/// there is a prediction an example, of the declared kind, with references where they are known.
///
/// Of a task that has text written also its prompts: that they have the declared fields, fit into the model, and are
/// the same with and without the columns of references. Of one that concludes: that there is one prediction a record,
/// with as many references, from records in any grouping.
///
/// # Panics
/// It does not pass.
#[track_caller]
pub fn task_with<T: Task>(case: &TaskCase) {
    declarations::<T::Options>(T::ID, T::ABOUT);
    for name in T::OUTPUTS {
        assert!(
            ValueKind::from_name(name).is_some(),
            "{name:?} is no kind of values"
        );
    }
    let mut task = crate::task::task::<T>(case.options.clone());
    crate::ok(task.describe(), "describing before `prepare`");
    crate::ok(task.prepare(&case.data), "preparing");
    let info = crate::ok(task.describe(), "describing after `prepare`");
    described::<T>(&info);

    let tokenizer = tokenizer().shared();
    if !info.fields.is_empty() {
        learning(&task, &info, case, &tokenizer);
    }
    if !info.prompt.is_empty() {
        writing::prompts(&task, &info, case, &tokenizer);
    }
    if info.concludes {
        writing::conclusions(&task, &info, case, &tokenizer);
    }
    wrong_records(&task, &info, &tokenizer);
}

/// What a task makes of records to learn from, and what it predicts of them.
#[track_caller]
fn learning(task: &TaskHandle, info: &TaskInfo, case: &TaskCase, tokenizer: &SharedTokenizer) {
    let encoded = task.encode(&case.records, tokenizer);
    let examples = crate::ok(encoded, "encoding");
    concurrently(task, &case.records, tokenizer, &examples);
    let packed = |examples| pack(info, examples, &tokenizer.as_tokenizer());
    let examples = packed(examples);
    fields(&info.fields, &case.data, &examples);
    let all: Vec<usize> = (0..examples.len()).collect();
    let batch = collate(&info.fields, &examples, &all);
    loss(task, info, case, &examples);
    if info.prompt.is_empty() {
        predictions(task, info, case, &batch, true);

        let encoded = task.encode(&unlabelled(info, case), tokenizer);
        let examples = packed(crate::ok(encoded, "encoding records for prediction"));
        let all: Vec<usize> = (0..examples.len()).collect();
        let batch = collate(&info.fields, &examples, &all);
        predictions(task, info, case, &batch, has_references(info, false));
    }

    let nothing = TensorMap::new();
    for (what, result) in [
        (
            "a loss without outputs",
            task.loss(&nothing, &batch).map(drop),
        ),
        (
            "predictions without outputs",
            task.predict(&nothing, &batch).map(drop),
        ),
    ] {
        not_a_panic(what, &crate::error(result, what));
    }
}

/// The case's records without the columns that prediction does without.
pub(super) fn unlabelled(info: &TaskInfo, case: &TaskCase) -> RecordBatch {
    let columns = info.columns.iter().filter(|column| !column.for_prediction);
    columns.fold(case.records.clone(), |records, column| {
        records.without(&column.name)
    })
}

/// Whether there are references for records, which have all columns or only those for prediction: what they are made
/// of may be among the latter.
pub(super) fn has_references(info: &TaskInfo, all_columns: bool) -> bool {
    all_columns || info.columns.iter().all(|column| column.for_prediction)
}

#[track_caller]
fn described<T: Task>(info: &TaskInfo) {
    let output = &info.output.kind;
    assert!(
        T::OUTPUTS.contains(&output.as_str()),
        "the task puts out {output:?}, which `OUTPUTS` does not declare: {:?}",
        T::OUTPUTS
    );
    let names: BTreeSet<_> = info.fields.iter().map(|field| &field.name).collect();
    assert_eq!(
        names.len(),
        info.fields.len(),
        "fields of the same name: {names:?}"
    );
}

#[track_caller]
pub(super) fn fields(fields: &[FieldInfo], data: &DataInfo, examples: &Examples) {
    assert!(!examples.is_empty(), "no record became an example");
    let declared: BTreeSet<_> = fields.iter().map(|field| field.name.as_str()).collect();
    let made: BTreeSet<_> = examples.fields().collect();
    assert_eq!(
        made, declared,
        "fields of the examples, against those declared"
    );
    for field in fields.iter().filter(|field| field.length) {
        for example in 0..examples.len() {
            let length = examples.ints(&field.name, example).map_or(0, <[i64]>::len);
            assert!(
                length > 0 && (data.max_length == 0 || length <= data.max_length),
                "an example has {length} of `{}`, where {} have room",
                field.name,
                data.max_length
            );
        }
    }
}

/// Four threads at once give what one gave.
#[track_caller]
fn concurrently(
    task: &TaskHandle,
    records: &RecordBatch,
    tokenizer: &SharedTokenizer,
    expected: &Examples,
) {
    std::thread::scope(|scope| {
        let encode = || task.encode(records, tokenizer);
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(encode)).collect();
        for thread in threads {
            let Ok(encoded) = thread.join() else {
                panic!("encoding panicked past its adapter")
            };
            let found = crate::ok(encoded, "encoding on a thread");
            assert_eq!(
                format!("{found:?}"),
                format!("{expected:?}"),
                "examples from several threads at once"
            );
        }
    });
}

#[track_caller]
fn loss(task: &TaskHandle, info: &TaskInfo, case: &TaskCase, examples: &Examples) {
    let of = |which: &[usize]| {
        let batch = collate(&info.fields, examples, which);
        let outputs = (case.outputs)(info, &batch);
        let loss = crate::ok(task.loss(&outputs, &batch), "the loss");
        (loss, outputs)
    };
    let all: Vec<usize> = (0..examples.len()).collect();
    let (whole, outputs) = of(&all);
    assert_eq!(whole.sum.numel(), 1, "the loss is not a scalar");
    let sum = whole.sum.double_value(&[]);
    assert!(sum.is_finite(), "the loss is {sum}");
    assert!(whole.weight > 0.0, "the loss weighs {}", whole.weight);
    let (mut parts, mut weights) = (0.0, 0.0);
    for example in all {
        let (part, _) = of(&[example]);
        parts += part.sum.double_value(&[]);
        weights += part.weight;
    }
    assert!(
        close(parts, sum, 1e-4) && close(weights, whole.weight, 1e-9),
        "the loss is no sum: {sum} of weight {} for a batch, {parts} of weight {weights} for its \
         examples one by one",
        whole.weight
    );
    whole.sum.backward();
    assert!(
        outputs.iter().any(|(_, output)| output.grad().defined()),
        "no gradient flows from the loss to the outputs"
    );
}

#[track_caller]
fn predictions(
    task: &TaskHandle,
    info: &TaskInfo,
    case: &TaskCase,
    batch: &TensorMap,
    references: bool,
) {
    let outputs = (case.outputs)(info, batch);
    let made = crate::ok(task.predict(&outputs, batch), "predicting");
    let rows = batch.iter().next().map_or(0, |(_, field)| field.size()[0]);
    assert_eq!(
        made.predictions.len() as i64,
        rows,
        "predictions of a batch"
    );
    if info.concludes {
        return; // of these the predictions are made
    }
    let kind = ValueKind::from_name(&info.output.kind);
    assert_eq!(made.predictions.kind(), kind, "kind of the predictions");
    assert_eq!(
        made.references.as_ref().map(Values::len),
        references.then_some(rows as usize),
        "references of a batch {} them",
        if references { "with" } else { "without" }
    );
    if let Some(references) = made.references {
        assert_eq!(references.kind(), kind, "kind of the references");
    }
}

/// Records without the columns that it reads are errors, not panics.
#[track_caller]
fn wrong_records(task: &TaskHandle, info: &TaskInfo, tokenizer: &SharedTokenizer) {
    let encode = |records: &RecordBatch| -> Result<Examples> {
        match info.prompt.is_empty() {
            true => task.encode(records, tokenizer),
            false => task.encode_prompt(records, tokenizer),
        }
    };
    let encoded = encode(&RecordBatch::new(1));
    not_a_panic(
        "a record without columns",
        &crate::error(encoded, "a record without columns"),
    );
    let none = encode(&RecordBatch::new(0));
    assert!(
        crate::ok(none, "no records").is_empty(),
        "examples made of no record"
    );
}

#[track_caller]
pub(super) fn not_a_panic(what: &str, error: &tenon_plugin_api::Error) {
    assert!(error.code() != ErrorCode::Panic, "{what}: {error:?}");
}
