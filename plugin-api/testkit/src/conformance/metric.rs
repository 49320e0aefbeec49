//! The battery of metrics.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenon_plugin_api::metric::{Input, Metric, Scores};
use tenon_plugin_api::resample::{Draws, Resampling};
use tenon_plugin_api::values::{ValueKind, Values};
use tenon_plugin_api::{ErrorCode, Result};

use super::declarations;
use crate::columns::{made_up, pick};
use crate::metric::{Bench, close};

/// Checks a metric with its default options; see [`metric_with`].
///
/// # Panics
/// It does not pass.
#[track_caller]
pub fn metric<M: Metric>() {
    metric_with::<M>(json!({}));
}

/// Checks a metric: its declarations; that it can begin, see nothing, see empty batches; that the
/// result does not depend on how examples are batched or shared among workers; that wrong batches
/// are errors, and leave it usable; that its scores have unique names; that, if it scores draws of
/// examples, the draw of all of them has the scores of all.
///
/// Inputs are made up for each kind that it reads, with two classes and with three; it may refuse
/// one of the two (as a metric of binary labels does), with an error.
///
/// # Panics
/// It does not pass.
#[track_caller]
pub fn metric_with<M: Metric>(options: Value) {
    declarations::<M::Options>(M::ID, M::ABOUT);
    let kinds = <M::Input as Input>::KINDS;
    assert!(!kinds.is_empty(), "`{}` reads no kind of values", M::ID);
    for name in kinds {
        let Some(kind) = ValueKind::from_name(name) else {
            panic!("`{}` reads {name:?}, which is no kind of values", M::ID)
        };
        let mut took = 0;
        for classes in [2, 3] {
            let labels = ["no", "yes", "maybe"];
            let bench = crate::metric::<M>(options.clone()).output(name, &labels[..classes]);
            let (predictions, references) = made_up(kind, 29, classes, 17);
            match bench.scores(&predictions, &references) {
                Ok(scores) => {
                    took += 1;
                    all_of::<M>(&bench, &predictions, &references, &scores);
                }
                Err(error) => assert!(error.code() != ErrorCode::Panic, "{error:?}"),
            }
        }
        assert!(took > 0, "`{}` refuses all {name} that were made up", M::ID);
        wrong_batches::<M>(&crate::metric::<M>(options.clone()), kind);
    }
}

#[track_caller]
fn all_of<M: Metric>(bench: &Bench<M>, predictions: &Values, references: &Values, scores: &Scores) {
    names(M::ID, scores);
    let again = bench.scores(predictions, references);
    same("the same batch again", &again, scores);
    for shards in [1, 2, 4, 40] {
        let what = format!("{shards} merged shards");
        same(
            &what,
            &bench.sharded(predictions, references, shards),
            scores,
        );
    }
    same(
        "two threads",
        &on_two_threads(bench, predictions, references),
        scores,
    );

    let none = (pick(predictions, []), pick(references, []));
    let nothing = crate::ok(bench.fresh().compute(), "the scores of nothing");
    let empty = crate::ok(
        bench.scores(&none.0, &none.1),
        "the scores of an empty batch",
    );
    same("an empty batch, against nothing", &Ok(empty), &nothing);
    let one = bench.scores(&pick(predictions, [0]), &pick(references, [0]));
    crate::ok(one, "the scores of a single example");
    draws(bench, predictions, references, scores);
}

