//! The battery of PEFT methods.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenon_plugin_api::host::PeftHandle;
use tenon_plugin_api::info::{ModelView, Plan};
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::peft::Peft;

use super::declarations;
use crate::model::largest_difference;
use crate::peft::{Attached, attach, check_plan, stand_in};

/// Checks a method with its default options; see [`peft_with`].
///
/// # Panics
/// It does not pass.
#[track_caller]
pub fn peft<P: Peft>() {
    peft_with::<P>(json!({}));
}

/// Checks a method on the sites of a small BERT ([`stand_in`]): its declarations; that its plan
/// names what exists, in full and twice the same; and at each site of the plan, that the output
/// keeps its shape, that evaluation is deterministic and training is for a seed, that gradients
/// reach every parameter that it asked for, that these are named below the site, and that merging
/// gives what forward gives; that an adapter's configuration can be read back.
///
/// # Panics
/// It does not pass.
#[track_caller]
pub fn peft_with<P: Peft>(options: Value) {
    declarations::<P::Options>(P::ID, P::ABOUT);
    let model = stand_in(3);
    let view = model.view("bert");
    let mut peft = crate::peft::<P>(options.clone());
    let plan = crate::ok(peft.plan(&view), "planning");
    check_plan(&plan, &view);
    let again = crate::peft::<P>(options).plan(&view);
    assert_eq!(
        crate::ok(again, "planning again"),
        plan,
        "two plans of the same model"
    );
    assert!(
        !plan.sites.is_empty() || !plan.trainable.is_empty(),
        "`{}` plans nothing: neither a site nor a trainable parameter",
        P::ID
    );
    for site in &plan.sites {
        let attached = attach(&mut peft, &model, site, 7);
        at_site(&attached);
        names(&peft, &attached);
        merging(&attached);
    }
    adapter_folder::<P>(&peft, &view, &plan);
    crate::ok(peft.after_backward(1, 10), "after a backward pass");
    crate::ok(peft.extra_loss(&Forward::new(true, 1)), "the extra loss");
}

#[track_caller]
fn at_site(attached: &Attached) {
    let site = &attached.site.name;
    let input = attached.input(11);
    let run = |training, seed| {
        let forward = Forward::new(training, seed);
        crate::ok(attached.forward(&input, &forward), site)
    };
    assert_eq!(
        run(false, 1).size(),
        attached.base(&input).size(),
        "the shape of the output at `{site}`"
    );
    attached.disturb(13);
    let evaluated = largest_difference(&run(false, 1), &run(false, 2));
    assert!(
        evaluated == 0.0,
        "evaluation at `{site}` depends on the seed"
    );
    let trained = largest_difference(&run(true, 5), &run(true, 5));
    assert!(trained == 0.0, "training at `{site}` differs for one seed");

    run(true, 5).square().sum(None).backward();
    for (name, parameter) in &attached.parameters {
        let gradient = parameter.grad();
        assert!(
            gradient.defined() && gradient.abs().max().double_value(&[]) > 0.0,
            "no gradient reaches `{name}`"
        );
    }
}

#[track_caller]
fn names(peft: &PeftHandle, attached: &Attached) {
    let site = &attached.site.name;
    let mut in_file = BTreeSet::new();
    for (name, _) in &attached.parameters {
        assert!(
            name.starts_with(&format!("{site}.")),
            "the parameter `{name}` is not named below its site `{site}`"
        );
        let file = crate::ok(peft.file_name(name), name);
        assert!(
            in_file.insert(file.clone()),
            "two parameters are `{file}` in the adapter file"
        );
    }
}

#[track_caller]
fn merging(attached: &Attached) {
    let site = &attached.site.name;
    if let Some(error) = crate::ok(attached.merge_error(&attached.input(17)), site) {
        assert!(
            error < 1e-4,
            "merging at `{site}` changes the output by {error:e}"
        );
    }
}

/// What the method writes into `adapter_config.json` describes options that it takes, and a method
/// of these options plans the same.
#[track_caller]
fn adapter_folder<P: Peft>(peft: &PeftHandle, view: &ModelView, plan: &Plan) {
    let Some(config) = crate::ok(peft.adapter_config(view), "the adapter's configuration") else {
        return;
    };
    let kind = config.get("peft_type").and_then(Value::as_str);
    assert!(
        kind.is_some_and(|kind| P::PEFT_TYPES.contains(&kind)),
        "the adapter's `peft_type` is {kind:?}; the method reads {:?}",
        P::PEFT_TYPES
    );
    let options = P::import(&config);
    let options = crate::ok(options, "reading the adapter's configuration back");
    let mut read = crate::peft::<P>(Value::Object(options));
    let again = crate::ok(
        read.plan(view),
        "planning as the adapter's configuration says",
    );
    let sorted = |plan: &Plan| -> BTreeSet<String> { plan.sites.iter().cloned().collect() };
    assert_eq!(
        sorted(&again),
        sorted(plan),
        "sites of the method as its adapter's configuration describes it"
    );
}
