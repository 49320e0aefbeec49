//! What tch lacks of libtorch: operations with a backward pass of our own, and libtorch's thread pool.
//!
//! The C++ side is `csrc/bridge.cpp`. All of the crate's foreign calls are in this file.

use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use tch::{TchError, Tensor};

/// What a backward pass is given.
pub struct Incoming {
    /// The gradient of the loss by the operation's output.
    pub gradient: Tensor,
    /// For each input, whether its gradient is asked for.
    pub needed: Vec<bool>,
}

/// The gradients by the inputs, in their order; `None` stands for zero or not asked for.
pub type Gradients = Vec<Option<Tensor>>;

type Closure = Box<dyn Fn(Incoming) -> Result<Gradients, TchError> + Send>;
type RawTensor = *mut c_void;

unsafe extern "C" {
    fn tenon_nn_needs_grad(inputs: *const *const c_void, count: usize) -> i32;
    fn tenon_nn_record(
        inputs: *const *const c_void,
        count: usize,
        output: RawTensor,
        closure: *mut c_void,
        backward: BackwardFn,
        release: unsafe extern "C" fn(*mut c_void),
        free_message: unsafe extern "C" fn(*mut c_char),
    ) -> i32;
    fn tenon_nn_parallel_for(count: i64, grain: i64, range: RangeFn, closure: *mut c_void);
    fn tenon_nn_has_mkl() -> i32;
    fn tenon_nn_has_onednn() -> i32;
    fn tenon_nn_onednn_linear(
        x: *const c_void,
        weight: *const c_void,
        bias: *const c_void,
        output: *mut RawTensor,
    ) -> *mut c_char;
}

type BackwardFn = unsafe extern "C" fn(
    *mut c_void,
    *const RawTensor,
    usize,
    *const u8,
    *mut RawTensor,
    usize,
) -> *mut c_char;
type RangeFn = unsafe extern "C" fn(*mut c_void, i64, i64);

/// Whether an operation on `inputs` must be recorded: gradients are on, and one of them requires one.
#[must_use]
pub fn needs_grad(inputs: &[&Tensor]) -> bool {
    let handles = handles(inputs);
    // SAFETY: the handles are those of live tensors, borrowed for the call.
    unsafe { tenon_nn_needs_grad(handles.as_ptr(), handles.len()) != 0 }
}

/// Makes `output`, computed from `inputs` without autograd's notice, differentiable: `backward` gives the
/// gradients. It runs once or more per forward pass, on the thread that runs the backward pass, without
/// gradient recording. There is no second derivative; asking for one is an error of the backward pass.
///
/// What `backward` saves must not include `output` itself (a cycle that is never freed), but may include a
/// detached copy of it.
///
/// # Errors
/// When libtorch refuses to record, e.g. because `output` already has a history.
pub fn record(
    inputs: &[&Tensor],
    mut output: Tensor,
    backward: impl Fn(Incoming) -> Result<Gradients, TchError> + Send + 'static,
) -> Result<Tensor, TchError> {
    let handles = handles(inputs);
    let closure: Box<Closure> = Box::new(Box::new(backward));
    // SAFETY: the handles are live for the call; the closure is handed over and comes back once, in `release`.
    let refused = unsafe {
        tenon_nn_record(
            handles.as_ptr(),
            handles.len(),
            output.as_mut_ptr().cast(),
            Box::into_raw(closure).cast(),
            call_backward,
            release,
            free_message,
        )
    };
    if refused != 0 {
        return Err(TchError::Torch(
            "recording a fused operation: its output already has a history".into(),
        ));
    }
    Ok(output)
}

/// Whether libtorch has MKL.
pub(crate) fn has_mkl() -> bool {
    // SAFETY: no arguments.
    unsafe { tenon_nn_has_mkl() != 0 }
}

/// Whether libtorch has oneDNN's linear layer.
pub(crate) fn has_onednn() -> bool {
    // SAFETY: takes nothing; the answer is made once.
    unsafe { tenon_nn_has_onednn() != 0 }
}

