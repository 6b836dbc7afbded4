//! Nothing is shown or answered before its commit, and a commit that fails leaves no trace. A gate
//! before the store makes each commit wait for the test.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, mpsc};

use futures_util::FutureExt;
use parking_lot::Mutex;

use super::kit::*;
use crate::log::memory::Memory;
use crate::log::writer::{Answered, Pending, Store as Stored, StoreError, Trimmed, Writer};
use crate::log::{AppendError, Change, Durability, EventLog, Retention, Ring, Store};

/// A memory store whose commits are let through one by one.
struct Gate {
    memory: Memory,
    arrived: Sender<usize>,
    verdicts: Receiver<Result<(), StoreError>>,
}

impl Stored for Gate {
    fn answered(&mut self, key: &[u8; 32]) -> Result<Option<Answered>, StoreError> {
        self.memory.answered(key)
    }

    fn commit(&mut self, batch: &[Pending], now: u64, sync: bool) -> Result<(), StoreError> {
        // A test that fails takes its end with it, and the thread goes on without.
        let _ = self.arrived.send(batch.len());
        self.verdicts.recv().unwrap_or(Err(StoreError::Full))?;
        self.memory.commit(batch, now, sync)
    }

    fn keep(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.memory.keep(changes)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.memory.sync()
    }

    fn trim(&mut self, retention: &Retention, now: u64) -> Result<Trimmed, StoreError> {
        self.memory.trim(retention, now)
    }
}

/// A log behind a gate, and the gate's keeper.
struct Gated {
    log: EventLog,
    arrived: Receiver<usize>,
    verdicts: Sender<Result<(), StoreError>>,
}

impl Gated {
    fn new() -> Gated {
        let (arrive, arrived) = channel();
        let (verdicts, decided) = channel();
        let (commands, received) = mpsc::channel();
        let start = Memory::start();
        let ring = Arc::new(Ring::whole(start.extent));
        let memory = Memory::new(Arc::clone(&ring));
        let store = Gate { memory, arrived: arrive, verdicts: decided };
        let settings = settings(Store::Memory, Durability::Fsync);
        let writer = Writer::start(store, &settings, start, &ring, &Arc::default(), received);
        let writer = Mutex::new(Some(writer.expect("a thread")));
        let kept = Mutex::default();
        let log = EventLog { epoch: start.epoch, ring, readers: None, commands, kept, writer };
        Gated { log, arrived, verdicts }
    }

    /// Waits until a batch is at the gate, and tells its size.
    fn arrival(&self) -> usize {
        self.arrived.recv().expect("the writer lives")
    }

    fn let_through(&self) {
        self.verdicts.send(Ok(())).expect("the writer waits");
    }

    fn fail(&self) {
        self.verdicts.send(Err(StoreError::Full)).expect("the writer waits");
    }
}

#[test]
fn an_event_is_neither_shown_nor_answered_before_its_commit() {
    let gated = Gated::new();
    let before = gated.log.ring().extent();
    let mut answer = Box::pin(gated.log.append(event("a", "hi"), None));
    assert_eq!(gated.arrival(), 1);
    assert_eq!((gated.log.ring().extent(), answer.as_mut().now_or_never()), (before, None));
    gated.let_through();
    let position = block_on(answer).expect("published").position;
    assert_eq!(shown(&gated.log), [position]);
}

#[test]
fn those_who_come_during_a_commit_share_the_next() {
    let gated = Gated::new();
    let first = gated.log.append(event("a", "alone"), None);
    assert_eq!(gated.arrival(), 1);
    let others: Vec<_> = (0..64).map(|_| gated.log.append(event("a", "together"), None)).collect();
    gated.let_through();
    assert_eq!(gated.arrival(), 64);
    gated.let_through();
    block_on(first).expect("published");
    assert!(others.into_iter().all(|other| block_on(other).is_ok()));
    assert_eq!(shown(&gated.log).len(), 65);
}

#[test]
fn an_event_that_was_refused_is_never_shown_and_leaves_no_key() {
    let gated = Gated::new();
    let before = gated.log.ring().extent();
    let refused = gated.log.append(event("a", "lost"), Some(once("k", "lost")));
    gated.arrival();
    gated.fail();
    assert_eq!(block_on(refused), Err(AppendError::Full));
    assert_eq!(gated.log.ring().extent(), before);
    let next = gated.log.append(event("a", "kept"), Some(once("k", "kept")));
    gated.arrival();
    gated.let_through();
    let position = block_on(next).expect("the disk has space again").position;
    assert_eq!(shown(&gated.log), [position]);
}

#[test]
fn repeats_within_a_batch_are_one_event_and_share_its_fate() {
    let gated = Gated::new();
    for fails in [false, true] {
        let key = if fails { "failing" } else { "working" };
        let plug = gated.log.append(event("a", "plug"), None);
        gated.arrival();
        let same = [(); 3].map(|()| gated.log.append(event("a", "x"), Some(once(key, "x"))));
        let other = gated.log.append(event("a", "y"), Some(once(key, "y")));
        gated.let_through();
        assert_eq!(gated.arrival(), 1, "one event of four requests");
        if fails {
            gated.fail()
        } else {
            gated.let_through()
        }
        block_on(plug).expect("published");
        let [first, second, third] = same.map(block_on);
        assert_eq!((first, second), (second, third));
        assert_eq!(first.is_err(), fails);
        assert_eq!(block_on(other), Err(AppendError::Conflict));
    }
    assert_eq!(shown(&gated.log).len(), 3, "two plugs and one event");
}

#[test]
fn a_closing_log_answers_what_came_before() {
    let gated = Gated::new();
    let answers = [(); 3].map(|()| gated.log.append(event("a", "in time"), None));
    let mut batches = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| gated.log.close());
        let mut events = 0;
        while events < 3 {
            events += gated.arrival();
            batches += 1;
            gated.let_through();
        }
    });
    assert!(answers.map(block_on).iter().all(Result::is_ok));
    assert!(batches <= 3);
}
