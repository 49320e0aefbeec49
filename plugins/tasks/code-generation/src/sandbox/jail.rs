//! Entering the jail: what happens between `fork` and `exec`.
//!
//! Three processes come of it. The *guard* stays outside; it kills the jail when the host says so
//! or is gone, and ends only after every process of the jail has. The *first* process of the PID
//! namespace lays out the file system, waits for the candidate and reports how it ended; with it
//! the kernel ends all that is left. The *candidate* gives up what privilege there is and calls
//! `exec`.
//!
//! As root, the candidate becomes a user that nobody else is, so that limits a user has are its
//! own; as anybody else, it stays that user in a user namespace, which counts for itself.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{
    ForkResult, Gid, Pid, Uid, chdir, getegid, geteuid, getpid, mkdir, pivot_root, setgroups,
    sethostname, setresgid, setresuid, setsid, symlinkat, write,
};
use seccompiler::BpfProgram;

use super::files::View;
use super::filter;
use super::limits::Limits;
use super::outcome::Exit;
use super::report::{Step, ended, failed};
use super::sys;

/// The program's file in the jail.
pub const PROGRAM: &str = "/program/main";

/// Users and groups that candidates become when the host is root: this and the guard's process id.
const FIRST_ID: u32 = 0x7000_0000;
/// No process id is larger.
const MOST_PROCESSES: u32 = 1 << 22;

/// Who the candidate runs as.
#[derive(Clone, Debug)]
enum Identity {
    /// A user of its own: the host is root and may take any identity.
    Own,
    /// The host's user, in a user namespace: what goes to `uid_map` and `gid_map`.
    Namespace { users: Vec<u8>, groups: Vec<u8> },
}

/// A folder or file of the host's, and where it is shown.
#[derive(Debug)]
struct Bind {
    source: CString,
    target: CString,
    read_only: bool,
}

/// All that the steps need, laid out before the fork: no step allocates.
#[derive(Debug)]
pub struct Jail {
    identity: Identity,
    folders: Vec<CString>,
    empty_files: Vec<CString>,
    binds: Vec<Bind>,
    /// What each names, and where it is.
    links: Vec<(CString, CString)>,
    source: Vec<u8>,
    root_size: CString,
    scratch_size: CString,
    limits: [(Resource, u64, u64); 6],
    processes: u64,
    filters: Vec<BpfProgram>,
    lifeline: OwnedFd,
    report: OwnedFd,
}

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// What every root has besides what is shown of the host.
const FOLDERS: [&str; 4] = ["/dev", "/proc", "/program", "/tmp"];
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/tmp", "/dev/shm"),
];
/// Where the new root is laid out, and where the old one is meanwhile.
const NEW: &str = "/new";
const OLD: &str = "/old";

impl Jail {
    /// Lays out the jail of a program that sees `view`.
    ///
    /// # Errors
    /// The system has no filter, or a path holds a NUL.
    pub fn new(
        view: &View,
        limits: &Limits,
        source: &str,
        lifeline: OwnedFd,
        report: OwnedFd,
    ) -> io::Result<Self> {
        let mut jail = Self {
            identity: identity(),
            folders: Vec::new(),
            empty_files: Vec::new(),
            binds: Vec::new(),
            links: Vec::new(),
            source: source.as_bytes().to_vec(),
            // Folders and links take no space that counts; the program does.
            root_size: CString::new(format!("size={},mode=755", source.len() + (1 << 20)))?,
            scratch_size: CString::new(format!(
                "size={},nr_inodes={},mode=1777",
                limits.files, MOST_FILES
            ))?,
            limits: limits.resources(),
            processes: limits.processes,
            filters: filter::programs()?,
            lifeline,
            report,
        };
        FOLDERS
            .iter()
            .try_for_each(|path| jail.folder(Path::new(path)))?;
        for (link, names) in &view.links {
            jail.link(names, link)?;
        }
        for (names, link) in LINKS {
            jail.link(Path::new(names), Path::new(link))?;
        }
        for path in &view.bound {
            jail.bind(path, true)?;
        }
        for device in DEVICES {
            jail.bind(&Path::new("/dev").join(device), false)?;
        }
        Ok(jail)
    }

