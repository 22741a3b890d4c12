use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECOND: u64 = 1_000_000_000;

fn rate(limit: u64, seconds: u64, burst: u64) -> Rate {
    Rate::new(limit, Duration::from_secs(seconds), burst).unwrap()
}

/// Admits as many as pass at `now`, one by one.
fn drain(rate: Rate, tat: &mut u64, now: u64) -> u64 {
    let mut admitted = 0;
    while let Some(next) = rate.judge(*tat, now, 1).tat {
        *tat = next;
        admitted += 1;
    }
    admitted
}

#[test]
fn a_whole_burst_passes_at_once_and_then_one_each_interval() {
    let (rate, mut tat) = (rate(60, 60, 10), 0);
    assert_eq!(drain(rate, &mut tat, 5 * SECOND), 10);
    assert_eq!(drain(rate, &mut tat, 6 * SECOND - 1), 0);
    assert_eq!(drain(rate, &mut tat, 6 * SECOND), 1);
    assert_eq!(drain(rate, &mut tat, 9 * SECOND), 3);
    assert_eq!(drain(rate, &mut tat, 1000 * SECOND), 10, "no more than a burst is ever saved up");
}

#[test]
fn a_refusal_uses_nothing_and_says_when_to_come_back() {
    let (rate, mut tat) = (rate(2, 10, 2), 0);
    drain(rate, &mut tat, 0);
    let refused = rate.judge(tat, 3 * SECOND, 1);
    assert_eq!((refused.tat, refused.remaining), (None, 0));
    assert_eq!((refused.retry, refused.reset), (Duration::from_secs(2), Duration::from_secs(7)));
    assert!(rate.judge(tat, 5 * SECOND, 1).is_admitted());
}

#[test]
fn cost_counts_as_so_many_requests_and_more_than_a_burst_never_passes() {
    let rate = rate(10, 10, 5);
    let first = rate.judge(0, 0, 4);
    assert_eq!((first.remaining, first.is_admitted()), (1, true));
    assert_eq!(rate.judge(first.tat.unwrap(), 0, 2).retry, Duration::from_secs(1));
    assert!(!rate.judge(0, u64::MAX, 6).is_admitted());
    assert!(!rate.judge(0, 0, u64::MAX).is_admitted());
}

#[test]
fn a_clock_set_back_makes_nobody_wait_longer_than_the_span() {
    let (rate, mut tat) = (rate(10, 10, 10), 0);
    drain(rate, &mut tat, 1_000 * SECOND);
    assert_eq!(rate.judge(tat, 0, 1).retry, Duration::from_secs(1));
    assert_eq!(rate.judge(u64::MAX, 0, 1).reset, Duration::from_secs(10));
}

#[test]
fn rounding_never_admits_more_than_the_limit() {
    let rate = Rate::new(7, Duration::from_secs(1), 7).unwrap();
    assert!(rate.interval() * 7 >= SECOND);
    assert_eq!(rate.burst(), 7);
}

#[test]
fn what_cannot_be_a_limit_is_none() {
    assert_eq!(Rate::new(0, Duration::from_secs(1), 1), None);
    assert_eq!(Rate::new(1, Duration::ZERO, 1), None);
    assert_eq!(Rate::new(1, Duration::from_secs(1), 0), None);
    assert_eq!(Rate::new(1, Duration::from_secs(u64::MAX), 1), None);
    assert_eq!(Rate::new(1, Duration::from_secs(86_400), u64::MAX), None);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_tat_of_a_key_never_goes_back_and_stays_within_the_span(
            limit in 1_u64..50, burst in 1_u64..20,
            steps in prop::collection::vec((0_u64..3 * SECOND, 1_u64..4), 1..100),
        ) {
            let rate = rate(limit, 10, burst);
            let (mut tat, mut now) = (0, 0);
            for (pause, cost) in steps {
                now += pause;
                if let Some(next) = rate.judge(tat, now, cost).tat {
                    prop_assert!(next > tat && next > now && next <= now + rate.span());
                    tat = next;
                }
            }
        }

        /// In every stretch of time, however it is cut: no more than the burst and what that time refills.
        #[test]
        fn any_stretch_of_time_admits_a_burst_and_its_refill_at_most(
            limit in 1_u64..50, burst in 1_u64..20,
            pauses in prop::collection::vec(0_u64..2 * SECOND, 1..80),
        ) {
            let rate = rate(limit, 10, burst);
            let (mut tat, mut now, mut admitted) = (0, 0, Vec::new());
            for pause in pauses {
                now += pause;
                if let Some(next) = rate.judge(tat, now, 1).tat {
                    tat = next;
                    admitted.push(now);
                }
            }
            for (first, start) in admitted.iter().enumerate() {
                for (last, end) in admitted.iter().enumerate().skip(first) {
                    let refill = (end - start) / rate.interval();
                    prop_assert!((last - first + 1) as u64 <= burst + refill);
                }
            }
        }

        /// Whoever comes when told to is admitted, and a moment earlier is not.
        #[test]
        fn the_time_to_come_back_is_exact(limit in 1_u64..50, burst in 1_u64..20, now in 0_u64..SECOND, cost in 1_u64..20) {
            let rate = rate(limit, 10, burst);
            let mut tat = 0;
            drain(rate, &mut tat, now);
            let retry = u64::try_from(rate.judge(tat, now, cost).retry.as_nanos()).unwrap();
            prop_assert!(!rate.judge(tat, now + retry - 1, cost).is_admitted());
            prop_assert_eq!(rate.judge(tat, now + retry, cost).is_admitted(), cost <= burst);
        }
    }
}
