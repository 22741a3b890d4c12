use super::*;
use core::cell::RefCell;
use core::time::Duration;
use portcullis_edge_core::{Call, CallToken, HostError, MemoryHost, Mono, Now, Shared};
use proptest::prelude::*;
use std::collections::HashMap;

const SECOND: u64 = 1_000_000_000;

fn rate(limit: u64, burst: u64) -> Rate {
    Rate::new(limit, Duration::from_secs(10), burst).unwrap()
}

fn key(number: u64) -> Hashed {
    // Any mixing will do: the secret's own hash is tested where it stands.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Hashed { place: mixed ^ mixed >> 32, print: mixed.rotate_left(17) ^ number }
}

fn charge(number: u64, tag: u16, rate: Rate, now: u64) -> Charge {
    Charge { key: key(number), tag: Tag(tag), rate, cost: 1, now }
}

fn table(bits: u32, ways: usize) -> Table {
    Table::new("t/".to_owned(), bits, ways)
}

type Intruder<'a> = Box<dyn FnOnce(&MemoryHost) + 'a>;

/// A proxy in which other workers act between a read and the swap that follows it.
struct Racing<'a> {
    host: &'a MemoryHost,
    intruders: RefCell<Vec<Intruder<'a>>>,
}

impl Host for Racing<'_> {
    fn now(&self) -> Now {
        self.host.now()
    }
    fn mono(&self) -> Mono {
        self.host.mono()
    }
    fn random_16(&self) -> [u8; 16] {
        self.host.random_16()
    }
    fn verify_signature(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn shared(&self, key: &str) -> Result<Option<Shared>, HostError> {
        self.host.shared(key)
    }
    fn swap_shared(&self, key: &str, value: &[u8], expected: Option<u32>) -> Result<bool, HostError> {
        let intruder = self.intruders.borrow_mut().pop();
        intruder.into_iter().for_each(|act| act(self.host));
        self.host.swap_shared(key, value, expected)
    }
    fn call(&self, _: &Call) -> Result<CallToken, HostError> {
        Err(HostError::BAD_ARGUMENT)
    }
}

/// One limiter for all, without a table: what the workers together must equal.
#[derive(Default)]
struct Serial(HashMap<(u64, u16), u64>);

impl Serial {
    fn admits(&mut self, charge: &Charge) -> bool {
        let tat = self.0.entry((charge.key.print, charge.tag.0)).or_default();
        let judged = charge.rate.judge(*tat, charge.now, charge.cost);
        *tat = judged.tat.unwrap_or(*tat);
        judged.is_admitted()
    }
}

/// A request: pause before it, key, cost; and requests of other workers that come between its read and its write.
type Step = (u64, (u64, u64), Vec<(u64, u64)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let request = || (0_u64..6, 1_u64..4);
    let intruders = prop::collection::vec(request(), 0..3);
    prop::collection::vec((0_u64..SECOND, request(), intruders), 1..150)
}

proptest! {
    #[test]
    fn workers_that_race_admit_exactly_what_one_serial_limiter_admits(steps in steps()) {
        let rates = [rate(10, 10), rate(40, 5), rate(3, 3)];
        let host = MemoryHost::default();
        let workers: Vec<_> = (0..4).map(|_| RefCell::new(table(2, 32))).collect();
        let (serial, mut now) = (RefCell::new(Serial::default()), 0);
        for (step, (pause, request, intruders)) in steps.into_iter().enumerate() {
            now += pause;
            let charge = |(number, cost): (u64, u64)| {
                let tag = u16::try_from(number % 3).unwrap();
                Charge { cost, ..charge(number, tag + 1, rates[usize::from(tag)], now) }
            };
            let (workers, serial) = (&workers, &serial);
            let intrude = |(index, other): (usize, (u64, u64))| -> Intruder<'_> {
                let charge = charge(other);
                Box::new(move |host| {
                    let worker = &workers[(step + index + 1) % workers.len()];
                    let admitted = worker.borrow_mut().charge(&charge, host).unwrap().judged.is_admitted();
                    assert_eq!(admitted, serial.borrow_mut().admits(&charge));
                })
            };
            let intruders = intruders.into_iter().take(3).enumerate().map(intrude).collect();
            let racing = Racing { host: &host, intruders: RefCell::new(intruders) };
            let charge = charge(request);
            let admitted = workers[step % 4].borrow_mut().charge(&charge, &racing).unwrap().judged.is_admitted();
            prop_assert_eq!(admitted, serial.borrow_mut().admits(&charge));
        }
    }

    /// In a table that is far too small: whatever a key is admitted, its own exact limiter would have admitted.
    #[test]
    fn a_crowded_table_never_gives_a_request_back(
        requests in prop::collection::vec((0_u64..SECOND / 2, 0_u64..40), 1..400),
    ) {
        let host = MemoryHost::default();
        let rates = [rate(10, 10), rate(40, 5), rate(3, 3)];
        let (mut table, mut exact, mut now) = (table(0, 6), Serial::default(), 0);
        for (pause, number) in requests {
            now += pause;
            let tag = u16::try_from(number % 3).unwrap();
            let charge = charge(number, tag + 1, rates[usize::from(tag)], now);
            if table.charge(&charge, &host).unwrap().judged.is_admitted() {
                prop_assert!(exact.admits(&charge), "key {} was admitted more than its limit", number);
            }
        }
    }
}

