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
    /// A name has been looked up: what can be read of it.
    Resolved { vm: VmId, root: u32, token: u32, found: Vec<u8> },
    /// Something was put in a queue.
    QueueReady { vm: VmId, root: u32, queue: u32 },
}

/// When an event is due, and its number: those that are due at the same instant keep their order.
type Due = (u64, u64);

/// All events to come, by worker: of a million that are due at once, only the first of each worker is looked at.
pub(crate) struct EventQueue {
    events: BTreeMap<WorkerId, BTreeMap<Due, Event>>,
    next: u64,
    rng: Option<Rng>,
}

impl EventQueue {
    pub fn new(seed: Option<u64>) -> Self {
        Self { events: BTreeMap::new(), next: 0, rng: seed.map(Rng::new) }
    }

    pub fn push(&mut self, time: u64, worker: WorkerId, event: Event) {
        self.events.entry(worker).or_default().insert((time, self.next), event);
        self.next += 1;
    }

    /// The next event that is due at or before `until`.
    pub fn pop(&mut self, until: u64) -> Option<(u64, WorkerId, Event)> {
        self.pop_for(until, |_| true)
    }

    /// As `pop`, for those workers only that the filter lets through.
    pub fn pop_for(&mut self, until: u64, may: impl Fn(WorkerId) -> bool) -> Option<(u64, WorkerId, Event)> {
        let candidates = self.candidates(until, may);
        let (due, worker) = match &mut self.rng {
            Some(rng) if candidates.len() > 1 => candidates[rng.below(candidates.len())],
            _ => *candidates.first()?,
        };
        let event = self.events.get_mut(&worker)?.remove(&due)?;
        Some((due.0, worker, event))
    }

    /// The first event of each worker among those that are due first, in their order.
    fn candidates(&self, until: u64, may: impl Fn(WorkerId) -> bool) -> Vec<(Due, WorkerId)> {
        let firsts = self.events.iter().filter(|(worker, _)| may(**worker));
        let firsts = firsts.filter_map(|(worker, events)| Some((*events.keys().next()?, *worker)));
        let mut due: Vec<_> = firsts.filter(|((time, _), _)| *time <= until).collect();
        due.sort_unstable();
        let first = due.first().map(|((time, _), _)| *time);
        due.retain(|((time, _), _)| Some(*time) == first);
        due
    }

    /// Forgets the events that match.
    pub fn cancel(&mut self, matches: impl Fn(&Event) -> bool) {
        self.events.values_mut().for_each(|events| events.retain(|_, event| !matches(event)));
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
