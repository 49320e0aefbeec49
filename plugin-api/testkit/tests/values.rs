//! Columns of values as metrics read them, and work that is shared among threads.

use std::ops::Range;

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services::parallel_chunks;
use tenon_testkit::columns::pick;

#[test]
fn answers_carry_scores_through_cuts() -> Result<()> {
    let answers = Values::text_with_scores(["Paris", "", "Überall"], vec![0.125, 0.75, 0.5])?;
    let truths = Values::texts([vec!["paris", "Paris, France"], vec![], vec!["nowhere"]]);
    let cut = (pick(&answers, [1, 2]), pick(&truths, [1, 2]));
    let pairs = Pairs::<Answer>::new(&cut.0, &cut.1)?;
    let read: Vec<_> = pairs
        .iter()
        .map(|(answer, truths)| (answer.text, answer.scores, truths.count()))
        .collect();
    assert_eq!(read, [("", &[0.75][..], 0), ("Überall", &[0.5][..], 1)]);
    assert_eq!(pairs.classes(), 1);

    // What reads plain text reads it too, and a text without scores has none.
    assert_eq!(Pairs::<Text>::new(&cut.0, &cut.1)?.get(1).0, "Überall");
    let plain = Pairs::<Answer>::new(&truths, &truths)?;
    assert_eq!(plain.get(0).0.scores, &[] as &[f64]);
    Ok(())
}

#[test]
fn scores_must_divide_among_texts() {
    let error = Values::text_with_scores(["a", "b"], vec![0.5; 3]).expect_err("three for two");
    assert_eq!(error.message(), "3 scores do not divide among 2 examples");
    let mut numbers = Values::new(ValueKind::Numbers);
    numbers.push_numbers(&[1.0, 2.0]);
    assert!(numbers.set_scores(vec![0.5]).is_err());
}

#[test]
fn scores_that_went_missing_are_a_broken_column() -> Result<()> {
    let mut answers = Values::text_with_scores(["a"], vec![0.5])?;
    answers.push_text("one without a score");
    let error = answers.validate().expect_err("one score for two texts");
    assert_eq!(error.message(), "text values with broken scores");
    Ok(())
}

#[test]
fn sequences_of_numbers_are_read_whole() -> Result<()> {
    let (mut sums, mut nothing) = (
        Values::new(ValueKind::Numbers),
        Values::new(ValueKind::Numbers),
    );
    for numbers in [&[1.5, 2.0][..], &[], &[0.25]] {
        sums.push_numbers(numbers);
        nothing.push_numbers(&[]);
    }
    let pairs = Pairs::<NumberList>::new(&sums, &nothing)?;
    let read: Vec<_> = pairs.iter().map(|(numbers, _)| numbers.to_vec()).collect();
    assert_eq!(read, [vec![1.5, 2.0], vec![], vec![0.25]]);
    Ok(())
}

#[test]
fn stretches_come_back_in_order_whatever_the_threads() {
    let recorder = tenon_testkit::services::record();
    let stretches: Vec<Range<usize>> = parallel_chunks(10, 4, |range| range);
    assert_eq!(stretches, [0..4, 4..8, 8..10]);
    assert!(recorder.take_threads() > 1, "the host's threads were used");
    assert!(parallel_chunks(0, 4, |range| range).is_empty());
    assert_eq!(parallel_chunks(3, 0, |range| range.len()), [1, 1, 1]);
}