#[test]
fn a_used_up_key_stays_used_up_through_a_flood_of_a_million_others() {
    let host = MemoryHost::default();
    let (mut table, rate) = (table(12, 32), rate(100, 100));
    let client = charge(u64::MAX, 1, rate, 0);
    let used = (0..200).filter(|_| table.charge(&client, &host).unwrap().judged.is_admitted()).count();
    assert_eq!(used, 100);
    let mut refused_newcomers = 0_u64;
    for number in 0..1_000_000 {
        let newcomer = table.charge(&charge(number, 1, rate, 0), &host).unwrap();
        refused_newcomers += u64::from(!newcomer.judged.is_admitted());
    }
    let after = table.charge(&client, &host).unwrap().judged;
    assert_eq!((after.is_admitted(), after.remaining), (false, 0));
    // 1,000,000 requests in 4,096 blocks of 32 places: newcomers begin with 1,000,000 / (4,096 * 32) = 7.6 requests on average.
    assert_eq!(refused_newcomers, 0);
    let late = table.charge(&charge(2_000_000, 1, rate, 0), &host).unwrap();
    assert!(late.crowded && (80..100).contains(&late.judged.remaining), "{late:?}");
}

#[test]
fn the_table_takes_no_more_room_for_a_million_keys_than_it_has() {
    let host = MemoryHost::default();
    let (mut table, rate) = (table(4, 8), rate(10, 10));
    for number in 0..100_000 {
        table.charge(&charge(number, 1, rate, 0), &host).unwrap();
    }
    let sizes = host.shared_sizes();
    assert_eq!((sizes.len(), sizes.iter().map(|(_, size)| size).max()), (16, Some(&(9 * CELL))));
}

#[test]
fn keys_whose_quota_is_whole_again_leave_their_place() {
    let host = MemoryHost::default();
    let (mut table, rate) = (table(0, 4), rate(10, 10));
    for number in 0..4 {
        table.charge(&charge(number, 1, rate, 0), &host).unwrap();
    }
    let later = table.charge(&charge(9, 1, rate, 60 * SECOND), &host).unwrap();
    assert_eq!((later.crowded, later.judged.remaining), (false, 9));
    assert_eq!(host.shared_sizes()[0].1, CELL);
}

#[test]
fn limits_of_one_block_share_its_places_and_not_their_tats() {
    let host = MemoryHost::default();
    let (mut table, slow, fast) = (table(0, 4), rate(1, 1), rate(1_000, 10));
    for number in 0..8 {
        table.charge(&charge(number, 1, slow, 0), &host).unwrap();
    }
    let other = table.charge(&charge(0, 2, fast, 0), &host).unwrap();
    assert!(other.evicted && !table.charge(&charge(0, 2, fast, 0), &host).unwrap().evicted);
    assert_eq!((other.crowded, other.judged.remaining), (true, 9), "the other limit's use is not its own");
}

#[test]
fn a_look_charges_nothing() {
    let host = MemoryHost::default();
    let (mut table, rate) = (table(0, 4), rate(2, 2));
    let charge = charge(1, 1, rate, 0);
    for _ in 0..5 {
        assert_eq!(table.look(&charge, &host).unwrap().judged.remaining, 1);
    }
    assert!(host.shared_sizes().is_empty());
}

