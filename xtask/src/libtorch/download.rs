//! libtorch from the wheels of the package index: pinned, and only the parts that are needed.
//!
//! The wheel of torch for Linux carries CUDA. Without `libtorch_cuda` beside them, its CPU
//! libraries serve alone, but they are linked against two small CUDA runtime libraries, which
//! come from wheels of their own. All lie in one folder, where `$ORIGIN` finds them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::libtorch::{Libtorch, VERSION};
use crate::platform;
use crate::prerequisites;
use crate::wheel::{self, Member, Wheel};

/// What one system needs.
struct Build {
    /// `OS-ARCHITECTURE` in the words of the Rust standard library.
    system: &'static str,
    /// Written to `build-version`.
    version: &'static str,
    /// Wheels and what to take from each.
    parts: &'static [(Wheel, &'static [Member])],
    /// Space that the unpacked libraries and headers take, in bytes.
    unpacked: u64,
}

const HEADERS: Member = Member::Tree {
    from: "torch/include",
    to: "include",
};

const fn libraries(names: &'static [&'static str]) -> Member {
    Member::Files {
        from: "torch/lib",
        names,
        to: "lib",
    }
}

const CUDART: &[Member] = &[Member::Files {
    from: "nvidia/cu13/lib",
    names: &["libcudart.so."],
    to: "lib",
}];
const CUPTI: &[Member] = &[Member::Files {
    from: "nvidia/cu13/lib",
    names: &["libcupti.so."],
    to: "lib",
}];

/// The versions of the CUDA wheels are those that torch 2.11.0 requires (cuda-toolkit 13.0.2).
const BUILDS: &[Build] = &[
    Build {
        system: "linux-x86_64",
        version: "2.11.0+cu130",
        unpacked: 530_000_000,
        parts: &[
            (
                Wheel {
                    package: "torch",
                    version: VERSION,
                    file: "torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl",
                    sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
                    size: 530_712_279,
                },
                &[
                    libraries(&["libtorch_cpu.", "libtorch.", "libc10.", "libgomp."]),
                    HEADERS,
                ],
            ),
            (
                Wheel {
                    package: "nvidia-cuda-runtime",
                    version: "13.0.96",
                    file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
                    sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
                    size: 2_243_632,
                },
                CUDART,
            ),
            (
                Wheel {
                    package: "nvidia-cuda-cupti",
                    version: "13.0.85",
                    file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
                    sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
                    size: 10_715_597,
                },
                CUPTI,
            ),
        ],
    },
    Build {
        system: "linux-aarch64",
        version: "2.11.0+cu130",
        unpacked: 360_000_000,
        parts: &[
            (
                Wheel {
                    package: "torch",
                    version: VERSION,
                    file: "torch-2.11.0-cp312-cp312-manylinux_2_28_aarch64.whl",
                    sha256: "f99924682ef0aa6a4ab3b1b76f40dc6e273fca09f367d15a524266db100a723f",
                    size: 419_731_115,
                },
                &[
                    libraries(&[
                        "libtorch_cpu.",
                        "libtorch.",
                        "libc10.",
                        "libgomp.",
                        "libgfortran.",
                        "libarm_compute",
                        "libnvpl_",
                    ]),
                    HEADERS,
                ],
            ),
            (
                Wheel {
                    package: "nvidia-cuda-runtime",
                    version: "13.0.96",
                    file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
                    sha256: "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
                    size: 2_261_060,
                },
                CUDART,
            ),
            (
                Wheel {
                    package: "nvidia-cuda-cupti",
                    version: "13.0.85",
                    file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_aarch64.whl",
                    sha256: "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
                    size: 10_310_827,
                },
                CUPTI,
            ),
        ],
    },
    Build {
        system: "macos-aarch64",
        version: VERSION,
        unpacked: 270_000_000,
        parts: &[(
            Wheel {
                package: "torch",
                version: VERSION,
                file: "torch-2.11.0-cp312-cp312-macosx_11_0_arm64.whl",
                sha256: "4b5866312ee6e52ea625cd211dcb97d6a2cdc1131a5f15cc0d87eec948f6dd34",
                size: 80_606_338,
            },
            &[
                libraries(&["libtorch_cpu.", "libtorch.", "libc10.", "libomp."]),
                HEADERS,
            ],
        )],
    },
    Build {
        system: "windows-x86_64",
        version: "2.11.0+cpu",
        unpacked: 360_000_000,
        parts: &[(
            Wheel {
                package: "torch",
                version: VERSION,
                file: "torch-2.11.0-cp312-cp312-win_amd64.whl",
                sha256: "fbf39280699d1b869f55eac536deceaa1b60bd6788ba74f399cc67e60a5fab10",
                size: 114_556_047,
            },
            &[
                libraries(&["torch_cpu.", "torch.", "c10.", "libiomp5md.", "uv."]),
                HEADERS,
            ],
        )],
    },
];