    /// A folder, after those that hold it.
    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let mut outer: Vec<_> = path
            .ancestors()
            .filter(|path| path.parent().is_some())
            .collect();
        outer.reverse();
        for folder in outer {
            let folder = inside(NEW, folder)?;
            if !self.folders.contains(&folder) {
                self.folders.push(folder);
            }
        }
        Ok(())
    }

    fn link(&mut self, names: &Path, link: &Path) -> io::Result<()> {
        self.folder(link.parent().unwrap_or(link))?;
        let names = CString::new(names.as_os_str().as_bytes())?;
        self.links.push((names, inside(NEW, link)?));
        Ok(())
    }

    fn bind(&mut self, path: &Path, read_only: bool) -> io::Result<()> {
        if path.is_dir() {
            self.folder(path)?;
        } else {
            self.folder(path.parent().unwrap_or(path))?;
            self.empty_files.push(inside(NEW, path)?);
        }
        self.binds.push(Bind {
            // A link is followed in the host's root, not in the one being laid out.
            source: inside(OLD, &fs::canonicalize(path)?)?,
            target: inside(NEW, path)?,
            read_only,
        });
        Ok(())
    }

    /// Enters; returns in the candidate, ready for `exec`. `probe` also finds out whether the limit
    /// of processes holds.
    ///
    /// # Errors
    /// A step failed; which one is told through the report.
    pub fn enter(&self, probe: bool) -> io::Result<()> {
        self.try_enter(probe).map_err(|(step, errno)| {
            // Without a reader the errno alone has to do.
            let _ = write(&self.report, &failed(step));
            errno.into()
        })
    }

    fn try_enter(&self, probe: bool) -> Result<(), (Step, Errno)> {
        let at = |step: Step| move |errno: Errno| (step, errno);
        let own = FIRST_ID + getpid().as_raw() as u32;
        self.make_namespaces()?;
        match sys::fork().map_err(at(Step::Processes))? {
            ForkResult::Parent { child } => self.guard(child),
            ForkResult::Child => {}
        }
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(at(Step::Processes))?;
        // It still holds the host's memory: nobody may look into it.
        prctl::set_dumpable(false).map_err(at(Step::Processes))?;
        self.lay_out_files().map_err(at(Step::Files))?;
        match sys::fork().map_err(at(Step::Processes))? {
            ForkResult::Parent { child } => self.wait_for(child),
            ForkResult::Child => {}
        }
        if matches!(self.identity, Identity::Own) {
            take_identity(own).map_err(at(Step::Identity))?;
        }
        self.limit().map_err(at(Step::Limits))?;
        if probe {
            forks_are_limited(self.processes + self.guards()).map_err(at(Step::Forks))?;
        }
        // What the host's threads leave to another one is for the candidate alone to decide.
        (SigSet::empty().thread_set_mask()).map_err(at(Step::Processes))?;
        self.filter().map_err(at(Step::Filter))
    }

    fn make_namespaces(&self) -> Result<(), (Step, Errno)> {
        let shared = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP;
        let Identity::Namespace { users, groups } = &self.identity else {
            return unshare(shared).map_err(|errno| (Step::Namespaces, errno));
        };
        unshare(shared | CloneFlags::CLONE_NEWUSER).map_err(|errno| (Step::Namespaces, errno))?;
        overwrite(c"/proc/self/setgroups", b"deny")
            .and_then(|()| overwrite(c"/proc/self/uid_map", users))
            .and_then(|()| overwrite(c"/proc/self/gid_map", groups))
            .map_err(|errno| (Step::Identity, errno))
    }

    /// Waits outside until the jail is empty, and empties it when the host lets go of its lifeline.
    fn guard(&self, first: Pid) -> ! {
        sys::close_all_but(&[self.lifeline.as_raw_fd()]);
        if let Ok(end) = sys::watch(first) {
            let mut files = [
                PollFd::new(self.lifeline.as_fd(), PollFlags::POLLIN),
                PollFd::new(end.as_fd(), PollFlags::POLLIN),
            ];
            while poll(&mut files, PollTimeout::NONE) == Err(Errno::EINTR) {}
            if files[1].any() != Some(true) {
                let _ = kill(first, Signal::SIGKILL);
            }
        }
        while waitpid(first, None) == Err(Errno::EINTR) {}
        sys::exit(0)
    }

    /// Waits inside for the candidate, reports how it ended, and ends the namespace by ending.
    fn wait_for(&self, candidate: Pid) -> ! {
        sys::close_all_but(&[self.report.as_raw_fd()]);
        let exit = loop {
            match waitpid(None, None) {
                Ok(WaitStatus::Exited(process, code)) if process == candidate => {
                    break Exit::Code(code);
                }
                Ok(WaitStatus::Signaled(process, signal, _)) if process == candidate => {
                    break Exit::Signal(signal as i32);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => sys::exit(1),
            }
        };
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) {
            let time = |time: nix::sys::time::TimeVal| {
                time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64
            };
            let cpu = time(usage.user_time()) + time(usage.system_time());
            let peak = (usage.max_rss() as u64) << 10;
            let _ = write(&self.report, &ended(exit, cpu, peak));
        }
        sys::exit(0)
    }

    /// Lays out the new root in memory and makes it the root; the old one is gone afterwards.
    fn lay_out_files(&self) -> nix::Result<()> {
        let memory = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        let none = None::<&CStr>;
        umask(Mode::from_bits_truncate(0o022));
        mount(none, c"/", none, private, none)?;
        // The old root stays whole below it, also what is in this /tmp.
        mount(
            Some(c"tmpfs"),
            c"/tmp",
            Some(c"tmpfs"),
            memory,
            Some(c"mode=755"),
        )?;
        chdir(c"/tmp")?;
        mkdir(c"old", Mode::S_IRWXU)?;
        mkdir(c"new", Mode::S_IRWXU)?;
        pivot_root(c".", c"old")?;
        chdir(c"/")?;
        mount(
            Some(c"tmpfs"),
            c"/new",
            Some(c"tmpfs"),
            memory,
            Some(&*self.root_size),
        )?;
        self.fill_root()?;
        umount2(c"/old", MntFlags::MNT_DETACH)?;
        let fixed = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | memory;
        mount(none, c"/new", none, fixed, none)?;
        chdir(c"/new")?;
        pivot_root(c".", c".")?;
        umount2(c".", MntFlags::MNT_DETACH)?;
        chdir(c"/tmp")
    }

    fn fill_root(&self) -> nix::Result<()> {
        let memory = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let none = None::<&CStr>;
        let readable = Mode::from_bits_truncate(0o755);
        mkdir(c"/new/tmp", readable)?;
        mount(
            Some(c"tmpfs"),
            c"/new/tmp",
            Some(c"tmpfs"),
            memory,
            Some(&*self.scratch_size),
        )?;
        for folder in &self.folders {
            match mkdir(&**folder, readable) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        for (names, link) in &self.links {
            symlinkat(&**names, AT_FDCWD, &**link)?;
        }
        let create = OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        for file in &self.empty_files {
            open(&**file, create, Mode::S_IRUSR)?;
        }
        let tree = MsFlags::MS_BIND | MsFlags::MS_REC;
        for bind in &self.binds {
            mount(Some(&*bind.source), &*bind.target, none, tree, none)?;
            if bind.read_only {
                sys::read_only(&bind.target)?;
            }
        }
        let program = open(
            c"/new/program/main",
            create,
            Mode::from_bits_truncate(0o644),
        )?;
        let mut left = &self.source[..];
        while !left.is_empty() {
            left = &left[write(&program, left)?..];
        }
        // Where the kernel does not let a container mount one, programs do without.
        let proc = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let _ = mount(
            Some(c"proc"),
            c"/new/proc",
            Some(c"proc"),
            proc,
            Some(c"subset=pid"),
        );
        sethostname("sandbox")
    }

    fn limit(&self) -> nix::Result<()> {
        setsid()?;
        limit(&self.limits)?;
        let processes = self.processes + self.guards();
        setrlimit(Resource::RLIMIT_NPROC, processes, processes)
    }

    /// Processes of the jail that the kernel counts among the candidate's.
    fn guards(&self) -> u64 {
        match self.identity {
            Identity::Own => 0,
            Identity::Namespace { .. } => 2,
        }
    }

    fn filter(&self) -> nix::Result<()> {
        prctl::set_no_new_privs()?;
        sys::close_at_exec();
        let apply = |filter| seccompiler::apply_filter(filter).map_err(|_| Errno::last());
        self.filters.iter().try_for_each(|filter| apply(filter))
    }
}

