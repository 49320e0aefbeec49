//! The update at one linear layer: equal to `peft`'s, whose outputs, gradients and merged weights
//! are frozen in `tests/fixtures/peft/sites.safetensors`; and its dropout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tenon_lora::Lora;
use tenon_plugin_api::host::BuildHost as _;
use tenon_plugin_api::peft::prelude::*;
use tenon_testkit::model::Weights;
use tenon_testkit::peft::{Attached, attach};

/// Relative to the largest element of the tensor.
const TOLERANCE: f64 = 1e-5;

/// A layer and the adapter on it.
#[derive(Deserialize)]
struct Case {
    config: Map<String, Value>,
    transposed: bool,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/fixtures/peft")
        .join(name)
}

/// What `peft` computed, by `CASE.NAME`.
fn frozen() -> BTreeMap<String, Tensor> {
    let file = Tensor::read_safetensors(fixture("sites.safetensors"));
    file.expect("a fixture").into_iter().collect()
}

fn cases() -> BTreeMap<String, Case> {
    let text = std::fs::read_to_string(fixture("sites.json")).expect("a fixture");
    serde_json::from_str(&text).expect("cases")
}

/// A model that is one linear layer.
fn layer(weight: &Tensor, bias: Option<&Tensor>, transposed: bool) -> Weights {
    let mut model = Weights::seeded(0);
    let mut tensors = TensorMap::new();
    for (end, tensor) in [("weight", Some(weight)), ("bias", bias)] {
        if let Some(tensor) = tensor {
            let name = format!("layer.{end}");
            model = model.with(&name, tensor.detach().copy());
            let shared = model.param(&name, &tensor.size(), Init::Zeros, false);
            tensors.insert(end, shared.expect("given"));
        }
    }
    let (first, second) = weight.size2().expect("a matrix");
    let (in_features, out_features) = match transposed {
        true => (first, second),
        false => (second, first),
    };
    let site = SiteInfo {
        name: "layer".to_owned(),
        role: "dense".to_owned(),
        kind: SiteKind::Linear,
        layer: None,
        in_features,
        out_features,
        transposed,
    };
    drop(model.site(site, tensors).expect("the only site"));
    model
}

/// LoRA on the only layer of a model.
fn attached(options: Value, model: &Weights) -> Attached {
    let mut method = tenon_testkit::peft::<Lora>(options);
    let plan = tenon_testkit::ok(method.plan(&model.view("one-layer")), "planning");
    assert_eq!(plan.sites, ["layer"]);
    attach(&mut method, model, "layer", 1)
}

/// Gives a parameter of the attachment its value.
fn set(attached: &Attached, end: &str, value: &Tensor) {
    let mut parameter = parameter(attached, end);
    tch::no_grad(|| parameter.copy_(value));
}

fn parameter(attached: &Attached, end: &str) -> Tensor {
    let name = format!("layer.{end}");
    let mut parameters = attached.parameters.iter();
    let found = parameters.find(|(known, _)| *known == name);
    found.expect("a parameter").1.shallow_clone()
}

#[track_caller]
fn close(what: &str, found: &Tensor, expected: &Tensor) {
    let difference = tenon_testkit::model::largest_difference(found, expected);
    let scale = expected.abs().max().double_value(&[]);
    assert!(
        difference <= TOLERANCE * scale,
        "{what}: differs by {difference:e} of {scale:e}"
    );
}

#[test]
fn layers_compute_what_those_of_peft_do() {
    let (frozen, cases) = (frozen(), cases());
    assert_eq!(cases.len(), 7);
    for (name, case) in cases {
        let of = |key: &str| &frozen[&format!("{name}.{key}")];
        let bias = frozen.get(&format!("{name}.bias"));
        let model = layer(of("weight"), bias, case.transposed);
        let options = Lora::import(&case.config).expect("offered");
        let attached = attached(options.into(), &model);
        for matrix in ["lora_A", "lora_B"] {
            set(&attached, &format!("{matrix}.weight"), of(matrix));
        }

        let input = of("input").copy().set_requires_grad(true);
        let output = attached.forward(&input, &Forward::new(false, 1));
        let output = tenon_testkit::ok(output, &name);
        close(&format!("{name}: output"), &output, of("output"));
        (output * of("upstream")).sum(Kind::Float).backward();
        close(
            &format!("{name}: gradient"),
            &input.grad(),
            of("grad.input"),
        );
        for matrix in ["lora_A", "lora_B"] {
            let gradient = parameter(&attached, &format!("{matrix}.weight")).grad();
            close(
                &format!("{name}: {matrix}"),
                &gradient,
                of(&format!("grad.{matrix}")),
            );
        }

        let delta = tenon_testkit::ok(attached.handle.delta(), &name).expect("it merges");
        let delta = delta.require("weight").expect("of the weight");
        assert_eq!(delta.kind(), Kind::Float, "{name}");
        close(
            &format!("{name}: merged"),
            &(of("weight") + delta),
            of("merged"),
        );
    }
}

