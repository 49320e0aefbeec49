//! AdamW over the trainable parameters: state, weight-decay groups, the step.

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor};
use tenon_nn::optim::{self, AdamW, Group};

use crate::weights::Weights;

/// A trainable parameter with its optimizer state.
pub struct Slot {
    /// Name of the parameter.
    pub name: String,
    /// The parameter.
    pub param: Tensor,
    decay: bool,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    step: Tensor,
}

/// AdamW (Loshchilov and Hutter 2019) with one fused kernel call a group.
///
/// Matrices decay; vectors and scalars (biases, norms) do not, as in `transformers`.
pub struct Optimizer {
    slots: Vec<Slot>,
}

impl Optimizer {
    /// An optimizer over `params`, with empty state.
    ///
    /// # Errors
    /// Memory for the state runs out.
    pub fn new(params: Vec<(String, Tensor)>) -> Result<Self> {
        let slot = |(name, param): (String, Tensor)| -> Result<Slot> {
            Ok(Slot {
                decay: param.dim() >= 2,
                exp_avg: param.f_zeros_like()?,
                exp_avg_sq: param.f_zeros_like()?,
                step: Tensor::f_zeros([], (Kind::Float, param.device()))?,
                name,
                param,
            })
        };
        Ok(Self {
            slots: params.into_iter().map(slot).collect::<Result<_>>()?,
        })
    }

    /// The parameters with their state.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The parameters, to be changed in place.
    pub fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    /// Forgets the gradients. A parameter that a step does not use then has none in it, and is left
    /// alone, whether or not it was used in the steps before.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn forget_grads(&self) -> Result<()> {
        let params: Vec<_> = self.slots.iter().map(|slot| &slot.param).collect();
        Ok(optim::forget_grads(&params)?)
    }

    /// Divides all gradients by `weight`.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn normalise(&self, weight: f64) -> Result<()> {
        for mut grad in self.grads() {
            let _ = grad.f_div_scalar_(weight)?;
        }
        Ok(())
    }

    /// Clips the gradients' common norm to `max_norm`, if given; returns the norm before.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn clip(&self, max_norm: Option<f64>) -> Result<Tensor> {
        let grads = self.grads();
        let grads: Vec<_> = grads.iter().collect();
        Ok(match max_norm {
            Some(max_norm) => optim::clip_grad_norm(&grads, max_norm)?,
            None => optim::grad_norm(&grads)?,
        })
    }

    /// One step. `rule` holds the weight decay of the group that decays.
    ///
    /// # Errors
    /// libtorch refuses.
    pub fn step(&self, rule: AdamW) -> Result<()> {
        for decay in [true, false] {
            let slots = self
                .slots
                .iter()
                .filter(|slot| slot.decay == decay && slot.param.grad().defined());
            let grads: Vec<_> = slots.clone().map(|slot| slot.param.grad()).collect();
            let mut group = Group {
                grads: grads.iter().collect(),
                ..Group::default()
            };
            for slot in slots {
                group.params.push(&slot.param);
                group.exp_avgs.push(&slot.exp_avg);
                group.exp_avg_sqs.push(&slot.exp_avg_sq);
                group.steps.push(&slot.step);
            }
            let weight_decay = if decay { rule.weight_decay } else { 0.0 };
            AdamW {
                weight_decay,
                ..rule
            }
            .step(&group)?;
        }
        Ok(())
    }

    /// The state by name, for a checkpoint.
    pub fn state(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.slots.iter().flat_map(|slot| {
            let parts = [
                ("exp_avg", &slot.exp_avg),
                ("exp_avg_sq", &slot.exp_avg_sq),
                ("step", &slot.step),
            ];
            parts.map(|(part, tensor)| (format!("{}.{part}", slot.name), tensor))
        })
    }

    /// Takes the state of a checkpoint over.
    ///
    /// # Errors
    /// The state is of other parameters.
    pub fn load(&mut self, weights: &mut Weights) -> Result<()> {
        for slot in &mut self.slots {
            let parts = [
                ("exp_avg", &mut slot.exp_avg),
                ("exp_avg_sq", &mut slot.exp_avg_sq),
                ("step", &mut slot.step),
            ];
            for (part, tensor) in parts {
                let name = format!("{}.{part}", slot.name);
                weights
                    .load(&name, tensor)
                    .context("restoring the optimizer")?;
            }
        }
        let unused = weights.unused();
        ensure!(
            unused.is_empty(),
            "the optimizer's state has {} tensors too many: {}",
            unused.len(),
            unused[0]
        );
        Ok(())
    }

    fn grads(&self) -> Vec<Tensor> {
        self.slots
            .iter()
            .map(|slot| slot.param.grad())
            .filter(Tensor::defined)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A resumed run has no gradients of the steps before it, so these must not matter.
    #[test]
    fn a_parameter_that_a_step_does_not_use_is_left_alone() {
        let device = tch::Device::Cpu;
        let param = |name: &str| {
            let values = Tensor::ones([2, 2], (Kind::Float, device));
            (name.to_owned(), values.set_requires_grad(true))
        };
        let optimizer = Optimizer::new(vec![param("always"), param("once")]).expect("slots");
        let rule = AdamW {
            learning_rate: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            weight_decay: 0.1,
            eps: 1e-8,
        };
        let [always, once] = optimizer.slots() else {
            panic!("two slots");
        };
        let mut values = Vec::new();
        for loss in [&always.param + &once.param, &always.param * 2.0] {
            optimizer.forget_grads().expect("forgotten");
            loss.sum(Kind::Float).backward();
            tch::no_grad(|| optimizer.step(rule)).expect("a step");
            values.push([always, once].map(|slot| slot.param.double_value(&[0, 0])));
        }
        assert!(values[1][0] < values[0][0], "{values:?}");
        assert_eq!(values[1][1].to_bits(), values[0][1].to_bits(), "{values:?}");
        assert!(values[0][1] < 1.0, "{values:?}");
    }
}
