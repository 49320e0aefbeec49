//! Whether a library's two descriptions of itself agree: the segments, by which the dynamic linker
//! maps it, and the sections, by which the manifest was found.
//!
//! The linker believes the segments: where they are damaged it maps code as data, or reads what is
//! not there, and takes the program with it. Damage to one of the two tables shows as a difference.

use object::elf::{
    PF_R, PF_W, PF_X, PT_DYNAMIC, PT_GNU_RELRO, PT_LOAD, PT_TLS, ProgramFlags, SHF_ALLOC,
    SHF_EXECINSTR, SHF_TLS, SHF_WRITE, SHT_DYNAMIC, SHT_NOBITS,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

/// Bytes that alignment may add.
const MOST_PADDING: u64 = 1 << 16;

/// A part of the file and where it lies in memory.
struct Segment {
    start: u64,
    end: u64,
    in_file: u64,
    offset: u64,
    align: u64,
    flags: ProgramFlags,
}

impl Segment {
    fn of<P: ProgramHeader>(header: &P, endian: P::Endian) -> Self {
        let start = header.p_vaddr(endian).into();
        Self {
            start,
            end: start.saturating_add(header.p_memsz(endian).into()),
            in_file: header.p_filesz(endian).into(),
            offset: header.p_offset(endian).into(),
            align: header.p_align(endian).into(),
            flags: header.p_flags(endian),
        }
    }

    fn holds(&self, start: u64, end: u64) -> bool {
        self.start <= start && end <= self.end
    }

    fn is_sound(&self) -> bool {
        let Self { start, offset, .. } = self;
        let align = self.align.max(1);
        let aligned = align.is_power_of_two() && start % align == offset % align;
        self.in_file <= self.end - start && aligned && self.flags.0 & PF_R.0 != 0
    }

    /// Notes, unwinding tables and the like lie in what is mapped.
    fn is_within(&self, loads: &[Self]) -> bool {
        let is_empty = self.end <= self.start || self.in_file == 0;
        let holds = |load: &Self| load.start <= self.start && self.start < load.end;
        is_empty || loads.iter().any(holds)
    }
}

/// Whether they agree.
pub(super) fn agree<E: FileHeader>(
    endian: E::Endian,
    segments: &[E::ProgramHeader],
    sections: &[E::SectionHeader],
) -> bool {
    let of_type = |kind| {
        let of_kind = segments
            .iter()
            .filter(move |header| header.p_type(endian) == kind);
        of_kind.map(|header| Segment::of(header, endian)).collect()
    };
    let loads: Vec<Segment> = of_type(PT_LOAD);
    if loads.is_empty() {
        // The linker says so itself.
        return true;
    }
    let dynamic: Vec<Segment> = of_type(PT_DYNAMIC);
    let tls: Vec<Segment> = of_type(PT_TLS);
    let relro: Vec<Segment> = of_type(PT_GNU_RELRO);
    let sections: Vec<Section> = sections
        .iter()
        .map(|header| Section::of(header, endian))
        .collect();
    let mut all = segments.iter().map(|header| Segment::of(header, endian));
    let described = sections.iter().all(|section| {
        section.is_mapped(&loads) && section.is_dynamic(&dynamic) && section.is_thread_local(&tls)
    });
    are_sound(&loads)
        && all.all(|part| part.is_within(&loads))
        && described
        && dynamic.len() == 1
        && tls
            .iter()
            .all(|part| ends_with_thread_locals(part, &sections))
        && relro
            .iter()
            .all(|part| is_protectable(part, &loads, &sections))
}

/// Whether the linker can map them: one behind the other, each as its place in the file is aligned.
fn are_sound(loads: &[Segment]) -> bool {
    loads.iter().all(Segment::is_sound) && loads.windows(2).all(|pair| pair[0].end <= pair[1].start)
}

/// What each thread gets ends with the last section of it, and is allocated by its alignment.
fn ends_with_thread_locals(part: &Segment, sections: &[Section]) -> bool {
    let own = sections.iter().filter(|section| section.has(SHF_TLS.0));
    let last = own.map(|section| section.end).max();
    let rest = last.map(|last| part.end.saturating_sub(last));
    rest.is_some_and(|rest| rest < MOST_PADDING) && part.align < MOST_PADDING
}

/// What is written to once and then protected ends where a section does. Of the table of calls
/// that comes next, GNU ld protects the first three entries.
fn is_protectable(part: &Segment, loads: &[Segment], sections: &[Section]) -> bool {
    let load = loads
        .iter()
        .find(|load| load.start == part.start && load.flags.0 & PF_W.0 != 0);
    let at_bound = sections.iter().any(|section| {
        let is_writable = section.has(SHF_ALLOC.0) && section.has(SHF_WRITE.0);
        let ends_it = section.end == part.end || part.end.wrapping_sub(section.start) <= 24;
        is_writable && ends_it
    });
    load.is_some_and(|load| part.end == load.end || at_bound)
}

struct Section {
    start: u64,
    end: u64,
    offset: u64,
    flags: u64,
    is_dynamic: bool,
    is_in_file: bool,
}

impl Section {
    fn of<S: SectionHeader>(header: &S, endian: S::Endian) -> Self {
        let start = header.sh_addr(endian).into();
        let kind = header.sh_type(endian);
        Self {
            start,
            end: start.saturating_add(header.sh_size(endian).into()),
            offset: header.sh_offset(endian).into(),
            flags: header.sh_flags(endian).0,
            is_dynamic: kind == SHT_DYNAMIC,
            is_in_file: kind != SHT_NOBITS,
        }
    }

    fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    /// A segment maps it, from its place in the file, with the rights that it needs.
    fn is_mapped(&self, loads: &[Segment]) -> bool {
        // What each thread gets of its own, all zeros, has no place in memory.
        let nowhere = self.has(SHF_TLS.0) && !self.is_in_file;
        if !self.has(SHF_ALLOC.0) || self.start == self.end || nowhere {
            return true;
        }
        let found = loads.iter().find(|load| load.holds(self.start, self.end));
        found.is_some_and(|load| {
            let inside = self.start - load.start;
            let same_place = !self.is_in_file
                || self.offset.checked_sub(load.offset) == Some(inside)
                    && self.end - load.start <= load.in_file;
            let flags = load.flags.0;
            let may_run = !self.has(SHF_EXECINSTR.0) || flags & PF_X.0 != 0;
            let may_write = !self.has(SHF_WRITE.0) || flags & PF_W.0 != 0;
            same_place && may_run && may_write
        })
    }

    /// It is no table of the linker's, or the one that it will read.
    fn is_dynamic(&self, dynamic: &[Segment]) -> bool {
        let same = |segment: &Segment| {
            (segment.start, segment.end) == (self.start, self.end) && segment.offset == self.offset
        };
        !self.is_dynamic || dynamic.iter().all(same)
    }

    /// It is shared by all threads, or part of what each gets.
    fn is_thread_local(&self, tls: &[Segment]) -> bool {
        !self.has(SHF_TLS.0) || tls.iter().any(|tls| tls.holds(self.start, self.end))
    }
}
