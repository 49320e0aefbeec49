//! How much memory the processes of a jail hold together.
//!
//! `RLIMIT_DATA` is a process's own; this watches the sum. The processes are the descendants of
//! the jail's first: whoever loses its parent becomes a child of that one.

use std::fs;

/// Bytes held by the descendants of the first process of the jail that `guard` watches: anonymous
/// and shared memory, a page counted once for each process that maps it, and what was swapped out.
/// Zero where `/proc` does not tell.
pub fn held(guard: u32) -> u64 {
    let first = children(guard);
    let mut left: Vec<u32> = first.into_iter().flat_map(children).collect();
    let mut sum = 0;
    while let Some(process) = left.pop() {
        sum += of(process);
        left.extend(children(process));
    }
    sum
}

fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(
            list.split_ascii_whitespace()
                .filter_map(|id| id.parse::<u32>().ok()),
        );
    }
    children
}

fn of(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let counted = ["RssAnon:", "RssShmem:", "VmSwap:"];
    let kib = |line: &str| -> Option<u64> {
        let (name, value) = line.split_once(char::is_whitespace)?;
        let value = counted
            .contains(&name)
            .then(|| value.trim().strip_suffix("kB"))??;
        value.trim().parse().ok()
    };
    status.lines().filter_map(kib).sum::<u64>() << 10
}
