//! One file over HTTP, resumable: what is on disk is never asked for again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::Wheel;
use super::progress::Progress;

/// How often a transfer that brings no single byte is tried again.
const FRUITLESS_ATTEMPTS: u32 = 4;

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing at all came.
    #[error("fetching {name} over HTTP: {reason}")]
    Unreachable {
        /// The wheel.
        name: String,
        /// What the last attempt met.
        reason: String,
    },
    /// The transfer broke again and again after it had begun.
    #[error(
        "fetching {name}: {reason}\n  {have} of {size} bytes are kept in {path}; \
         run the command again to continue"
    )]
    Interrupted {
        /// The wheel.
        name: String,
        /// What the last attempt met.
        reason: String,
        /// Bytes on disk.
        have: u64,
        /// Bytes wanted.
        size: u64,
        /// The partial file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("writing {path}: {source}")]
    Disk {
        /// The partial file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl HttpError {
    /// Whether not a byte came, so that another way of fetching loses nothing.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Fetches `url` into `partial`, after what `partial` already holds.
///
/// # Errors
/// See [`HttpError`]. The hash is not checked here.
pub fn fetch(url: &str, wheel: &Wheel, partial: &Path) -> Result<(), HttpError> {
    let agent = agent();
    let progress = Progress::start(format!("fetching {}", wheel.name()), wheel.size);
    let disk = |source| HttpError::Disk {
        path: partial.to_owned(),
        source,
    };
    let before = length(partial);
    let mut fruitless = 0;
    loop {
        let start = length(partial);
        progress.resume_at(start);
        if start >= wheel.size {
            break;
        }
        if start > 0 {
            progress.note(&format!("continuing {} at byte {start}", wheel.name()));
        }
        let outcome = transfer(&agent, url, start, partial, &progress).map_err(disk)?;
        let Outcome::Broken(reason) = outcome else {
            break;
        };
        let have = length(partial);
        if have > start {
            fruitless = 0;
        }
        fruitless += 1;
        if fruitless >= FRUITLESS_ATTEMPTS {
            let name = wheel.name();
            return Err(if have == before {
                HttpError::Unreachable { name, reason }
            } else {
                let (size, path) = (wheel.size, partial.to_owned());
                HttpError::Interrupted {
                    name,
                    reason,
                    have,
                    size,
                    path,
                }
            });
        }
        thread::sleep(Duration::from_millis(100 << fruitless));
    }
    progress.finish();
    Ok(())
}

/// How one request ended.
enum Outcome {
    /// The body was read to its end.
    Ended,
    /// The request or the body broke, for this reason.
    Broken(String),
}

/// One request from byte `start` on; appends to `partial`, or replaces it if the server does not
/// know ranges. Only errors of the disk are `Err`.
fn transfer(
    agent: &Agent,
    url: &str,
    start: u64,
    partial: &Path,
    progress: &Progress,
) -> io::Result<Outcome> {
    let mut request = agent.get(url).header("Accept-Encoding", "identity");
    if start > 0 {
        request = request.header("Range", format!("bytes={start}-"));
    }
    let response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ok(Outcome::Broken(error.to_string())),
    };
    let mut file = match response.status().as_u16() {
        206 => OpenOptions::new().append(true).open(partial)?,
        200 => {
            progress.resume_at(0);
            File::create(partial)?
        }
        // What is on disk is longer than the file there: it cannot be its beginning.
        416 => {
            std::fs::remove_file(partial)?;
            return Ok(Outcome::Broken("the server has less than was kept".into()));
        }
        status => return Ok(Outcome::Broken(format!("the server answered {status}"))),
    };
    let expected = response.body().content_length();
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 18];
    let mut received = 0;
    loop {
        match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                file.write_all(&buffer[..read])?;
                received += read as u64;
                progress.add(read as u64);
            }
            Err(error) => return Ok(Outcome::Broken(error.to_string())),
        }
    }
    file.flush()?;
    match expected {
        Some(expected) if received < expected => Ok(Outcome::Broken(format!(
            "{received} of {expected} bytes came"
        ))),
        _ => Ok(Outcome::Ended),
    }
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// A client that trusts what pip trusts, and takes proxies from the environment.
fn agent() -> Agent {
    let tls = TlsConfig::builder().root_certs(trusted()).build();
    Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        // A stalled body is given up in the end, and the next attempt resumes it.
        .timeout_recv_body(Some(Duration::from_secs(600)))
        .build()
        .into()
}

/// The certificates named by the variables that pip and OpenSSL read, else Mozilla's.
fn trusted() -> RootCerts {
    let bundles = ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"];
    let bundle = bundles
        .iter()
        .find_map(|name| std::fs::read(std::env::var_os(name)?).ok());
    let Some(bundle) = bundle else {
        return RootCerts::WebPki;
    };
    let certificates: Vec<Certificate<'static>> = parse_pem(&bundle)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        RootCerts::WebPki
    } else {
        RootCerts::from(certificates)
    }
}

#[cfg(test)]
mod tests;