/// All examples, drawn once each from a metric and another that was merged into it.
#[track_caller]
fn draws<M: Metric>(bench: &Bench<M>, predictions: &Values, references: &Values, scores: &Scores) {
    let mut drawn = bench.fresh();
    if !crate::ok(drawn.keep_examples(), "keeping examples") {
        let error = drawn.resample(Draws::new(&[0], 1, Resampling::Bootstrap));
        crate::error(error, "a draw from a metric that keeps no examples");
        return;
    }
    let (count, third) = (predictions.len(), predictions.len() / 3);
    let mut other = bench.fresh();
    crate::ok(other.keep_examples(), "keeping examples");
    for (metric, rows) in [(&mut drawn, 0..third), (&mut other, third..count)] {
        let (p, r) = (pick(predictions, rows.clone()), pick(references, rows));
        crate::ok(metric.update(&p, &r), "examples to draw from");
    }
    crate::ok(drawn.merge(other), "merging kept examples");
    let all: Vec<u32> = (0..count as u32).chain(0..count as u32).collect();
    // Reference implementations may draw with replacement in single precision.
    for (how, tolerance) in [(Resampling::Exchange, 1e-12), (Resampling::Bootstrap, 1e-5)] {
        let found = crate::ok(drawn.resample(Draws::new(&all, count, how)), "two draws");
        assert!(
            found.len() == 2 && found[0] == found[1],
            "equal draws differ: {found:?}"
        );
        let expected = scores.as_slice().iter().map(|score| score.value);
        for (value, expected) in found[0].iter().zip(expected) {
            assert!(
                close(*value, expected, tolerance),
                "the draw of all examples: expected {expected}, found {value}"
            );
        }
    }
}

fn names(id: &str, scores: &Scores) {
    let all = scores.as_slice();
    assert!(!all.is_empty(), "`{id}` computes no score");
    let unique: BTreeSet<_> = all.iter().map(|score| &score.name).collect();
    assert!(
        unique.len() == all.len() && !unique.contains(&String::new()),
        "the scores' names are not unique: {unique:?}"
    );
}

fn on_two_threads<M: Metric>(
    bench: &Bench<M>,
    predictions: &Values,
    references: &Values,
) -> Result<Scores> {
    let half = predictions.len() / 2;
    let mut first = bench.fresh();
    let mut second = bench.fresh();
    let cut = |from, to| (pick(predictions, from..to), pick(references, from..to));
    let (left, right) = (cut(0, half), cut(half, predictions.len()));
    let second = std::thread::spawn(move || second.update(&right.0, &right.1).map(|()| second));
    first.update(&left.0, &left.1)?;
    let Ok(second) = second.join() else {
        panic!("the metric panicked on another thread, past its adapter")
    };
    first.merge(second?)?;
    first.compute()
}

/// Wrong batches are errors of the data, and the metric works on after them.
#[track_caller]
fn wrong_batches<M: Metric>(bench: &Bench<M>, kind: ValueKind) {
    let (predictions, references) = made_up(kind, 4, 2, 5);
    let mut metric = bench.fresh();
    let other = ValueKind::ALL
        .into_iter()
        .find(|(_, name)| !<M::Input as Input>::KINDS.contains(name));
    let mut cases = vec![
        (
            "fewer references",
            predictions.clone(),
            pick(&references, [0, 1]),
        ),
        (
            "fewer predictions",
            pick(&predictions, [0]),
            references.clone(),
        ),
    ];
    if let Some((other, name)) = other {
        let (p, r) = made_up(other, 4, 2, 5);
        cases.push((name, p, r));
    }
    for (what, p, r) in cases {
        let error = crate::error(metric.update(&p, &r), what);
        assert!(
            error.code() == ErrorCode::Data,
            "{what}: expected an error of the data, found {error:?}"
        );
    }
    if metric.update(&predictions, &references).is_ok() {
        let after = metric.compute();
        let without = bench.scores(&predictions, &references);
        same(
            "after wrong batches",
            &after,
            &crate::ok(without, "a batch of four"),
        );
    }
}

#[track_caller]
fn same(what: &str, found: &Result<Scores>, expected: &Scores) {
    let found = match found {
        Ok(found) => found,
        Err(error) => panic!("{what}: {error:?}"),
    };
    let names = |scores: &Scores| -> Vec<String> {
        let all = scores.as_slice().iter();
        all.map(|score| score.name.clone()).collect()
    };
    assert_eq!(names(found), names(expected), "names of scores: {what}");
    for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
        assert!(
            close(found.value, expected.value, 1e-9),
            "{what}: `{}` is {} instead of {}",
            found.name,
            found.value,
            expected.value
        );
    }
}