/// `x` `[rows, in]` times the transpose of `weight` `[out, in]`, plus `bias` `[out]`, by oneDNN; not recorded
/// for a backward pass.
///
/// # Errors
/// Those of libtorch.
pub(crate) fn onednn_linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    let bias = bias.map_or(ptr::null(), |bias| bias.as_ptr().cast());
    let mut output = ptr::null_mut();
    // SAFETY: the handles are those of live tensors; the output is ours when there is no message.
    let message = unsafe {
        tenon_nn_onednn_linear(
            x.as_ptr().cast(),
            weight.as_ptr().cast(),
            bias,
            &raw mut output,
        )
    };
    if message.is_null() {
        // SAFETY: an owned, defined tensor.
        return Ok(unsafe { Tensor::from_ptr(output.cast()) });
    }
    // SAFETY: a string that strdup made.
    let text = unsafe {
        let text = std::ffi::CStr::from_ptr(message)
            .to_string_lossy()
            .into_owned();
        libc_free(message.cast());
        text
    };
    Err(TchError::Torch(text))
}

unsafe extern "C" {
    #[link_name = "free"]
    fn libc_free(memory: *mut c_void);
}

/// Calls `work(begin, end)` over disjoint ranges that cover `0..count`, on libtorch's threads. Ranges hold at
/// least `grain` items, apart from the last.
///
/// # Panics
/// With the panic of `work`, after all ranges ended.
pub fn parallel_for(count: usize, grain: usize, work: impl Fn(usize, usize) + Sync) {
    struct Job<'a> {
        work: &'a (dyn Fn(usize, usize) + Sync),
        panic: std::sync::Mutex<Option<Box<dyn std::any::Any + Send>>>,
    }
    unsafe extern "C" fn run(job: *mut c_void, begin: i64, end: i64) {
        // SAFETY: `job` is the `Job` below, shared by the threads and alive until parallel_for returns.
        let job = unsafe { &*job.cast::<Job<'_>>() };
        let result = catch_unwind(AssertUnwindSafe(|| {
            (job.work)(begin as usize, end as usize)
        }));
        if let Err(panic) = result
            && let Ok(mut slot) = job.panic.lock()
        {
            *slot = Some(panic);
        }
    }
    let mut job = Job {
        work: &work,
        panic: std::sync::Mutex::new(None),
    };
    // SAFETY: `run` matches the signature, and libtorch has joined its threads when the call returns.
    unsafe {
        tenon_nn_parallel_for(
            count as i64,
            grain.max(1) as i64,
            run,
            (&raw mut job).cast(),
        )
    };
    if let Ok(Some(panic)) = job.panic.into_inner() {
        std::panic::resume_unwind(panic);
    }
}

fn handles(tensors: &[&Tensor]) -> Vec<*const c_void> {
    tensors.iter().map(|t| t.as_ptr().cast()).collect()
}

/// A tensor's handle, given away: the receiver frees it.
fn into_handle(mut tensor: Tensor) -> RawTensor {
    let handle = tensor.as_mut_ptr().cast();
    std::mem::forget(tensor);
    handle
}

unsafe extern "C" fn call_backward(
    closure: *mut c_void,
    outputs: *const RawTensor,
    output_count: usize,
    needed: *const u8,
    gradients: *mut RawTensor,
    input_count: usize,
) -> *mut c_char {
    // SAFETY: the C++ node passes the closure that `record` gave it, and arrays of the lengths it states.
    let (closure, outputs, needed, gradients) = unsafe {
        (
            &*closure.cast::<Closure>(),
            std::slice::from_raw_parts(outputs, output_count),
            std::slice::from_raw_parts(needed, input_count),
            std::slice::from_raw_parts_mut(gradients, input_count),
        )
    };
    let Some(&handle) = outputs.first().filter(|handle| !handle.is_null()) else {
        return ptr::null_mut(); // nothing flows back
    };
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: a defined at::Tensor, alive during the call; the clone shares it.
        let gradient = unsafe { Tensor::clone_from_ptr(handle.cast()) };
        let needed = needed.iter().map(|&flag| flag != 0).collect();
        closure(Incoming { gradient, needed })
    }));
    let message = match result {
        Ok(Ok(values)) => {
            for (slot, value) in gradients.iter_mut().zip(values) {
                *slot = value.map_or(ptr::null_mut(), into_handle);
            }
            return ptr::null_mut();
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "panic in a fused operation's backward pass".to_owned(),
    };
    CString::new(message.replace('\0', " ")).map_or(ptr::null_mut(), CString::into_raw)
}

unsafe extern "C" fn release(closure: *mut c_void) {
    // SAFETY: made by Box::into_raw in `record`; the node calls this once.
    drop(unsafe { Box::from_raw(closure.cast::<Closure>()) });
}

unsafe extern "C" fn free_message(message: *mut c_char) {
    // SAFETY: made by CString::into_raw in `call_backward`.
    drop(unsafe { CString::from_raw(message) });
}
