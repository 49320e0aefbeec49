//! Runs candidate programs where they can do no harm.
//!
//! A program gets processes, a network, a file system and a clock of its own, each with a limit,
//! and nothing of it is left when its run ends:
//!
//! | what a program may do | what holds it |
//! | --- | --- |
//! | read secrets, change files | an empty root in a mount namespace: system and interpreter are there, read-only; `/tmp` is memory, and ends with the run |
//! | open sockets | a network namespace without a network; families that it would not cover are refused |
//! | kill, trace or see others | a PID namespace, no privilege, and a filter of system calls (seccomp) |
//! | become a daemon | the PID namespace: all in it end with its first process |
//! | fork, allocate, write, print or run without end | `RLIMIT_NPROC` of the namespace, `RLIMIT_DATA` and `RLIMIT_AS` of a process and a watch on the sum, the size of `/tmp` and `RLIMIT_FSIZE`, a count of what is printed, `RLIMIT_CPU` and the clock |
//! | ignore signals | `SIGKILL` to the namespace |
//!
//! The isolation holds on Linux 5.14 and later, on x86-64 and AArch64, where the user may make
//! namespaces: as root (with `CAP_SYS_ADMIN`), or as anybody where the kernel allows user
//! namespaces. Many containers do not. [`Sandbox::new`] finds out by entering a jail, and refuses
//! with the step that failed unless [`Isolation::None`] was asked for: then only the limits of
//! time, memory, file size and output are left, the last of them and time alone off Linux.
//!
//! It is a fence against programs that models write, not against an enemy with an unknown fault of
//! the kernel at hand.

mod error;
mod files;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod jail;
mod limits;
#[cfg(target_os = "linux")]
mod memory;
mod outcome;
mod output;
mod pool;
mod report;
mod run;
#[cfg(target_os = "linux")]
mod sys;

pub use error::SandboxError;
pub use limits::Limits;
pub use outcome::{Exit, Outcome, Run};
pub use run::{Isolation, Program, Sandbox, Settings};
