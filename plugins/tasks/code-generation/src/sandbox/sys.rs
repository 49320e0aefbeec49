//! The one file with `unsafe`: calls for which no crate has a safe function.
//!
//! A candidate enters its jail between `fork` and `exec`, where a process that had several threads
//! may only make system calls: a lock, so an allocation, may be held by a thread that is no longer
//! there. What runs there ([`super::jail`]) works on what was laid out before.

use std::ffi::CStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::unistd::{ForkResult, Pid};

/// Has `enter` run in the child between `fork` and `exec`; it must neither allocate nor lock.
pub fn before_exec(
    command: &mut Command,
    enter: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: `enter` only makes system calls, on memory laid out before.
    unsafe { command.pre_exec(enter) };
}

/// Forks a process that itself came from `fork` and has not called `exec`.
pub fn fork() -> nix::Result<ForkResult> {
    // SAFETY: both sides go on making system calls only, or call `exec` or `exit`.
    unsafe { nix::unistd::fork() }
}

/// Ends the process at once: no destructor of the program that it was forked from runs.
pub fn exit(code: i32) -> ! {
    // SAFETY: `_exit` does nothing but to end the process.
    unsafe { libc::_exit(code) }
}

/// Closes every file but those in `keep`, which is sorted.
pub fn close_all_but(keep: &[RawFd]) {
    let mut next = 0;
    for kept in keep {
        if *kept > next {
            close_range(next as u32, *kept as u32 - 1, 0);
        }
        next = *kept + 1;
    }
    close_range(next as u32, u32::MAX, 0);
}

/// Has every file but the standard ones close at `exec`.
pub fn close_at_exec() {
    close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32);
}

fn close_range(first: u32, last: u32, flags: i32) {
    // SAFETY: this closes numbers, not memory; nobody uses the files in this process any more.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
}

/// A file that can be polled for the end of a child.
pub fn watch(child: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: it takes two numbers; what it returns is a new file of ours.
    unsafe {
        let file = Errno::result(libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0))?;
        Ok(OwnedFd::from_raw_fd(file as RawFd))
    }
}

/// Makes a mount and those below it read-only, without devices and set-user-id programs.
pub fn read_only(target: &CStr) -> nix::Result<()> {
    let change = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path ends with NUL, and the change has the size that is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const change,
            size_of_val(&change),
        )
    };
    Errno::result(result).map(drop)
}
