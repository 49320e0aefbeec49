//! Cross-entropy against libtorch's, in value and gradient.

mod draws;

use draws::draw;
use tch::{Device, Kind, Reduction, Tensor};
use tenon_nn::{cross_entropy, token_loss};
use tenon_plugin_api::tensor::TensorMap;

/// The fused loss and its gradient equal libtorch's in float64.
fn check(rows: i64, classes: i64, smoothing: f64, scale: f64, labels: &[i64]) {
    let logits = draw(&[rows, classes], Kind::Float) * scale;
    let labels = Tensor::from_slice(labels);
    let fused = logits.copy().set_requires_grad(true);
    let reference = logits.to_kind(Kind::Double).set_requires_grad(true);
    let (sum, weight) = cross_entropy(&fused, &labels, smoothing).expect("a loss");
    let expected =
        reference.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Sum, -100, smoothing);
    (&sum * 0.25).backward();
    (&expected * 0.25).backward();
    let counted = labels.not_equal(-100).sum(Kind::Int64).double_value(&[]);
    assert_eq!(weight, counted);
    close("loss", &sum, &expected);
    close("gradient", &fused.grad(), &reference.grad());
}

fn close(what: &str, found: &Tensor, expected: &Tensor) {
    let scale = expected.abs().max().double_value(&[]).max(1e-30);
    let difference = (found.to_kind(Kind::Double) - expected).abs().max();
    let difference = difference.double_value(&[]);
    assert!(
        difference <= 2e-6 * scale,
        "{what} differs by {difference:e} of {scale:e}"
    );
}

#[test]
fn equals_libtorch_with_and_without_smoothing_and_ignored_rows() {
    for smoothing in [0.0, 0.1, 1.0] {
        check(4, 5, smoothing, 1.0, &[0, -100, 4, 2]);
        check(3, 1037, smoothing, 4.0, &[1036, 17, -100]);
        check(2, 50257, smoothing, 30.0, &[50256, 3]);
        check(1, 16, smoothing, 1.0, &[-100]);
    }
}

/// Other kinds go through libtorch, in float32 at least.
#[test]
fn half_precision_is_summed_in_float() {
    let logits = draw(&[8, 4000], Kind::BFloat16);
    let labels = Tensor::arange(8, (Kind::Int64, Device::Cpu));
    let (sum, _) = cross_entropy(&logits, &labels, 0.1).expect("a loss");
    let (expected, _) = cross_entropy(&logits.to_kind(Kind::Double), &labels, 0.1).expect("a loss");
    assert_eq!(sum.kind(), Kind::Float);
    close("loss", &sum, &expected);
}

#[test]
fn labels_that_are_no_class_and_shapes_that_do_not_fit_are_errors() {
    let logits = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
    for (labels, smoothing, named) in [
        (vec![0, 3], 0.0, "label 3 of row 1"),
        (vec![-1, 0], 0.0, "label -1 of row 0"),
        (vec![0], 0.0, "[2, 3] and [1]"),
        (vec![0, 1], 1.5, "1.5"),
    ] {
        let error = cross_entropy(&logits, &Tensor::from_slice(&labels), smoothing);
        let error = error.expect_err("an error").to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn the_loss_does_not_depend_on_the_number_of_threads() {
    let logits = draw(&[37, 501], Kind::Float);
    let labels = Tensor::arange(37, (Kind::Int64, Device::Cpu));
    let loss = |threads| {
        tch::set_num_threads(threads);
        let logits = logits.copy().set_requires_grad(true);
        let (sum, _) = cross_entropy(&logits, &labels, 0.1).expect("a loss");
        sum.backward();
        (sum.double_value(&[]), logits.grad())
    };
    assert_eq!(loss(1), loss(2));
}

/// Models give logits where labels count, or everywhere: the loss is the same.
#[test]
fn token_losses_select_the_labels_that_count() {
    let logits = draw(&[2, 3, 7], Kind::Float);
    let labels = Tensor::from_slice2(&[[1_i64, -100, 6], [-100, -100, 0]]);
    let batch = || TensorMap::new().with("labels", labels.shallow_clone());
    let places = Tensor::from_slice(&[0_i64, 2, 5]);
    let some = logits.reshape([6, 7]).index_select(0, &places);
    let everywhere = TensorMap::new().with("logits", logits.shallow_clone());
    let there = TensorMap::new().with("logits", some.shallow_clone());
    let expected = some
        .cross_entropy_loss::<Tensor>(
            &Tensor::from_slice(&[1_i64, 6, 0]),
            None,
            Reduction::Sum,
            -100,
            0.1,
        )
        .double_value(&[]);
    for outputs in [&everywhere, &there] {
        let loss = token_loss(outputs, &batch(), 0.1).expect("a loss");
        assert_eq!(loss.weight, 3.0);
        assert!((loss.sum.double_value(&[]) - expected).abs() < 1e-5 * expected);
    }
    let two = TensorMap::new().with("logits", some.narrow(0, 0, 2));
    let error = token_loss(&two, &batch(), 0.0).expect_err("a row is missing");
    assert!(error.to_string().contains("expected [3, vocab]"), "{error}");
}
