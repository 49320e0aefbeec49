//! Files that are no plugins, damaged plugins among them: none may crash the program. Every file
//! is given to the real program, which reads it, and opens what it finds to be whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::program::{Program, snapshot};

/// Whatever the seed, the same numbers on every machine (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        tenon_plugin_api::services::mix(self.0)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A generator of hostile files, and how many to make.
type Kind = (&'static str, usize, fn(&[u8], &mut Random) -> Vec<u8>);

/// What no program may open: it is refused, whatever the bytes.
const REFUSED: [Kind; 8] = [
    ("truncated", 60, |whole, random| {
        whole[..random.below(whole.len())].to_vec()
    }),
    // Near the end, where the tables of sections are, and at the start of each page.
    ("cut", 40, |whole, random| match random.below(2) {
        0 => whole[..whole.len() - 1 - random.below(4096)].to_vec(),
        _ => whole[..random.below(whole.len() / 4096) * 4096].to_vec(),
    }),
    ("random", 40, |_, random| {
        let len = random.below(20_000);
        random.bytes(len)
    }),
    ("random-elf", 40, |whole, random| {
        // A true start, then anything.
        let (keep, more) = (16 + random.below(100), random.below(20_000));
        let mut bytes = whole[..keep].to_vec();
        bytes.extend(random.bytes(more));
        bytes
    }),
    ("empty", 1, |_, _| Vec::new()),
    ("text", 10, |_, random| {
        let letters = |byte: u8| b"abcdefghij \n\"{}:"[usize::from(byte % 16)];
        let len = 1 + random.below(5000);
        random.bytes(len).into_iter().map(letters).collect()
    }),
    ("other-machine", 12, |whole, random| {
        let others: [u16; 6] = [3, 8, 21, 22, 40, 243];
        let mut bytes = whole.to_vec();
        let machine = others[random.below(others.len())];
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes
    }),
    ("other-format", 7, |whole, random| {
        let mut bytes = whole.to_vec();
        match random.below(4) {
            // 32 bits; big-endian; Windows; macOS.
            0 => bytes[4] = 1,
            1 => bytes[5] = 2,
            2 => bytes[..2].copy_from_slice(b"MZ"),
            _ => bytes[..4].copy_from_slice(&[0xcf, 0xfa, 0xed, 0xfe]),
        }
        bytes
    }),
];

/// What may look whole: it is read, and only its hash tells that it changed.
const DAMAGED: [Kind; 3] = [
    ("header", 60, |whole, random| {
        let mut bytes = whole.to_vec();
        (0..1 + random.below(4)).for_each(|_| bytes[random.below(1024)] = random.next() as u8);
        bytes
    }),
    ("sections", 60, |whole, random| {
        let mut bytes = whole.to_vec();
        let start = bytes.len() - 4096;
        (0..1 + random.below(8)).for_each(|_| {
            let at = start + random.below(4096);
            bytes[at] = random.next() as u8;
        });
        bytes
    }),
    ("manifest", 60, |whole, random| {
        let start = whole
            .windows(11)
            .position(|window| window == b"{\"package\":");
        let start = start.expect("the manifest");
        let mut bytes = whole.to_vec();
        (0..1 + random.below(4)).for_each(|_| {
            bytes[start + random.below(300)] = random.next() as u8;
        });
        bytes
    }),
];

/// The library that is damaged; whole, it is opened, so that no damage goes unseen.
fn whole(program: &Program) -> Vec<u8> {
    let path = program.install("earlier", "whole");
    let arguments = ["plugin", "inspect", "fixture-earlier", "--open"];
    let outcome = program.run(&[&arguments[..], &["--plugin-dir", "whole"]].concat());
    assert_eq!(outcome.code, Some(0), "{}", program.shown(&outcome));
    fs::read(path).expect("a library")
}

#[test]
fn no_hostile_file_crashes_the_program() {
    let program = Program::new();
    let whole = whole(&program);
    let mut random = Random(2026);
    let mut opened = 0;
    let mut problems: BTreeMap<String, usize> = BTreeMap::new();
    for (name, count, make) in REFUSED {
        for index in 0..count {
            let file = format!("plugins/libtenon_{name}.so");
            program.write(&file, make(&whole, &mut random));
            let plugin = name.replace('_', "-");
            let arguments = ["plugin", "inspect", &plugin, "--open", "--json"];
            let outcome = program.run(&[&arguments[..], &["--plugin-dir", &file]].concat());
            let what = format!("{name} {index}: {}", program.shown(&outcome));
            assert_eq!(outcome.code, Some(4), "{what}");
            let error: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
            let problem = error["error"]["problem"].as_str().expect("a problem");
            *problems.entry(format!("{name}: {problem}")).or_default() += 1;
            opened += 1;
        }
    }
    assert!(opened >= 200, "{opened} files");
    let lines = problems
        .iter()
        .map(|(problem, count)| format!("{problem} ({count})"));
    let lines: Vec<_> = lines.collect();
    snapshot("problems_of_hostile_files", &lines.join("\n"));
}

/// The headers tell the dynamic linker what to map where, and it believes them.
#[test]
fn no_damaged_header_crashes_the_program() {
    let program = Program::new();
    let whole = whole(&program);
    let headers = 64 + 56 * usize::from(u16::from_le_bytes([whole[56], whole[57]]));
    let mut random = Random(7);
    let mut refused = 0;
    for index in 0..100 {
        let mut bytes = whole.clone();
        (0..1 + random.below(3)).for_each(|_| {
            bytes[random.below(headers)] = random.next() as u8;
        });
        program.write("libtenon_fixture_earlier.so", bytes);
        let file = ["--plugin-dir", "libtenon_fixture_earlier.so"];
        let arguments = ["plugin", "inspect", "fixture-earlier", "--open"];
        let outcome = program.run(&[&arguments[..], &file].concat());
        // Some bytes nobody reads.
        let is_known = matches!(outcome.code, Some(0 | 4));
        assert!(is_known, "{index}: {}", program.shown(&outcome));
        refused += usize::from(outcome.code == Some(4));
    }
    assert!(refused > 30, "{refused} of 100 were found to be damaged");
}

#[test]
fn no_damaged_file_crashes_the_listing() {
    let program = Program::new();
    let whole = whole(&program);
    let mut random = Random(1);
    for (name, count, make) in DAMAGED {
        // In portions, or the folder would hold half a gigabyte.
        for portion in 0..count / 20 {
            for index in 0..20 {
                let bytes = make(&whole, &mut random);
                program.write(&format!("plugins/lib{name}{index:02}.so"), bytes);
            }
            program.install("overrides", "plugins");
            let list = program.run(&["plugin", "list", "--plugin-dir", "plugins"]);
            let what = format!("{name} {portion}: {}", program.shown(&list));
            assert_eq!(list.code, Some(0), "{what}");
            // The one that is whole is found among them.
            assert!(list.stdout.contains("fixture-overrides"), "{what}");
            fs::remove_dir_all(program.folder().join("plugins")).expect("a folder");
        }
    }
}

#[test]
#[cfg(unix)]
fn links_pipes_and_folders_neither_crash_nor_block() {
    use std::os::unix::fs::symlink;
    let program = Program::new();
    let real = program.install("plain", "plugins");
    let plugins = program.folder().join("plugins");
    let at = |name: &str| plugins.join(name);
    let to = |target: &Path, name: &str| symlink(target, at(name)).expect("a link");
    to(&at("libself.so"), "libself.so");
    to(&at("libtwo.so"), "libone.so");
    to(&at("libone.so"), "libtwo.so");
    to(&at("nowhere"), "libdangling.so");
    to(&real, "libalias.so");
    to(&plugins, "libfolder.so");
    // A chain that is longer than the system follows.
    let chain = program.folder().join("chain");
    fs::create_dir(&chain).expect("a folder");
    let link = |index: usize| chain.join(format!("lib{index}.so"));
    symlink(&real, link(0)).expect("a link");
    for index in 1..50 {
        symlink(link(index - 1), link(index)).expect("a link");
    }
    let pipe = std::process::Command::new("mkfifo")
        .arg(at("libpipe.so"))
        .status();
    assert!(pipe.expect("mkfifo runs").success());
    to(Path::new("/dev/zero"), "libzero.so");

    let list = program.run(&["plugin", "list", "--plugin-dir", "plugins"]);
    assert_eq!(list.code, Some(0), "{}", program.shown(&list));
    snapshot("links_pipes_and_folders", &program.shown(&list));
    for (folder, name) in [
        ("plugins", "self"),
        ("plugins", "one"),
        ("plugins", "dangling"),
        ("plugins", "pipe"),
        ("plugins", "zero"),
        ("chain", "49"),
    ] {
        let file = format!("{folder}/lib{name}.so");
        let arguments = ["plugin", "inspect", name, "--open", "--plugin-dir", &file];
        let outcome = program.run(&arguments);
        assert_eq!(outcome.code, Some(4), "{}", program.shown(&outcome));
    }
}
