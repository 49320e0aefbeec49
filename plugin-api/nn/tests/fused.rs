//! The fused kernels against the same computation by libtorch's operations, and the masks of dropout.

mod draws;

use tch::{Device, Kind, Tensor};
use tenon_nn::{
    Activation, Attention, Dropout, LayerNorm, Linear, Packing, RmsNorm, Rotary, Scaling, Sight,
    Spans,
};

fn random(shape: &[i64]) -> Tensor {
    draws::draw(shape, Kind::Float)
}

/// Asserts that outputs and gradients in float32 (fused) equal those in float64 (libtorch's operations).
fn check(inputs: &[Tensor], compute: impl Fn(&[Tensor]) -> Tensor) {
    let leaves = |kind: Kind| -> Vec<Tensor> {
        inputs
            .iter()
            .map(|x| x.to_kind(kind).copy().set_requires_grad(true))
            .collect()
    };
    let (fused, reference) = (leaves(Kind::Float), leaves(Kind::Double));
    let (y, expected) = (compute(&fused), compute(&reference));
    let slope = random(&y.size());
    (&y * &slope).sum(Kind::Float).backward();
    (&expected * slope.to_kind(Kind::Double))
        .sum(Kind::Double)
        .backward();
    close("output", &y, &expected);
    for (number, (x, expected)) in fused.iter().zip(&reference).enumerate() {
        close(&format!("gradient {number}"), &x.grad(), &expected.grad());
    }
}

fn close(what: &str, found: &Tensor, expected: &Tensor) {
    let scale = expected.abs().max().double_value(&[]);
    let difference = (found.to_kind(Kind::Double) - expected)
        .abs()
        .max()
        .double_value(&[]);
    assert!(
        difference <= 1e-5 * scale,
        "{what} differs by {difference:e} of {scale:e}"
    );
}

#[test]
fn linear_layers_equal_libtorch_in_shapes_that_either_library_serves() {
    for (shape, depth, width) in [
        (vec![64], 48, 33),
        (vec![2, 64], 96, 64),
        (vec![65], 48, 40),
        (vec![128], 40, 2),
    ] {
        let input: Vec<i64> = shape.iter().copied().chain([depth]).collect();
        let inputs = [random(&input), random(&[width, depth]), random(&[width])];
        let layer = |x: &[Tensor], bias: Option<usize>| {
            let layer = Linear {
                weight: x[1].shallow_clone(),
                bias: bias.map(|bias| x[bias].shallow_clone()),
            };
            layer.forward(&x[0]).expect("a product")
        };
        check(&inputs, |x| layer(x, Some(2)));
        check(&inputs[..2], |x| layer(x, None));
    }
}

/// Columns of a wider matrix are read where they lie, by whichever library.
#[test]
fn linear_layers_read_inputs_whose_rows_lie_apart() {
    check(&[random(&[64, 96]), random(&[40, 48])], |x| {
        let layer = Linear {
            weight: x[1].shallow_clone(),
            bias: None,
        };
        layer.forward(&x[0].narrow(1, 16, 48)).expect("a product")
    });
}

#[test]
fn filler_behind_packed_tokens_changes_nothing() {
    let mask = Tensor::from_slice2(&[[1_i64, 1, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0]]);
    let packing = Packing::from_mask(&mask).expect("a packing");
    let spans = packing.spans();
    assert_eq!(spans.tokens(), 6);
    assert!(spans.rows() == 6 || spans.rows() == 64, "{}", spans.rows());
    assert_eq!(packing.columns().expect("columns").size(), [spans.rows()]);
    let exact = Spans::from_lengths(&[3, 1, 2]);
    let attend = |spans: &Spans, x: &Tensor| {
        let attention = Attention::new(spans, spans, 2, 0.5);
        attention.forward(x, x, x).expect("attention")
    };
    let padded = random(&[3, 4, 8]).set_requires_grad(true);
    let packed = packing.pack(&padded).expect("packed");
    let attended = attend(spans, &packed);
    assert_eq!(attended.size(), [spans.rows(), 8]);
    let out = packing.unpack(&attended).expect("unpacked");
    let again = packing.pack(&padded).expect("packed").narrow(0, 0, 6);
    let expected = attend(&exact, &again);
    let slope = random(&[3, 4, 8]);
    (&out * &slope).sum(Kind::Float).backward();
    let found = padded.grad().copy();
    let _ = padded.grad().zero_();
    let back = packing.pack(&slope).expect("packed").narrow(0, 0, 6);
    (&expected * back).sum(Kind::Float).backward();
    close(
        "context",
        &attended.narrow(0, 0, 6),
        &expected.to_kind(Kind::Double),
    );
    close("gradient", &found, &padded.grad().to_kind(Kind::Double));
    assert_eq!(
        spans
            .unpad(&spans.pad(&attended).expect("padded"))
            .expect("packed"),
        attended
    );
}

