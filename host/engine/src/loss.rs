//! The loss as the log tells it: means over steps, which a checkpoint carries on.

use anyhow::Result;
use tch::{Kind, Tensor};

use crate::checkpoint::{self, State};

/// Sums losses on their device, so that no step waits for it.
pub struct LossMeter {
    window: Tensor,
    window_steps: u64,
    total: Tensor,
}

impl LossMeter {
    /// On `device`, from where a checkpoint stands.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn new(device: tch::Device, state: &State) -> Result<Self> {
        let scalar = |value: f64| Tensor::f_full([], value, (Kind::Double, device));
        Ok(Self {
            window: scalar(state.loss.window)?,
            window_steps: state.loss.window_steps,
            total: scalar(state.loss.total)?,
        })
    }

    /// Adds a step's summed loss, which is to be divided by `weight`.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn add(&mut self, sum: &Tensor, weight: f64) -> Result<()> {
        let mean = sum.f_to_kind(Kind::Double)?.f_div_scalar(weight)?;
        self.window = self.window.f_add(&mean)?;
        self.total = self.total.f_add(&mean)?;
        self.window_steps += 1;
        Ok(())
    }

    /// The mean of the steps since the last call.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn take(&mut self) -> Result<f64> {
        let mean = self.window.f_double_value(&[])? / self.window_steps.max(1) as f64;
        self.window = self.window.f_zeros_like()?;
        self.window_steps = 0;
        Ok(mean)
    }

    /// The mean of all `steps` of the run.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn mean(&self, steps: u64) -> Result<f64> {
        Ok(self.total.f_double_value(&[])? / steps.max(1) as f64)
    }

    /// Puts the sums into the state of a checkpoint.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn store(&self, state: &mut State) -> Result<()> {
        state.loss = checkpoint::LossSums {
            window: self.window.f_double_value(&[])?,
            window_steps: self.window_steps,
            total: self.total.f_double_value(&[])?,
        };
        Ok(())
    }
}
