//! The optimizer's kernels over many tensors at once: one call a step, not one a parameter.
//!
//! The C++ side is `csrc/optim.cpp`.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use tch::{TchError, Tensor};

type Handles = Vec<*const c_void>;

unsafe extern "C" {
    fn tenon_nn_adamw(
        params: *const *const c_void,
        grads: *const *const c_void,
        exp_avgs: *const *const c_void,
        exp_avg_sqs: *const *const c_void,
        steps: *const *const c_void,
        count: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
    ) -> *mut c_char;
    fn tenon_nn_forget_grads(tensors: *const *const c_void, count: usize) -> *mut c_char;
    fn tenon_nn_grad_norm(
        grads: *const *const c_void,
        count: usize,
        norm: *mut *mut c_void,
    ) -> *mut c_char;
    fn tenon_nn_scale(
        tensors: *const *const c_void,
        count: usize,
        by: *const c_void,
    ) -> *mut c_char;
    fn free(pointer: *mut c_void);
}

/// AdamW's constants for a group of parameters (Loshchilov and Hutter 2019, algorithm 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the denominator.
    pub eps: f64,
}

/// The tensors of a group: parameters with their gradients and state, in the same order.
#[derive(Debug, Default)]
pub struct Group<'a> {
    /// Parameters, changed in place.
    pub params: Vec<&'a Tensor>,
    /// Their gradients.
    pub grads: Vec<&'a Tensor>,
    /// First moments, of the parameters' shapes; changed in place.
    pub exp_avgs: Vec<&'a Tensor>,
    /// Second moments, likewise.
    pub exp_avg_sqs: Vec<&'a Tensor>,
    /// Steps taken, float32 scalars; counted up.
    pub steps: Vec<&'a Tensor>,
}

impl AdamW {
    /// One step with libtorch's fused kernel, in place.
    ///
    /// # Errors
    /// Shapes, dtypes or devices do not fit each other.
    ///
    /// # Panics
    /// The lists of the group differ in length.
    pub fn step(&self, group: &Group<'_>) -> Result<(), TchError> {
        let count = group.params.len();
        let lists = [
            &group.grads,
            &group.exp_avgs,
            &group.exp_avg_sqs,
            &group.steps,
        ];
        assert!(
            lists.iter().all(|list| list.len() == count),
            "the lists of a group have one length"
        );
        if count == 0 {
            return Ok(());
        }
        let [params, grads, exp_avgs, exp_avg_sqs, steps] = [
            &group.params,
            &group.grads,
            &group.exp_avgs,
            &group.exp_avg_sqs,
            &group.steps,
        ]
        .map(|list| handles(list));
        // SAFETY: the handles are those of live tensors, five lists of `count`.
        let message = unsafe {
            tenon_nn_adamw(
                params.as_ptr(),
                grads.as_ptr(),
                exp_avgs.as_ptr(),
                exp_avg_sqs.as_ptr(),
                steps.as_ptr(),
                count,
                self.learning_rate,
                self.beta1,
                self.beta2,
                self.weight_decay,
                self.eps,
            )
        };
        check(message)
    }
}

/// Takes the gradients of leaf tensors away: they have none until the next backward pass. (Zeroing
/// would leave zeros, which an optimizer takes for gradients of 0 and steps on.)
///
/// # Errors
/// libtorch refuses.
pub fn forget_grads(params: &[&Tensor]) -> Result<(), TchError> {
    let handles = handles(params);
    // SAFETY: the handles are those of live tensors.
    check(unsafe { tenon_nn_forget_grads(handles.as_ptr(), handles.len()) })
}

/// The L2 norm of all gradients together, a scalar on their device.
///
/// # Errors
/// The gradients are on several devices.
pub fn grad_norm(grads: &[&Tensor]) -> Result<Tensor, TchError> {
    let handles = handles(grads);
    let mut norm = ptr::null_mut();
    // SAFETY: the handles are those of live tensors; `norm` is set when no message comes back.
    check(unsafe { tenon_nn_grad_norm(handles.as_ptr(), handles.len(), &raw mut norm) })?;
    // SAFETY: a new tensor that is ours.
    Ok(unsafe { Tensor::from_ptr(norm.cast()) })
}

/// Scales gradients so that their norm is at most `max_norm`, in place, without waiting for the device;
/// returns the norm before. The factor is `min(1, max_norm / (norm + 1e-6))`, as PyTorch's `clip_grad_norm_`.
///
/// # Errors
/// The gradients are on several devices.
pub fn clip_grad_norm(grads: &[&Tensor], max_norm: f64) -> Result<Tensor, TchError> {
    let norm = grad_norm(grads)?;
    let factor = norm
        .f_add_scalar(1e-6)?
        .f_reciprocal()?
        .f_mul_scalar(max_norm)?
        .f_clamp_max(1.0)?;
    let handles = handles(grads);
    // SAFETY: the handles are those of live tensors.
    check(unsafe { tenon_nn_scale(handles.as_ptr(), handles.len(), factor.as_ptr().cast()) })?;
    Ok(norm)
}

fn handles(tensors: &[&Tensor]) -> Handles {
    tensors
        .iter()
        .map(|tensor| tensor.as_ptr().cast())
        .collect()
}

fn check(message: *mut c_char) -> Result<(), TchError> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a C string from `strdup`, freed once.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        free(message.cast());
        text
    };
    Err(TchError::Torch(text))
}
