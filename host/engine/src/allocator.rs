//! How the C library's allocator keeps memory for tensors.
//!
//! glibc takes every block of more than 32 MiB from the system, zeroed page by page at first touch, and gives it
//! back when it is freed. A training step frees and asks for the same activations, logits and gradients again: in
//! a small Transformer on two cores, a fifth of the time went into these pages. The price of keeping them is memory
//! where sizes vary much (`docs/benchmarks.md`, "Memory that is kept").

/// From which size blocks are mapped, in bytes: no tensor of a step on a CPU is so large.
const MAPPED_FROM: i32 = 1 << 30;
/// Never give the end of the heap back.
const NEVER: i32 = -1;
/// By how much the heap grows at least, in bytes.
const GROWTH: i32 = 64 << 20;

/// Keeps what tensors free for the next ones. Does nothing where the C library is not glibc, or where the user has
/// set one of its variables (`MALLOC_TRIM_THRESHOLD_`, …, or `GLIBC_TUNABLES`).
pub fn keep_freed() {
    let set = |(name, _): (std::ffi::OsString, _)| {
        let name = name.to_string_lossy().into_owned();
        name.starts_with("MALLOC_") || name == "GLIBC_TUNABLES"
    };
    if !std::env::vars_os().any(set) {
        apply();
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn apply() {
    for (parameter, value) in [
        (libc::M_MMAP_THRESHOLD, MAPPED_FROM),
        (libc::M_TRIM_THRESHOLD, NEVER),
        (libc::M_TOP_PAD, GROWTH),
    ] {
        // SAFETY: mallopt sets a number under the allocator's own lock. Where it refuses one, all
        // is as before.
        unsafe { libc::mallopt(parameter, value) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn apply() {
    let _ = (MAPPED_FROM, NEVER, GROWTH);
}
