//! Downloads from a server on this machine that breaks off, ignores ranges or refuses.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// How the server treats one request.
#[derive(Clone, Copy)]
enum Manner {
    /// Sends the whole range.
    Complete,
    /// Promises the whole range, sends this many bytes of it and hangs up.
    Drops(usize),
    /// Knows no ranges: sends the file from its beginning.
    Rangeless,
    /// Answers with this status and no body.
    Refuses(u16),
}

fn content() -> Vec<u8> {
    (0..200_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn wheel(size: u64) -> Wheel {
    Wheel {
        package: "p",
        version: "1",
        file: "p-1.whl",
        sha256: "",
        size,
    }
}

/// Serves `manners` one request each, then hangs up on everyone. Reports each request's start.
fn serve(content: Vec<u8>, manners: Vec<Manner>) -> (String, Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    let address = listener.local_addr().expect("the port's address");
    let (sender, starts) = channel();
    thread::spawn(move || {
        let mut manners = manners.into_iter();
        for stream in listener.incoming() {
            let (Ok(stream), Some(manner)) = (stream, manners.next()) else {
                continue;
            };
            let start = answer(stream, &content, manner);
            sender.send(start).expect("the test is listening");
        }
    });
    (format!("http://{address}/p-1.whl"), starts)
}

fn answer(stream: TcpStream, content: &[u8], manner: Manner) -> usize {
    let mut start = 0;
    for line in BufReader::new(&stream).lines() {
        let line = line.expect("a line of the request").to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range
                .trim_end_matches('-')
                .parse()
                .expect("the start of the range");
        }
        if line.is_empty() {
            break;
        }
    }
    let (status, from, sent) = match manner {
        Manner::Refuses(status) => (status, content.len(), usize::MAX),
        Manner::Rangeless => (200, 0, usize::MAX),
        Manner::Complete if start > 0 => (206, start, usize::MAX),
        Manner::Complete => (200, 0, usize::MAX),
        Manner::Drops(sent) => (if start > 0 { 206 } else { 200 }, start, sent),
    };
    let body = &content[from..];
    let mut stream = stream;
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    stream
        .write_all(&body[..sent.min(body.len())])
        .expect("the body is sent");
    start
}

/// Fetches with `kept` bytes on disk; expects the whole file after requests at `starts`.
fn check(kept: usize, manners: &[Manner], starts: &[usize]) {
    let content = content();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let partial = folder.path().join("p-1.whl.part");
    if kept > 0 {
        std::fs::write(&partial, &content[..kept]).expect("the kept part");
    }
    let (url, asked) = serve(content.clone(), manners.to_vec());
    fetch(&url, &wheel(content.len() as u64), &partial).expect("the whole file");
    assert_eq!(std::fs::read(&partial).expect("the file"), content);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), starts);
}

#[test]
fn a_whole_file_takes_one_request() {
    check(0, &[Manner::Complete], &[0]);
}

#[test]
fn a_dropped_connection_continues_where_it_stopped() {
    check(
        0,
        &[
            Manner::Drops(70_000),
            Manner::Drops(50_000),
            Manner::Complete,
        ],
        &[0, 70_000, 120_000],
    );
}

#[test]
fn a_part_kept_by_an_earlier_process_is_not_asked_for_again() {
    check(123_456, &[Manner::Complete], &[123_456]);
}

#[test]
fn a_complete_part_needs_no_request() {
    check(200_000, &[], &[]);
}

#[test]
fn a_server_without_ranges_starts_over() {
    check(123_456, &[Manner::Rangeless], &[123_456]);
}

#[test]
fn a_server_error_is_tried_again() {
    check(10, &[Manner::Refuses(503), Manner::Complete], &[10, 10]);
}

#[test]
fn a_part_that_cannot_be_the_beginning_is_dropped() {
    check(
        150_000,
        &[Manner::Refuses(416), Manner::Complete],
        &[150_000, 0],
    );
}

#[test]
fn a_server_that_never_sends_is_unreachable() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let partial = folder.path().join("p-1.whl.part");
    let (url, _starts) = serve(content(), vec![Manner::Refuses(403); 9]);
    let error = fetch(&url, &wheel(200_000), &partial).expect_err("a refusal");
    assert!(error.is_unreachable());
    assert!(
        error
            .to_string()
            .contains("p 1 over HTTP: the server answered 403"),
        "{error}"
    );
}

#[test]
fn a_transfer_that_stays_broken_says_what_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let partial = folder.path().join("p-1.whl.part");
    let mut manners = vec![Manner::Drops(70_000)];
    manners.extend([Manner::Drops(0); 9]);
    let (url, _starts) = serve(content(), manners);
    let error = fetch(&url, &wheel(200_000), &partial).expect_err("a broken transfer");
    assert!(!error.is_unreachable());
    assert!(
        error.to_string().contains("70000 of 200000 bytes are kept"),
        "{error}"
    );
}
