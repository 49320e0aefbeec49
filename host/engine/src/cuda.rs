//! CUDA where libtorch has it: one build for the CPU and for GPUs.
//!
//! The engine is linked against libtorch's CPU part only. Its part for CUDA registers itself when
//! it is opened, before libtorch is first asked for devices; it is looked for beside the other.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tenon_core::config::Device;
use tenon_core::registry::open_part_of_libtorch;

use crate::services;

const CPU_PART: &str = "libtorch_cpu.so";
const CUDA_PART: &str = "libtorch_cuda.so";

/// Opens libtorch's part for CUDA if it is there, unless the run is to compute on the CPU.
///
/// # Errors
/// The run asks for CUDA, and the part is there but cannot be opened.
pub fn open(device: Device) -> Result<()> {
    if device == Device::Cpu {
        return Ok(());
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Some(path) = part_beside(&maps) else {
        return Ok(());
    };
    match (open_part_of_libtorch(&path), device) {
        (Ok(()), _) => Ok(()),
        (Err(reason), Device::Auto) => {
            let path = path.display();
            services::say(&format!(
                "computing on the CPU: {path} cannot be opened: {reason}"
            ));
            Ok(())
        }
        (Err(reason), _) => bail!("{} cannot be opened: {reason}", path.display()),
    }
}

/// The part for CUDA beside the libtorch in a process's list of mapped files, unless that has it.
fn part_beside(maps: &str) -> Option<PathBuf> {
    let files = || {
        maps.lines()
            .filter_map(|line| Some(Path::new(line.get(line.find('/')?..)?)))
    };
    let is = |path: &Path, name: &str| path.file_name().is_some_and(|file| file == name);
    if files().any(|path| is(path, CUDA_PART)) {
        return None;
    }
    let beside = files()
        .find(|path| is(path, CPU_PART))?
        .with_file_name(CUDA_PART);
    beside.is_file().then_some(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_for_cuda_is_looked_for_beside_the_libtorch_in_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("a b");
        std::fs::create_dir(&folder).expect("a folder");
        let line = |name: &str| {
            let path = folder.join(name);
            format!("7f00-7f01 r-xp 0000 fe:00 123   {}\n", path.display())
        };
        let maps = format!("7ffc-7ffd rw-p 0000 00:00 0   [stack]\n{}", line(CPU_PART));
        assert_eq!(part_beside(&maps), None, "not there");
        std::fs::write(folder.join(CUDA_PART), "").expect("a file");
        assert_eq!(part_beside(&maps), Some(folder.join(CUDA_PART)));
        assert_eq!(
            part_beside(&(maps + &line(CUDA_PART))),
            None,
            "open already"
        );
        assert_eq!(part_beside(""), None, "no libtorch");
    }
}