#[test]
fn shared_data_that_fails_or_is_always_contended_charges_nothing() {
    let host = MemoryHost::default();
    let (mut table, rate) = (table(0, 4), rate(1, 1));
    host.conflict(u32::MAX);
    assert_eq!(table.charge(&charge(1, 1, rate, 0), &host), Err(StoreError::Contended));
    host.conflict(0);
    host.fail_shared(true);
    assert_eq!(table.charge(&charge(1, 1, rate, 0), &host), Err(StoreError::Host));
    host.fail_shared(false);
    assert!(table.charge(&charge(1, 1, rate, 0), &host).unwrap().judged.is_admitted());
}

#[test]
fn a_clock_that_jumps_back_makes_nobody_wait_longer_than_the_span() {
    let host = MemoryHost::default();
    let (mut table, rate) = (table(0, 4), rate(2, 2));
    for _ in 0..2 {
        table.charge(&charge(1, 1, rate, 1_000 * SECOND), &host).unwrap();
    }
    let refused = table.charge(&charge(1, 1, rate, 5 * SECOND), &host).unwrap().judged;
    assert_eq!((refused.is_admitted(), refused.retry), (false, Duration::from_secs(5)));
    assert!(table.charge(&charge(1, 1, rate, 2_000 * SECOND), &host).unwrap().judged.is_admitted());
}

#[test]
fn what_is_no_block_is_an_empty_one() {
    let host = MemoryHost::default();
    host.swap_shared("t/0", b"garbage", None).unwrap();
    let charged = table(0, 4).charge(&charge(1, 1, rate(2, 2), 0), &host).unwrap();
    assert_eq!(charged.judged.remaining, 1);
}

#[test]
fn a_key_leaves_its_place_in_the_very_moment_its_quota_is_whole_again() {
    let host = MemoryHost::default();
    let (mut table, rate) = (table(0, 2), rate(10, 10));
    for number in 0..2 {
        table.charge(&charge(number, 1, rate, 0), &host).unwrap();
    }
    let early = table.look(&charge(9, 1, rate, SECOND - 1), &host).unwrap();
    let later = table.look(&charge(9, 1, rate, SECOND), &host).unwrap();
    assert_eq!((early.crowded, later.crowded, later.judged.remaining), (true, false, 9));
}

#[test]
fn a_limit_without_a_key_in_a_full_block_takes_a_place_from_the_limit_that_has_most() {
    let host = MemoryHost::default();
    let (mut table, rate) = (table(0, 6), rate(10, 10));
    for (number, tag) in [(0, 1), (1, 2), (2, 2), (3, 2), (4, 5), (5, 5)] {
        table.charge(&charge(number, tag, rate, 0), &host).unwrap();
    }
    assert!(table.charge(&charge(9, 7, rate, 0), &host).unwrap().evicted);
    let mut left = |number, tag| table.look(&charge(number, tag, rate, 0), &host).unwrap().judged.remaining;
    assert_eq!([left(0, 1), left(4, 5), left(5, 5)], [8, 8, 8], "others have their places still");
    assert_eq!(left(9, 7), 8);
}

#[test]
fn a_place_that_another_limit_leaves_gives_back_nothing_of_what_was_put_out() {
    let host = MemoryHost::default();
    let (mut table, rate) = (table(0, 3), rate(10, 10));
    for (number, tag, cost) in [(1, 1, 8), (2, 1, 9), (3, 2, 1)] {
        let charged = table.charge(&Charge { cost, ..charge(number, tag, rate, 0) }, &host).unwrap();
        assert!(!charged.crowded && !charged.evicted);
    }
    assert!(table.charge(&charge(4, 1, rate, 0), &host).unwrap().evicted);
    // The second limit's only key has its quota back: there is a place, and the first key may come for it.
    let mut come = |tag, second| {
        let charged = table.look(&charge(9, tag, rate, second * SECOND), &host).unwrap();
        (charged.crowded, charged.judged.remaining)
    };
    assert_eq!([come(1, 2), come(1, 7)], [(true, 3), (true, 8)]);
    assert_eq!([come(2, 2), come(1, 8)], [(false, 9), (false, 9)]);
}