#[test]
fn attention_equals_libtorch() {
    // more than one block of queries, sizes that fill no vector, cross-attention
    for (queries, keys, heads, dim) in [
        (vec![3, 1, 17], vec![3, 1, 17], 2, 8),
        (vec![70, 130], vec![70, 130], 1, 32),
        (vec![1, 1, 1], vec![5, 33, 2], 3, 20),
    ] {
        let (queries, keys) = (Spans::from_lengths(&queries), Spans::from_lengths(&keys));
        let attention = Attention::new(&queries, &keys, heads, (dim as f64).powf(-0.5));
        let [q, k, v] =
            [queries.tokens(), keys.tokens(), keys.tokens()].map(|n| random(&[n, heads * dim]));
        check(&[q, k, v], |x| {
            attention.forward(&x[0], &x[1], &x[2]).expect("attention")
        });
    }
}

/// What precedes, windows, keys before the first query, groups of heads, and a bias that is longer than needed.
#[test]
fn attention_that_sees_a_part_equals_libtorch() {
    let same = vec![3, 1, 17, 90];
    let longer = vec![5, 1, 20, 200];
    for (keys, heads, kv_heads, sight, biased) in [
        (&same, 2, 2, Sight::Before, false),
        (&same, 6, 2, Sight::Before, true),
        (&longer, 4, 1, Sight::Before, true),
        (&same, 2, 2, Sight::Window(2), false),
        (&longer, 2, 1, Sight::Window(40), true),
        (&longer, 6, 3, Sight::All, true),
        (&same, 3, 1, Sight::All, false),
    ] {
        let (queries, keys) = (Spans::from_lengths(&same), Spans::from_lengths(keys));
        let dim = 20;
        let mut inputs = vec![
            random(&[queries.tokens(), heads * dim]),
            random(&[keys.tokens(), kv_heads * dim]),
            random(&[keys.tokens(), kv_heads * dim]),
        ];
        if biased {
            inputs.push(random(&[heads, 91, 203]));
        }
        check(&inputs, |x| {
            let attention = Attention {
                kv_heads,
                sight,
                bias: x.get(3),
                ..Attention::new(&queries, &keys, heads, 0.3)
            };
            attention.forward(&x[0], &x[1], &x[2]).expect("attention")
        });
    }
}

/// Dropout falls on the same elements whether others are seen or not, and in both passes.
#[test]
fn causal_attention_drops_like_the_composed_one() {
    let spans = Spans::from_lengths(&[70, 20]);
    let inputs = [&[90, 32], &[90, 16], &[90, 16]].map(|shape| random(shape));
    let attend = |x: &[Tensor]| {
        let attention = Attention {
            kv_heads: 1,
            sight: Sight::Before,
            dropout: Dropout::new(0.3, 5),
            ..Attention::new(&spans, &spans, 2, 0.3)
        };
        attention.forward(&x[0], &x[1], &x[2]).expect("attention")
    };
    // linear in v: the gradient's inner product with v is the output's
    let leaves = inputs.map(|x| x.set_requires_grad(true));
    let y = attend(&leaves);
    let slope = random(&y.size());
    let total = (&y * &slope).sum(Kind::Double);
    (&y * &slope).sum(Kind::Float).backward();
    let inner = (leaves[2].grad() * &leaves[2]).sum(Kind::Double);
    let (total, inner) = (total.double_value(&[]), inner.double_value(&[]));
    assert!(
        (total - inner).abs() < 1e-4 * total.abs().max(1.0),
        "{total}, {inner}"
    );
    // and its gradient by the queries is that of differences
    let nudge = random(&leaves[0].size());
    let at = |step: f64| {
        let moved = tch::no_grad(|| {
            attend(&[
                &leaves[0] + &nudge * step,
                leaves[1].copy(),
                leaves[2].copy(),
            ])
        });
        (moved * &slope).sum(Kind::Double).double_value(&[])
    };
    let slope_found = (leaves[0].grad() * &nudge)
        .sum(Kind::Double)
        .double_value(&[]);
    let slope_expected = (at(1e-2) - at(-1e-2)) / 2e-2;
    assert!(
        (slope_found - slope_expected).abs() < 1e-2 * slope_expected.abs().max(1.0),
        "{slope_found}, {slope_expected}"
    );
}

#[test]
fn residual_norm_equals_libtorch_with_the_same_mask() {
    for (rows, hidden, p) in [(5, 384, 0.0), (70, 40, 0.1), (33, 7, 0.5)] {
        let inputs = [
            random(&[rows, hidden]),
            random(&[rows, hidden]),
            random(&[hidden]),
            random(&[hidden]),
        ];
        let dropout = if p > 0.0 {
            Dropout::new(p, 3)
        } else {
            Dropout::OFF
        };
        check(&inputs, |x| {
            let norm = LayerNorm {
                weight: x[2].shallow_clone(),
                bias: x[3].shallow_clone(),
                eps: 1e-5,
            };
            norm.residual(&x[0], &x[1], dropout).expect("a norm")
        });
    }
}

