//! What is going to happen, ordered by time. Events of one worker keep their order; between workers, events that are
//! due at the same instant are taken in an order that the seed decides.

use std::collections::BTreeMap;

use super::rng::Rng;
use crate::callout::{CallResult, GrpcStep};
use crate::stream::StreamId;
use crate::vm::VmId;

/// Number of a worker; the main thread comes after the workers.
pub(crate) type WorkerId = usize;

/// Something that will happen to a worker.
#[derive(Debug)]
pub(crate) enum Event {
    /// The client sends its next part.
    Client { stream: StreamId },
    /// The upstream sends its next part.
    Upstream { stream: StreamId },
    /// The route's timeout has come.
    RouteTimeout { stream: StreamId },
    /// Nothing has happened on the stream for too long.
    Idle { stream: StreamId },
    /// A callout has been answered, or has failed.
    HttpCall { vm: VmId, root: u32, token: u32, result: CallResult },
    /// A gRPC callout has moved on.
    Grpc { vm: VmId, root: u32, token: u32, step: GrpcStep },
    /// A timer fires, unless it has been set again since.
    Tick { vm: VmId, root: u32, generation: u64 },
    /// Something was put in a queue.
    QueueReady { vm: VmId, root: u32, queue: u32 },
}

#[derive(Debug)]
struct Scheduled {
    worker: WorkerId,
    event: Event,
}

/// All events to come.
pub(crate) struct EventQueue {
    events: BTreeMap<(u64, u64), Scheduled>,
    next: u64,
    rng: Option<Rng>,
}

impl EventQueue {
    pub fn new(seed: Option<u64>) -> Self {
        Self { events: BTreeMap::new(), next: 0, rng: seed.map(Rng::new) }
    }

    pub fn push(&mut self, time: u64, worker: WorkerId, event: Event) {
        self.events.insert((time, self.next), Scheduled { worker, event });
        self.next += 1;
    }

    /// The next event that is due at or before `until`.
    pub fn pop(&mut self, until: u64) -> Option<(u64, WorkerId, Event)> {
        self.pop_for(until, |_| true)
    }

    /// As `pop`, for those workers only that the filter lets through.
    pub fn pop_for(&mut self, until: u64, may: impl Fn(WorkerId) -> bool) -> Option<(u64, WorkerId, Event)> {
        let candidates = self.candidates(until, may);
        let key = match &mut self.rng {
            Some(rng) if candidates.len() > 1 => candidates[rng.below(candidates.len())],
            _ => *candidates.first()?,
        };
        let scheduled = self.events.remove(&key)?;
        Some((key.0, scheduled.worker, scheduled.event))
    }

    /// The first event of each worker among those that are due first.
    fn candidates(&self, until: u64, may: impl Fn(WorkerId) -> bool) -> Vec<(u64, u64)> {
        let mut found: Vec<((u64, u64), WorkerId)> = Vec::new();
        for (key, scheduled) in &self.events {
            let late = key.0 > until || found.first().is_some_and(|(first, _)| key.0 > first.0);
            if late {
                break;
            }
            if may(scheduled.worker) && found.iter().all(|(_, worker)| *worker != scheduled.worker) {
                found.push((*key, scheduled.worker));
            }
        }
        found.into_iter().map(|(key, _)| key).collect()
    }

    /// Forgets the events that match.
    pub fn cancel(&mut self, matches: impl Fn(&Event) -> bool) {
        self.events.retain(|_, scheduled| !matches(&scheduled.event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(generation: u64) -> Event {
        Event::Tick { vm: VmId(0), root: 1, generation }
    }

    fn order(seed: Option<u64>) -> Vec<(WorkerId, u64)> {
        let mut queue = EventQueue::new(seed);
        for n in 0..6 {
            queue.push(5, n % 3, tick(n as u64));
        }
        std::iter::from_fn(|| queue.pop(10))
            .map(|(_, worker, event)| match event {
                Event::Tick { generation, .. } => (worker, generation),
                other => panic!("unexpected {other:?}"),
            })
            .collect()
    }

    #[test]
    fn one_seed_gives_one_order_and_another_seed_another() {
        assert_eq!(order(Some(7)), order(Some(7)));
        assert!((0..20).any(|seed| order(Some(seed)) != order(Some(7))));
    }

    #[test]
    fn a_worker_sees_its_own_events_in_their_order_whatever_the_seed() {
        for seed in 0..20 {
            let own: Vec<u64> =
                order(Some(seed)).into_iter().filter(|(w, _)| *w == 1).map(|(_, n)| n).collect();
            assert_eq!(own, [1, 4]);
        }
    }

    #[test]
    fn what_is_not_due_stays() {
        let mut queue = EventQueue::new(None);
        queue.push(5, 0, tick(0));
        assert!(queue.pop(4).is_none());
        assert!(queue.pop(5).is_some());
    }
}
