//! Work done by several threads and delivered in order.
//!
//! Item k is produced by whichever worker takes it, and handed out after item k − 1. At most
//! `depth` items are in the making or waiting, so memory is bounded; waiting is on condition
//! variables, never busy. What comes out does not depend on the number of workers.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What a worker made of an item, or the panic that it met.
pub(crate) type Made<T> = thread::Result<T>;

/// The shared state between workers and the one consumer.
pub(crate) struct Ring<T> {
    state: Mutex<State<T>>,
    /// Signalled when an item may be taken.
    room: Condvar,
    /// Signalled when an item has been made.
    made: Condvar,
    end: usize,
    depth: usize,
}

struct State<T> {
    /// The next item to be taken by a worker.
    next: usize,
    /// The next item to be delivered; `slots[0]` is its place.
    delivered: usize,
    slots: VecDeque<Option<Made<T>>>,
    closed: bool,
}

impl<T> Ring<T> {
    /// A ring for items `start..end`, with at most `depth` (at least one) under way.
    pub(crate) fn new(start: usize, end: usize, depth: usize) -> Self {
        let state = State {
            next: start,
            delivered: start,
            slots: VecDeque::new(),
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            room: Condvar::new(),
            made: Condvar::new(),
            end,
            depth: depth.max(1),
        }
    }

    /// A worker's life: takes items and makes them until there are none left, or the ring closes.
    /// A panic in `make` is delivered in the item's place.
    pub(crate) fn work(&self, make: impl Fn(usize) -> T) {
        while let Some(item) = self.take() {
            let made = catch_unwind(AssertUnwindSafe(|| make(item)));
            self.put(item, made);
        }
    }

    /// The next item in order; `None` after the last, or once closed.
    pub(crate) fn next(&self) -> Option<Made<T>> {
        let mut state = self.lock();
        loop {
            if state.closed || state.delivered == self.end {
                return None;
            }
            if let Some(Some(_)) = state.slots.front() {
                let made = state.slots.pop_front().flatten();
                state.delivered += 1;
                self.room.notify_one();
                return made;
            }
            state = self
                .made
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the work: workers leave after the item in hand.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.slots.clear();
        self.room.notify_all();
        self.made.notify_all();
    }

    fn take(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.closed || state.next == self.end {
                return None;
            }
            if state.next < state.delivered + self.depth {
                state.next += 1;
                state.slots.push_back(None);
                return Some(state.next - 1);
            }
            state = self
                .room
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put(&self, item: usize, made: Made<T>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let slot = item - state.delivered;
        state.slots[slot] = Some(made);
        if slot == 0 {
            self.made.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No user code runs under the lock, so a poisoned state is still a consistent one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes items `0..count` on `threads` threads and consumes them in order on this one, until
/// `consume` fails. A panic in `make` resumes here.
pub(crate) fn in_order<T: Send, E>(
    count: usize,
    threads: usize,
    make: impl Fn(usize) -> T + Sync,
    mut consume: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    if threads <= 1 || count <= 1 {
        return (0..count).try_for_each(|item| consume(make(item)));
    }
    let ring = Ring::new(0, count, threads * 2);
    thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| ring.work(&make));
        }
        // Closed on every way out, a panic of `consume` included, or the scope would wait forever.
        let _closed = CloseOnDrop(&ring);
        while let Some(made) = ring.next() {
            consume(made.unwrap_or_else(|payload| resume_unwind(payload)))?;
        }
        Ok(())
    })
}

struct CloseOnDrop<'a, T>(&'a Ring<T>);

impl<T> Drop for CloseOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn order_does_not_depend_on_threads() {
        for threads in [1, 2, 7] {
            let mut seen = Vec::new();
            let slow_first = |item: usize| {
                if item.is_multiple_of(5) {
                    thread::sleep(Duration::from_micros(300));
                }
                item
            };
            let result: Result<(), ()> = in_order(200, threads, slow_first, |item| {
                seen.push(item);
                Ok(())
            });
            assert_eq!(result, Ok(()));
            assert_eq!(seen, (0..200).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[test]
    fn a_failing_consumer_stops_the_workers() {
        let made = AtomicUsize::new(0);
        let result = in_order(
            1_000_000,
            3,
            |_| made.fetch_add(1, Ordering::Relaxed),
            |item| if item < 10 { Ok(()) } else { Err("enough") },
        );
        assert_eq!(result, Err("enough"));
        assert!(made.load(Ordering::Relaxed) < 1000);
    }

    #[test]
    fn a_panic_comes_out_where_it_belongs() {
        let mut seen = 0;
        let result = catch_unwind(AssertUnwindSafe(|| {
            in_order(
                100,
                4,
                |item| assert!(item != 42, "forty-two"),
                |()| {
                    seen += 1;
                    Ok::<_, ()>(())
                },
            )
        }));
        assert!(result.is_err());
        assert_eq!(seen, 42);
    }
}