/// With `A` and `B` the identity and no bias, what is added to the output is `s · dropout(x)`.
fn identity(p: f64, lora_alpha: f64) -> Attached {
    let eye = Tensor::eye(WIDTH, (Kind::Float, Device::Cpu));
    let model = layer(&eye.zeros_like(), None, false);
    let options = json!({
        "target_sites": "layer", "r": WIDTH, "lora_alpha": lora_alpha, "lora_dropout": p
    });
    let attached = attached(options, &model);
    set(&attached, "lora_A.weight", &eye);
    set(&attached, "lora_B.weight", &eye);
    attached
}

const WIDTH: i64 = 64;
const ROWS: i64 = 1000;

fn ones() -> Tensor {
    Tensor::ones([ROWS, WIDTH], (Kind::Float, Device::Cpu))
}

fn run(attached: &Attached, input: &Tensor, training: bool, seed: u64) -> Tensor {
    let out = attached.forward(input, &Forward::new(training, seed));
    tenon_testkit::ok(out, "forward").detach()
}

#[test]
fn dropout_drops_its_share_and_scales_the_rest() {
    for p in [0.1, 0.5, 0.9] {
        // the scale of the update is 2
        let attached = identity(p, 2.0 * WIDTH as f64);
        let out = run(&attached, &ones(), true, 3);
        let kept = 2.0 / (1.0 - p);
        let dropped = out.eq(0.0);
        let others = out.masked_select(&dropped.logical_not());
        close("what is kept", &others, &others.full_like(kept));

        let count = (ROWS * WIDTH) as f64;
        let share = dropped.sum(Kind::Int64).double_value(&[]) / count;
        let deviation = (p * (1.0 - p) / count).sqrt();
        assert!(
            (share - p).abs() < 4.0 * deviation,
            "dropped {share} of the elements, expected {p} ± {deviation}"
        );
        // and no row or column more than another
        for dim in [0, 1] {
            let other = [ROWS, WIDTH][1 - dim];
            let shares = dropped.sum_dim_intlist([1 - dim as i64].as_slice(), false, Kind::Float);
            let furthest = (shares / other as f64 - p).abs().max().double_value(&[]);
            let deviation = (p * (1.0 - p) / other as f64).sqrt();
            assert!(
                furthest < 6.0 * deviation,
                "p = {p}, dimension {dim}: a share is {furthest} from {p}"
            );
        }
    }
}

#[test]
fn dropout_is_a_function_of_the_seed_and_off_in_evaluation() {
    let attached = identity(0.5, WIDTH as f64);
    let train = |seed| run(&attached, &ones(), true, seed);
    assert_eq!(train(7), train(7));
    let same = train(7)
        .eq_tensor(&train(8))
        .to_kind(Kind::Float)
        .mean(Kind::Float);
    let same = same.double_value(&[]);
    assert!(
        (same - 0.5).abs() < 0.02,
        "two seeds agree on {same} of the elements"
    );
    assert_eq!(run(&attached, &ones(), false, 7), ones());
}

/// The backward pass sees the input with the mask of the forward pass.
#[test]
fn gradients_pass_the_same_mask() {
    let attached = identity(0.5, WIDTH as f64);
    let input = ones().set_requires_grad(true);
    let out = attached.forward(&input, &Forward::new(true, 9));
    let out = tenon_testkit::ok(out, "forward");
    out.sum(Kind::Float).backward();
    // y = x · mask, so ∂y/∂x = mask = y where x is one
    assert_eq!(input.grad(), out.detach());
    // ∂(sum y)/∂A[r, i] = Σ over rows of x · mask, for each r alike
    let expected = out
        .detach()
        .sum_dim_intlist([0_i64].as_slice(), false, Kind::Float);
    let gradient = parameter(&attached, "lora_A.weight").grad();
    close("lora_A", &gradient, &expected.expand([WIDTH, WIDTH], false));
}

#[test]
fn conformance() {
    tenon_testkit::conformance::peft::<Lora>();
    tenon_testkit::conformance::peft_with::<Lora>(json!({
        "r": 3, "lora_alpha": 16, "lora_dropout": 0.2, "use_rslora": true, "bias": "lora_only",
        "target_sites": "all-linear", "rank_pattern": {"query": 2}
    }));
}