/// The build for this machine, if one is pinned.
fn build() -> Option<&'static Build> {
    let system = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    // The wheels need glibc.
    BUILDS
        .iter()
        .find(|build| build.system == system && !cfg!(target_env = "musl"))
}

/// The folder of the cache in which the downloaded libtorch lies, or would lie.
fn folder(cache: &Cache, build: &Build) -> PathBuf {
    cache
        .root()
        .join(format!("libtorch-{VERSION}-{}", build.system))
}

/// The libtorch that an earlier set-up left in the cache.
pub fn cached(cache: &Cache) -> Option<Libtorch> {
    Libtorch::inspect(&folder(cache, build()?)).ok()
}

/// Fetches and unpacks libtorch into the cache.
///
/// # Errors
/// No build is pinned for this system, a prerequisite is missing, or the transfer fails. What was
/// downloaded is kept for the next attempt; the cache never shows half a libtorch.
pub fn obtain(cache: &Cache) -> Result<Libtorch> {
    let Some(build) = build() else {
        bail!(
            "no libtorch {VERSION} is pinned for {}-{}\n  Install torch {VERSION} into a Python \
             environment and activate it, or unpack libtorch {VERSION} and set LIBTORCH to its \
             folder; then run the command again",
            std::env::consts::OS,
            std::env::consts::ARCH
        );
    };
    let python = prerequisites::python_with_pip()?;
    let to_fetch: u64 = build.parts.iter().map(|(wheel, _)| wheel.size).sum();
    prerequisites::disk_space(cache.root(), to_fetch + build.unpacked)?;
    let place = folder(cache, build);
    // Two set-ups at once: the second waits, then finds the first one's work.
    let _lock = cache.lock("libtorch")?;
    if let Ok(libtorch) = Libtorch::inspect(&place) {
        return Ok(libtorch);
    }
    println!(
        "fetching libtorch {VERSION} into {}",
        cache.root().display()
    );
    let scratch = cache.scratch("libtorch")?;
    let downloads = cache.downloads();
    for (wheel, members) in build.parts {
        let path = wheel::obtain(wheel, &downloads, &python)?;
        wheel::unpack(&path, members, &scratch)?;
    }
    finish(build, &scratch)?;
    if place.exists() {
        fs::remove_dir_all(&place)
            .with_context(|| format!("removing the unusable {}", place.display()))?;
    }
    fs::rename(&scratch, &place)
        .with_context(|| format!("putting libtorch at {}", place.display()))?;
    for (wheel, _) in build.parts {
        let path = downloads.join(wheel.file);
        fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(Libtorch::inspect(&place)?)
}

/// Adds what a wheel lacks to make an unpacked libtorch, and puts all of it on the disk.
fn finish(build: &Build, root: &Path) -> Result<()> {
    fs::write(root.join("build-version"), format!("{}\n", build.version))
        .context("writing build-version")?;
    let lib = root.join("lib");
    // torch-sys links `-lgomp`, which clang alone would not bring.
    if lib.join("libgomp.so.1").exists() {
        platform::alias_file(&lib, "libgomp.so.1", "libgomp.so").context("linking libgomp.so")?;
    }
    for entry in fs::read_dir(&lib).context("listing the unpacked libraries")? {
        let path = entry.context("listing the unpacked libraries")?.path();
        // Without this, a power cut after the rename could leave an empty library.
        File::open(&path)
            .and_then(|file| file.sync_all())
            .with_context(|| format!("flushing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_is_complete_and_names_its_own_version() {
        assert_eq!(BUILDS.len(), 4);
        for build in BUILDS {
            assert!(build.version.starts_with(VERSION), "{}", build.system);
            for (wheel, members) in build.parts {
                let start = format!("{}-{}-", wheel.package.replace('-', "_"), wheel.version);
                assert!(wheel.file.starts_with(&start), "{}", wheel.file);
                assert!(
                    wheel.sha256.len() == 64 && !members.is_empty(),
                    "{}",
                    wheel.file
                );
            }
        }
    }
}