/// Files and folders that `/tmp` takes.
const MOST_FILES: u32 = 16 << 10;

/// Sets limits that need no jail.
pub fn limit(limits: &[(Resource, u64, u64)]) -> nix::Result<()> {
    limits
        .iter()
        .try_for_each(|(resource, soft, hard)| setrlimit(*resource, *soft, *hard))
}

fn inside(root: &str, path: &Path) -> io::Result<CString> {
    let path: PathBuf = [Path::new(root), path.strip_prefix("/").unwrap_or(path)]
        .iter()
        .collect();
    Ok(CString::new(path.into_os_string().into_encoded_bytes())?)
}

fn identity() -> Identity {
    let (user, group) = (geteuid(), getegid());
    if user.is_root() && takes_any_identity() {
        return Identity::Own;
    }
    let one = |id: u32| format!("1000 {id} 1\n").into_bytes();
    Identity::Namespace {
        users: one(user.as_raw()),
        groups: one(group.as_raw()),
    }
}

/// Whether the ids above [`FIRST_ID`] are known here: root of a container may have few.
fn takes_any_identity() -> bool {
    let last = u64::from(FIRST_ID + MOST_PROCESSES);
    let known = |map: &str| {
        let map = fs::read_to_string(map).unwrap_or_default();
        map.lines().any(|line| {
            let mut numbers = line.split_whitespace().map(|n| n.parse().unwrap_or(0_u64));
            let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
            let (first, count) = (first.unwrap_or(0), count.unwrap_or(0));
            first <= u64::from(FIRST_ID) && last <= first + count
        })
    };
    known("/proc/self/uid_map") && known("/proc/self/gid_map")
}

fn take_identity(id: u32) -> nix::Result<()> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)
}

/// Whether the kernel refuses one process too many; it does not hold root to the limit.
fn forks_are_limited(restore: u64) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_NPROC, 0, restore)?;
    match sys::fork() {
        Ok(ForkResult::Child) => sys::exit(0),
        Ok(ForkResult::Parent { .. }) => return Err(Errno::ENOTSUP),
        Err(Errno::EAGAIN) => {}
        Err(errno) => return Err(errno),
    }
    setrlimit(Resource::RLIMIT_NPROC, restore, restore)
}

fn overwrite(path: &CStr, bytes: &[u8]) -> nix::Result<()> {
    let file = open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(&file, bytes).map(drop)
}
