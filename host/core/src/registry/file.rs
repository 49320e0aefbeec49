//! Reading the manifests in a library's file without opening it.
//!
//! Opening a library runs its code, so all that decides whether to open it is read from the file:
//! format, machine, manifest. Nothing in the file is trusted: only what is asked for is read, no
//! read is larger than [`LARGEST_READ`], and what is not a regular file is not opened at all.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::read::{FileKind, Object, ObjectSection, ReadCache, ReadRef};
use sha2::{Digest, Sha256};
use tenon_plugin_api::manifest::SECTION;

use super::manifest::Manifest;
use super::problem::Problem;
use super::segments;
use crate::hex;

/// Bytes of a file that are read at once at most; manifests and tables of sections are far smaller.
const LARGEST_READ: u64 = 4 << 20;
/// Plugins in one library at most.
const MOST_MANIFESTS: usize = 64;

/// What a library's file says.
#[derive(Debug)]
pub(super) struct Contents {
    pub stamp: Stamp,
    /// Usually one.
    pub manifests: Vec<Result<Manifest, Problem>>,
}

/// By which a changed file is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            len: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

/// Whether a file's name is that of a library on this platform.
pub(super) fn looks_like_library(name: &OsStr) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION)
}

/// Reads the manifests of a library.
///
/// # Errors
/// It is no library of this platform, or no plugin.
pub(super) fn read(path: &Path) -> Result<Contents, Problem> {
    let unreadable = |error: io::Error| Problem::Unreadable {
        reason: plain(&error),
    };
    // Looked at before it is opened: opening a pipe waits for its other end.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Problem::NotALibrary {
            found: "not a regular file".to_owned(),
        });
    }
    let stamp = Stamp::of(path).map_err(unreadable)?;
    let file = open(path).map_err(unreadable)?;
    let cache = ReadCache::new(file);
    let section = section(Bounded(&cache))?.ok_or(Problem::NoManifest)?;
    let manifests = manifests(section);
    if manifests.is_empty() {
        return Err(Problem::BadManifest {
            fault: "it is empty".to_owned(),
        });
    }
    Ok(Contents { stamp, manifests })
}

/// SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut file = open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hex(&hash.finalize()))
}

/// Opens a file for reading; a pipe that took its place meanwhile does not block.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

/// The system's words without the number in parentheses.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

/// The section with the manifests, `None` where there is none.
fn section<R: Read + Seek>(data: Bounded<'_, R>) -> Result<Option<&[u8]>, Problem> {
    let kind = FileKind::parse(data).map_err(|_| Problem::NotALibrary {
        found: describe(data),
    })?;
    match kind {
        FileKind::Elf64 if cfg!(target_pointer_width = "64") && !foreign_format(kind) => {
            elf_section::<elf::FileHeader64<object::Endianness>, _>(data)
        }
        FileKind::Elf32 if cfg!(target_pointer_width = "32") && !foreign_format(kind) => {
            elf_section::<elf::FileHeader32<object::Endianness>, _>(data)
        }
        _ if foreign_format(kind) => match format_name(kind) {
            Some(found) => Err(other_architecture(found)),
            None => Err(Problem::NotALibrary {
                found: "another kind of object file".to_owned(),
            }),
        },
        _ => generic_section(data),
    }
}

fn foreign_format(kind: FileKind) -> bool {
    let wide = cfg!(target_pointer_width = "64");
    match kind {
        FileKind::Elf64 => !wide || cfg!(any(windows, target_vendor = "apple")),
        FileKind::Elf32 => wide || cfg!(any(windows, target_vendor = "apple")),
        FileKind::MachO64 => !cfg!(target_vendor = "apple"),
        FileKind::Pe64 => !(wide && cfg!(windows)),
        _ => true,
    }
}

fn format_name(kind: FileKind) -> Option<&'static str> {
    Some(match kind {
        FileKind::Elf64 => "64-bit ELF systems",
        FileKind::Elf32 => "32-bit ELF systems",
        FileKind::MachO32 | FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64 => {
            "macOS"
        }
        FileKind::Pe32 | FileKind::Pe64 => "Windows",
        _ => return None,
    })
}

