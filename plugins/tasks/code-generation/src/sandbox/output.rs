//! Reads what a program prints: all is counted, the end is kept.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes kept of a stream.
const KEPT: usize = 16 << 10;

/// A stream that a thread of its own reads to its end.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    ended: Arc<AtomicBool>,
}

impl Tail {
    /// Reads `stream` on a thread, adding to `total` what it reads.
    pub fn of(mut stream: impl Read + Send + 'static, total: &Arc<AtomicU64>) -> Self {
        let (tail, total) = (Self::default(), Arc::clone(total));
        let shared = tail.clone();
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                total.fetch_add(read as u64, Ordering::Relaxed);
                shared.keep(&buffer[..read]);
            }
            shared.ended.store(true, Ordering::Release);
        });
        tail
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
    }

    /// The end of the stream once it has ended, or after `patience`: a process that got away from
    /// its group may hold it open.
    pub fn wait(&self, patience: Duration) -> String {
        let start = Instant::now();
        while !self.ended.load(Ordering::Acquire) && start.elapsed() < patience {
            thread::sleep(Duration::from_micros(200));
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }
}