/// With v = 1 and keys that all score alike, each row of the context is the mean of its mask.
#[test]
fn attention_drops_probabilities_and_its_gradient_knows_which() {
    let spans = Spans::from_lengths(&[200]);
    let zeros = Tensor::zeros([200, 16], (Kind::Float, Device::Cpu));
    let ones = Tensor::ones([200, 16], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let attention = Attention {
        dropout: Dropout::new(0.25, 9),
        ..Attention::new(&spans, &spans, 1, 1.0)
    };
    let y = attention.forward(&zeros, &zeros, &ones).expect("attention");
    let mean = y.mean(Kind::Float).double_value(&[]);
    assert!((mean - 1.0).abs() < 0.02, "{mean}");
    assert!(y.std(false).double_value(&[]) > 0.01, "nothing was dropped");
    y.sum(Kind::Float).backward();
    // linear in v: the gradient's inner product with v is the output's sum
    let inner = (ones.grad() * &ones).sum(Kind::Double).double_value(&[]);
    assert!(
        (inner / y.sum(Kind::Double).double_value(&[]) - 1.0).abs() < 1e-5,
        "{inner}"
    );
}

#[test]
fn masks_keep_their_share_and_do_not_repeat() {
    for p in [0.1, 0.5, 0.9] {
        let masks = [1, 2].map(|key| {
            Dropout::new(p, key)
                .mask(&[1000, 1000], Kind::Float)
                .expect("a mask")
        });
        let kept = masks
            .each_ref()
            .map(|mask| mask.gt(0.0).to_kind(Kind::Double));
        let deviation = (p * (1.0 - p)).sqrt() / 1000.0;
        for kept in &kept {
            let share = kept.mean(Kind::Double).double_value(&[]);
            assert!(
                (share - (1.0 - p)).abs() < 5.0 * deviation,
                "p {p}: kept {share}"
            );
        }
        let independent = |what: &str, a: &Tensor, b: &Tensor| {
            let both = (a * b).mean(Kind::Double).double_value(&[]);
            assert!(
                (both - (1.0 - p) * (1.0 - p)).abs() < 8.0 * deviation,
                "p {p}, {what}: {both}"
            );
        };
        independent("two keys", &kept[0], &kept[1]);
        independent(
            "neighbours",
            &kept[0].narrow(1, 0, 999),
            &kept[0].narrow(1, 1, 999),
        );
        independent(
            "rows",
            &kept[0].narrow(0, 0, 999),
            &kept[0].narrow(0, 1, 999),
        );
        let scale = masks[0].max().double_value(&[]);
        assert!(
            (scale - 1.0 / (1.0 - p)).abs() < 1e-5,
            "p {p}: scale {scale}"
        );
    }
}

#[test]
fn masks_do_not_depend_on_the_number_of_threads() {
    let draw = |threads| {
        tch::set_num_threads(threads);
        Dropout::new(0.3, 7)
            .mask(&[333, 257], Kind::Float)
            .expect("a mask")
    };
    assert_eq!(draw(1), draw(2));
    assert_eq!(draw(1), draw(5));
}

#[test]
fn rms_norm_equals_libtorch_in_rows_and_in_heads() {
    for (rows, heads, width) in [(5, 1, 384), (70, 3, 40), (33, 2, 7)] {
        let inputs = [random(&[rows, heads * width]), random(&[width])];
        check(&inputs, |x| {
            let norm = RmsNorm {
                weight: x[1].shallow_clone(),
                eps: 1e-5,
            };
            norm.forward(&x[0]).expect("a norm")
        });
    }
}

/// Also of queries that lie within a wider product.
#[test]
fn rotary_positions_equal_libtorch() {
    let rotary = Rotary::new(20, 10_000.0, Scaling::Default).expect("rotary positions");
    let positions = [0, 3, 77, 1, 2000, 5, 6];
    check(&[random(&[7, 100])], |x| {
        let turns = rotary.at(&positions, x[0].kind(), Device::Cpu);
        let turns = turns.expect("turns");
        turns.apply(&x[0].narrow(1, 10, 60)).expect("turned")
    });
    let turns = rotary
        .at(&positions, Kind::Float, Device::Cpu)
        .expect("turns");
    let error = turns.apply(&random(&[7, 30])).expect_err("half a head");
    assert!(error.to_string().contains("heads·20"), "{error}");
}

#[test]
fn activations_equal_libtorch_alone_and_as_gates() {
    use Activation::{GeluNew, QuickGelu, Relu, Silu};

    for activation in [Silu, GeluNew, QuickGelu, Relu] {
        let inputs = [random(&[70, 40]) * 9.0, random(&[70, 40])];
        check(&inputs, |x| activation.gated(&x[0], &x[1]).expect("gated"));
        check(&inputs[..1], |x| activation.forward(&x[0].tr()).expect("y"));
        for far in [
            [-200.0_f32, -88.0, 0.0, 88.0, 200.0],
            [-3e38, -1e20, 0.0, 1e20, 3e38],
        ] {
            check(&[Tensor::from_slice(&far)], |x| {
                activation.forward(&x[0]).expect("y")
            });
        }
        let nan = activation
            .forward(&Tensor::from_slice(&[f32::NAN]))
            .expect("y");
        assert!(nan.double_value(&[0]).is_nan());
    }
}
