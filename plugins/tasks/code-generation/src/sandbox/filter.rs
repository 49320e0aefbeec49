//! The system calls that a candidate may not make.
//!
//! A list of what is refused rather than of what is allowed: interpreters differ in what they
//! need, and the namespaces hold what the list forgets. It keeps programs from making namespaces
//! in which they would be privileged, from looking into other processes, from holding memory that
//! no limit counts, and from parts of the kernel that are rarely used and often at fault.

use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

/// Refused with `EPERM`, whatever the arguments.
const REFUSED: [i64; 45] = [
    // namespaces and mounts
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // memory that belongs to no process, or that no limit counts
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    // the rest of the kernel
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_fanotify_init,
];

/// Families of sockets that stay allowed: those that the network namespace covers and that
/// programs use.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// Flags of `clone` that make namespaces.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

#[cfg(target_arch = "x86_64")]
const ARCH: Option<TargetArch> = Some(TargetArch::x86_64);
#[cfg(target_arch = "aarch64")]
const ARCH: Option<TargetArch> = Some(TargetArch::aarch64);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCH: Option<TargetArch> = None;

/// The filters to apply, in order.
///
/// # Errors
/// There is none for this architecture.
pub fn programs() -> io::Result<Vec<BpfProgram>> {
    let arch = ARCH.ok_or(io::ErrorKind::Unsupported)?;
    let build = |refuse: Vec<(i64, Vec<SeccompRule>)>, errno: i32| {
        let refuse = refuse.into_iter().collect();
        let action = SeccompAction::Errno(errno as u32);
        SeccompFilter::new(refuse, SeccompAction::Allow, action, arch)
            .and_then(BpfProgram::try_from)
            .map_err(io::Error::other)
    };
    let mut refused: Vec<_> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    refused.push((libc::SYS_socket, vec![other_families()?]));
    refused.push((libc::SYS_clone, new_namespaces()?));
    // Its flags are in memory, which no filter sees; the C library falls back to `clone`.
    let absent = vec![(libc::SYS_clone3, Vec::new())];
    let mut programs = vec![build(refused, libc::EPERM)?, build(absent, libc::ENOSYS)?];
    if cfg!(target_arch = "x86_64") {
        programs.push(no_x32());
    }
    Ok(programs)
}

fn other_families() -> io::Result<SeccompRule> {
    let other = |family: &i32| argument(0, SeccompCmpOp::Ne, *family as u64);
    let conditions = FAMILIES.iter().map(other).collect::<io::Result<_>>()?;
    SeccompRule::new(conditions).map_err(io::Error::other)
}

fn new_namespaces() -> io::Result<Vec<SeccompRule>> {
    let rule = |flag: &i32| {
        let flag = *flag as u32 as u64;
        let set = argument(0, SeccompCmpOp::MaskedEq(flag), flag)?;
        SeccompRule::new(vec![set]).map_err(io::Error::other)
    };
    NAMESPACES.iter().map(rule).collect()
}

fn argument(index: u8, op: SeccompCmpOp, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value).map_err(io::Error::other)
}

/// Refuses calls through the x32 interface, whose numbers are others.
fn no_x32() -> BpfProgram {
    /// Set in the numbers of its calls.
    const X32: u32 = 0x4000_0000;
    let instruction = |code: u32, jf: u8, k: u32| sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    vec![
        // The number of the call is the first field of what a filter sees.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 1, X32),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