fn other_architecture(found: &str) -> Problem {
    Problem::OtherArchitecture {
        found: found.to_owned(),
        ours: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

/// Only the header and the tables of segments and sections are read: the symbols of a large
/// library would take longer than all the rest.
fn elf_section<'data, E, R>(data: Bounded<'data, R>) -> Result<Option<&'data [u8]>, Problem>
where
    E: FileHeader<Endian = object::Endianness>,
    R: Read + Seek,
{
    let header = E::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let sections = header.sections(endian, data).map_err(damaged)?;
    let found = sections.section_by_name(endian, SECTION.as_bytes());
    let Some((_, section)) = found else {
        return Ok(None);
    };
    let machine = header.e_machine(endian);
    if our_machine().is_some_and(|ours| ours != machine) {
        return Err(other_architecture(&machine_name(machine)));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err(Problem::NotALibrary {
            found: "an object file that was not linked".to_owned(),
        });
    }
    // Memory that is mapped from beyond the file's end would kill the process when touched.
    let len = data.len().unwrap_or(0);
    let segments = header.program_headers(endian, data).map_err(damaged)?;
    for segment in segments {
        let (start, size) = segment.file_range(endian);
        if segment.p_type(endian) == elf::PT_LOAD && start.saturating_add(size) > len {
            return Err(Problem::NotALibrary {
                found: "a library that was cut off".to_owned(),
            });
        }
    }
    if !segments::agree::<E>(endian, segments, sections.iter().as_slice()) {
        return Err(Problem::NotALibrary {
            found: "a damaged library (its segments and its sections disagree)".to_owned(),
        });
    }
    section.data(endian, data).map(Some).map_err(damaged)
}

/// The way of the formats that are not ELF.
fn generic_section<R: Read + Seek>(data: Bounded<'_, R>) -> Result<Option<&[u8]>, Problem> {
    let file = object::File::parse(data).map_err(damaged)?;
    let name = SECTION.rsplit(',').next().unwrap_or(SECTION);
    let Some(section) = file.section_by_name(name) else {
        return Ok(None);
    };
    let ours = match file.architecture() {
        object::Architecture::X86_64 => cfg!(target_arch = "x86_64"),
        object::Architecture::Aarch64 => cfg!(target_arch = "aarch64"),
        _ => false,
    };
    if !ours {
        return Err(other_architecture(&format!("{:?}", file.architecture())));
    }
    section.data().map(Some).map_err(damaged)
}

fn damaged(error: object::Error) -> Problem {
    Problem::NotALibrary {
        found: format!("a damaged or cut-off library ({error})"),
    }
}

fn our_machine() -> Option<elf::Machine> {
    if cfg!(target_arch = "x86_64") {
        Some(elf::EM_X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(elf::EM_AARCH64)
    } else {
        None
    }
}

fn machine_name(machine: elf::Machine) -> String {
    match machine {
        elf::EM_X86_64 => "x86_64".to_owned(),
        elf::EM_386 => "x86".to_owned(),
        elf::EM_AARCH64 => "aarch64".to_owned(),
        elf::EM_ARM => "arm".to_owned(),
        elf::EM_RISCV => "riscv".to_owned(),
        elf::EM_PPC64 => "powerpc64".to_owned(),
        elf::EM_S390 => "s390x".to_owned(),
        other => format!("machine {}", other.0),
    }
}

/// What a file is that is no object file.
fn describe<R: Read + Seek>(data: Bounded<'_, R>) -> String {
    let len = data.len().unwrap_or(0);
    let Ok(start) = data.read_bytes_at(0, len.min(512)) else {
        return "it cannot be read".to_owned();
    };
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match start {
        [] => "an empty file".to_owned(),
        start if start.starts_with(b"\x7fELF") => "a library that was cut off".to_owned(),
        start if start.iter().all(printable) => "a text file".to_owned(),
        _ => "a file of an unknown format".to_owned(),
    }
}

/// One manifest a line; linkers fill up with zeros.
fn manifests(section: &[u8]) -> Vec<Result<Manifest, Problem>> {
    let lines = section.split(|byte| matches!(byte, b'\n' | 0));
    let lines = lines.filter(|line| !line.is_empty()).take(MOST_MANIFESTS);
    let read = |line| {
        let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned());
        let manifest = text.and_then(Manifest::parse);
        manifest.map_err(|fault| Problem::BadManifest { fault })
    };
    lines.map(read).collect()
}

/// A file that is read piece by piece; no piece is large.
struct Bounded<'data, R: Read + Seek>(&'data ReadCache<R>);

impl<R: Read + Seek> Clone for Bounded<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Read + Seek> Copy for Bounded<'_, R> {}

impl<'data, R: Read + Seek> ReadRef<'data> for Bounded<'data, R> {
    fn len(self) -> Result<u64, ()> {
        self.0.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'data [u8], ()> {
        match size <= LARGEST_READ {
            true => self.0.read_bytes_at(offset, size),
            false => Err(()),
        }
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'data [u8], ()> {
        self.0.read_bytes_at_until(range, delimiter)
    }
}
