use super::*;
use portcullis_edge_core::{ConfigErrors, MemoryHost, Now, PolicyDuration};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const FAST: Outcome = Outcome::Answered(Duration::from_millis(5));
const SLOW: Outcome = Outcome::Answered(Duration::from_secs(2));

fn compile(section: Value) -> Result<Breakers, Vec<String>> {
    let raw: Named<RawBreaker> = deserr::deserialize::<_, _, ConfigErrors>(section).unwrap();
    Breakers::compile(&raw, &Node::top().key("breakers"), &["order", "user"])
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// A gateway with some workers.
struct Gateway {
    breakers: Breakers,
    workers: Vec<BreakerState>,
    host: MemoryHost,
}

impl Gateway {
    fn new(breaker: Value) -> Self {
        let breakers = compile(json!({ "order": breaker })).unwrap();
        let namespace = Namespace::new("t");
        let workers = (0..3).map(|_| breakers.state(&namespace)).collect();
        let host = MemoryHost::at(Now { mono: Mono(1_000_000_000), ..Now::default() });
        Self { breakers, workers, host }
    }

    fn admit(&mut self, worker: usize) -> Admitted {
        self.breakers.admit(0, &mut self.workers[worker], &self.host)
    }

    fn record(&mut self, worker: usize, call: Call, outcome: Outcome) -> Option<(State, State, Why)> {
        let told = self.breakers.record(call, outcome, &mut self.workers[worker], &self.host).unwrap();
        told.map(|t| (t.from, t.to, t.why))
    }

    fn call(&mut self, worker: usize, outcome: Outcome) -> Option<(State, State, Why)> {
        let call = self.admit(worker).call.expect("the breaker refused");
        self.record(worker, call, outcome)
    }

    fn is_refused(&mut self, worker: usize) -> bool {
        self.admit(worker).denial.is_some()
    }

    /// Longer than any worker believes without asking.
    fn settle(&mut self) {
        self.host.advance(STALE);
    }

    fn wait(&mut self, seconds: u64) {
        self.host.advance(Duration::from_secs(seconds));
    }

    fn level(&self) -> Option<State> {
        self.breakers.levels(&self.workers[0], &self.host).next().flatten()
    }
}

#[test]
fn failures_in_a_row_open_it_for_all_workers_and_a_success_ends_the_row() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 3, "jitter_percent": 0 }));
    for outcome in [Outcome::Failed, Outcome::Failed, FAST, Outcome::Failed, Outcome::Failed] {
        assert_eq!(gateway.call(0, outcome), None);
    }
    gateway.settle();
    assert!(!gateway.is_refused(1));
    let opened = gateway.call(1, Outcome::Failed);
    assert_eq!(opened, Some((State::Closed, State::Open, Why::ConsecutiveFailures)));
    gateway.settle();
    for worker in 0..3 {
        let denial = gateway.admit(worker).denial.unwrap();
        assert_eq!((denial.reason, denial.retry_after), (BREAKER_OPEN, Some(Duration::from_millis(59_999))));
    }
    assert_eq!((gateway.level(), gateway.level().map(State::level)), (Some(State::Open), Some(1)));
}

#[test]
fn trials_are_bounded_and_so_many_successes_close_it() {
    let mut gateway =
        Gateway::new(json!({ "consecutive_failures": 1, "trials": 2, "successes": 3, "jitter_percent": 0 }));
    gateway.call(0, Outcome::Failed);
    gateway.wait(60);
    let first = gateway.admit(0);
    assert_eq!(first.transition.map(|t| (t.from, t.to)), Some((State::Open, State::HalfOpen)));
    let second = gateway.admit(1);
    assert!(first.call.unwrap().is_trial() && second.call.unwrap().is_trial());
    assert_eq!((second.transition, gateway.level()), (None, Some(State::HalfOpen)));
    assert!((0..3).all(|worker| gateway.is_refused(worker)));
    assert_eq!(gateway.record(0, first.call.unwrap(), FAST), None);
    assert_eq!(gateway.call(2, FAST), None);
    assert_eq!(
        gateway.record(1, second.call.unwrap(), FAST),
        Some((State::HalfOpen, State::Closed, Why::TrialsSucceeded))
    );
    assert!(!gateway.is_refused(0) && !gateway.admit(0).call.unwrap().is_trial());
}

#[test]
fn a_trial_that_fails_opens_it_again_and_one_that_is_abandoned_says_nothing() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 1, "successes": 1, "jitter_percent": 0 }));
    gateway.call(0, Outcome::Failed);
    gateway.wait(60);
    assert_eq!(gateway.call(0, Outcome::Abandoned), None);
    assert_eq!(gateway.call(1, Outcome::Failed), Some((State::HalfOpen, State::Open, Why::TrialFailed)));
    assert!(gateway.is_refused(1));
    gateway.wait(60);
    assert_eq!(gateway.call(2, FAST), Some((State::HalfOpen, State::Closed, Why::TrialsSucceeded)));
}

#[test]
fn a_trial_whose_worker_died_is_given_back_after_its_timeout_and_its_late_outcome_says_nothing() {
    let mut gateway =
        Gateway::new(json!({ "consecutive_failures": 1, "trial_timeout": "10s", "successes": 1 }));
    gateway.call(0, Outcome::Failed);
    gateway.wait(120);
    let lost = gateway.admit(0).call.unwrap();
    gateway.wait(9);
    assert!(gateway.is_refused(1));
    gateway.wait(1);
    let next = gateway.admit(1).call.unwrap();
    assert_eq!(gateway.record(0, lost, Outcome::Failed), None);
    assert_eq!(gateway.record(1, next, FAST).map(|(_, to, _)| to), Some(State::Closed));
}

#[test]
fn what_was_admitted_before_it_opened_says_nothing_afterwards() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 1, "successes": 2, "jitter_percent": 0 }));
    let old = gateway.admit(0).call.unwrap();
    gateway.call(1, Outcome::Failed);
    assert_eq!(gateway.record(0, old, Outcome::Failed), None);
    gateway.wait(60);
    gateway.call(1, FAST);
    assert_eq!(gateway.record(0, old, FAST), None);
    assert_eq!(gateway.level(), Some(State::HalfOpen));
}

#[test]
fn a_share_of_failures_opens_it_once_there_are_calls_enough_and_old_ones_leave_the_window() {
    let share = json!({ "percent": 50, "window": "10s", "min_calls": 10 });
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 0, "failures": share }));
    for n in 0..9 {
        assert_eq!(gateway.call(n % 3, Outcome::Failed), None, "too few calls");
    }
    gateway.wait(11);
    for n in 0..8 {
        gateway.call(n % 3, FAST);
        gateway.host.advance(Duration::from_millis(150));
    }
    for n in 0..7 {
        assert_eq!(gateway.call(n % 3, Outcome::Failed), None, "{n} of {}", n + 9);
    }
    assert_eq!(gateway.call(0, Outcome::Failed).map(|t| t.2), Some(Why::FailureRate));
}

#[test]
fn a_share_of_slow_calls_opens_it_and_a_slow_trial_is_a_failed_one() {
    let slow = json!({ "threshold": "1s", "percent": 60, "min_calls": 5 });
    let mut gateway = Gateway::new(json!({ "slow_calls": slow, "jitter_percent": 0 }));
    for outcome in [SLOW, SLOW, FAST, FAST] {
        assert_eq!(gateway.call(0, outcome), None);
    }
    assert_eq!(gateway.call(0, SLOW).map(|t| t.2), Some(Why::SlowCalls));
    gateway.wait(60);
    assert_eq!(gateway.call(1, SLOW).map(|t| t.2), Some(Why::TrialFailed));
}

#[test]
fn shadow_refuses_nothing_and_says_what_it_would() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 1, "mode": "shadow" }));
    assert!(gateway.call(0, Outcome::Failed).is_some());
    let admitted = gateway.admit(0);
    assert_eq!((admitted.denial, admitted.shadow, admitted.call), (None, true, None));
    assert_eq!(Gateway::new(json!({ "mode": "off" })).admit(0), Admitted::passes(None, None));
}

#[test]
fn jitter_makes_it_longer_and_never_shorter() {
    let mut longest = Duration::ZERO;
    for seed in 0..50_u8 {
        let mut gateway = Gateway::new(json!({ "consecutive_failures": 1, "jitter_percent": 20 }));
        for _ in 0..seed {
            let _ = gateway.host.random_16();
        }
        gateway.call(0, Outcome::Failed);
        let retry = gateway.admit(0).denial.unwrap().retry_after.unwrap();
        assert!((Duration::from_secs(60)..Duration::from_secs(72)).contains(&retry));
        longest = longest.max(retry);
    }
    assert!(longest > Duration::from_secs(61));
}

#[test]
fn a_clock_that_jumps_back_holds_no_breaker_open_for_ever() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 1 }));
    gateway.wait(100_000);
    gateway.call(0, Outcome::Failed);
    gateway.host.set_now(Now { mono: Mono(5), ..Now::default() });
    assert!(gateway.admit(0).call.is_some_and(|call| call.is_trial()));
}

#[test]
fn shared_data_that_fails_lets_calls_pass_and_contention_gives_out_no_trial() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 1 }));
    gateway.call(0, Outcome::Failed);
    gateway.wait(120);
    gateway.host.conflict(u32::MAX);
    let contended = gateway.admit(1);
    assert!(contended.failed && contended.denial.is_some());
    gateway.host.conflict(0);
    gateway.host.fail_shared(true);
    let blind = gateway.admit(2);
    assert_eq!((blind.failed, blind.denial, blind.call), (true, None, None));
    gateway.host.fail_shared(false);
    assert!(gateway.admit(2).call.unwrap().is_trial());
}

#[test]
fn a_new_policy_keeps_the_state_and_a_changed_breaker_begins_anew() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 2 }));
    gateway.call(0, Outcome::Failed);
    let before = gateway.admit(0).call.unwrap();
    gateway.call(0, Outcome::Failed);
    let reload = |host, breaker| Gateway { host, ..Gateway::new(breaker) };
    let mut same = reload(gateway.host, json!({ "consecutive_failures": 2 }));
    assert!(same.is_refused(0));
    let mut changed = reload(same.host, json!({ "consecutive_failures": 1 }));
    assert!(!changed.is_refused(0));
    assert_eq!(changed.record(0, before, Outcome::Failed), None, "it was admitted by another breaker");
    assert_eq!(changed.host.shared_sizes().len(), 1);
}

#[test]
fn mistakes_are_told_all_at_once() {
    let errors = compile(json!({
        "ordr": { "trials": 0, "open_for": "2d" },
        "user": { "consecutive_failures": 0 },
        "*": { "failures": { "percent": 0 }, "slow_calls": { "threshold": "1s", "percent": 5, "window": "20s" } } }))
    .unwrap_err();
    assert_eq!(
        errors,
        [
            "breakers.*.failures.percent: found `0`, expected a whole number from 1 to 100",
            "breakers.*.slow_calls.window: found `20s`, expected the window of `failures`, `10s`",
            "breakers.ordr.open_for: found `2days`, expected a duration from `1ms` to `1day`",
            "breakers.ordr.trials: found `0`, expected a whole number from 1 to 100",
            "breakers.ordr: found `ordr`, expected the name of a service, or `*`; did you mean `order`?",
            "breakers.user: found nothing that opens it, expected `consecutive_failures`, `failures` or `slow_calls`",
        ]
    );
    let both = compile(json!({ "*": {}, "user": { "mode": "off" } })).unwrap();
    assert!(both.has(0) && !both.has(1));
}

#[test]
fn a_success_that_was_kept_ends_a_row_of_failures_too() {
    let share = json!({ "percent": 100, "min_calls": 1000 });
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 2, "failures": share }));
    gateway.call(1, FAST);
    gateway.call(0, Outcome::Failed);
    gateway.call(1, FAST);
    assert_eq!(gateway.call(1, Outcome::Failed), None, "worker 1 had kept a success");
    assert_eq!(gateway.call(1, Outcome::Failed).map(|t| t.2), Some(Why::ConsecutiveFailures));
}

#[test]
fn a_threshold_of_slow_calls_is_checked_as_their_share_is() {
    let errors = compile(json!({ "*": { "slow_calls": { "threshold": "2h", "percent": 0 } } })).unwrap_err();
    let expected = [
        "breakers.*.slow_calls.threshold: found `2h`, expected a duration from `1ms` to `1h`",
        "breakers.*.slow_calls.percent: found `0`, expected a whole number from 1 to 100",
    ];
    assert_eq!(errors, expected);
}

#[test]
fn what_is_left_out_has_its_default() {
    use crate::section::{RawShare, RawSlow};
    let raw: RawBreaker = deserr::deserialize::<_, _, ConfigErrors>(json!({})).unwrap();
    assert_eq!((raw.consecutive_failures, raw.jitter_percent), (5, 10));
    assert_eq!((raw.trials, raw.successes), (1, 3));
    let share: RawShare = deserr::deserialize::<_, _, ConfigErrors>(json!({ "percent": 1 })).unwrap();
    assert_eq!((share.window, share.min_calls), (PolicyDuration::secs(10), 20));
    let slow = json!({ "threshold": "1s", "percent": 1 });
    let slow: RawSlow = deserr::deserialize::<_, _, ConfigErrors>(slow).unwrap();
    assert_eq!((slow.window, slow.min_calls), (PolicyDuration::secs(10), 20));
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever workers do and however calls end: no more trials are under way than may be, each is given back, and none
        /// passes while the breaker is open.
        #[test]
        fn half_open_never_admits_more_than_its_trials(
            trials in 1_u32..4, successes in 1_u32..4,
            steps in prop::collection::vec((0_usize..3, 0_u8..4, 0_u64..20, 0_usize..8), 1..200),
        ) {
            let mut gateway = Gateway::new(json!({
                "consecutive_failures": 2, "trials": trials, "successes": successes, "open_for": "30s",
                "trial_timeout": "1d", "jitter_percent": 0 }));
            let mut under_way: Vec<Call> = Vec::new();
            for (worker, kind, seconds, which) in steps {
                gateway.wait(seconds);
                gateway.settle();
                if kind == 0 || under_way.is_empty() {
                    let level = gateway.level();
                    let admitted = gateway.admit(worker);
                    let live = under_way.iter().filter(|call| call.is_trial()).count();
                    match admitted.call {
                        Some(call) => {
                            prop_assert!(!call.is_trial() || live < trials as usize);
                            prop_assert_eq!(call.is_trial(), level != Some(State::Closed));
                            under_way.push(call);
                        }
                        None => prop_assert!(level == Some(State::Open) || live >= 1),
                    }
                } else {
                    let call = under_way.remove(which % under_way.len());
                    let outcome = [FAST, Outcome::Failed, Outcome::Abandoned][usize::from(kind - 1)];
                    if let Some((from, to, _)) = gateway.record(worker, call, outcome) {
                        prop_assert_eq!(gateway.level(), Some(to));
                        // Trials of a phase that is over no longer count.
                        if from == State::HalfOpen {
                            under_way.retain(|call| !call.is_trial());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_worker_believes_what_it_has_read_for_a_while_and_asks_again_after_it() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 1, "jitter_percent": 0 }));
    gateway.admit(0);
    gateway.host.fail_shared(true);
    gateway.host.advance(STALE - Duration::from_nanos(1));
    assert!(gateway.admit(0).call.is_some());
    gateway.host.advance(Duration::from_nanos(1));
    assert!(gateway.admit(0).failed, "a closed breaker is asked about again");
    gateway.host.fail_shared(false);
    gateway.call(0, Outcome::Failed);
    gateway.host.fail_shared(true);
    gateway.wait(59);
    let refused = gateway.admit(0);
    assert!(refused.denial.is_some() && !refused.failed, "an open one is open as long as it said");
    gateway.wait(1);
    assert!(gateway.admit(0).failed);
}

#[test]
fn what_was_read_of_a_breaker_says_nothing_of_one_that_was_changed() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 1 }));
    gateway.admit(0);
    gateway.host.fail_shared(true);
    let changed = compile(json!({ "order": { "consecutive_failures": 2 } })).unwrap();
    assert!(changed.admit(0, &mut gateway.workers[0], &gateway.host).failed);
}

#[test]
fn a_clock_that_jumps_back_ends_what_a_worker_believes() {
    let mut gateway = Gateway::new(json!({ "consecutive_failures": 1 }));
    gateway.admit(0);
    gateway.host.set_now(Now { mono: Mono(999_999_999), ..Now::default() });
    gateway.host.fail_shared(true);
    assert!(gateway.admit(0).failed);
}

/// Whether an outcome is kept for later, and not told to the other workers at once.
fn is_kept(gateway: &mut Gateway, outcome: Outcome) -> bool {
    let call = gateway.admit(0).call.unwrap();
    gateway.host.fail_shared(true);
    let kept = gateway.breakers.record(call, outcome, &mut gateway.workers[0], &gateway.host).is_ok();
    gateway.host.fail_shared(false);
    kept
}

#[test]
fn successes_are_told_once_in_a_while_where_shares_are_counted_and_else_only_at_the_end_of_a_row() {
    let mut rows = Gateway::new(json!({ "consecutive_failures": 2 }));
    assert!(is_kept(&mut rows, FAST) && is_kept(&mut rows, Outcome::Abandoned));
    assert!(!is_kept(&mut rows, Outcome::Failed));
    rows.call(0, Outcome::Failed);
    assert!(!is_kept(&mut rows, FAST), "it ends a row");
    let slow = json!({ "threshold": "1s", "percent": 60, "min_calls": 1000 });
    let mut shares = Gateway::new(json!({ "consecutive_failures": 0, "slow_calls": slow }));
    shares.wait(100);
    shares.call(0, FAST);
    assert!(is_kept(&mut shares, FAST) && !is_kept(&mut shares, SLOW));
    shares.host.advance(WRITE_INTERVAL - Duration::from_nanos(1));
    assert!(is_kept(&mut shares, FAST));
    shares.host.advance(Duration::from_nanos(1));
    assert!(!is_kept(&mut shares, FAST), "the others have waited for it");
}

#[test]
fn breakers_know_whose_they_are_and_how_serious() {
    let breakers = compile(json!({ "user": { "mode": "shadow" } })).unwrap();
    assert!(breakers.any() && breakers.has(1) && !breakers.has(0) && !breakers.has(2));
    assert_eq!([0, 1, 2].map(|service| breakers.mode(service)), [Mode::Off, Mode::Shadow, Mode::Off]);
    assert!(!compile(json!({})).unwrap().any());
    let host = MemoryHost::at(Now::default());
    let call = breakers.admit(1, &mut breakers.state(&Namespace::new("t")), &host).call.unwrap();
    assert_eq!((call.service(), call.is_trial(), call.begun()), (1, false, Mono(0)));
}

#[test]
fn states_and_causes_have_the_names_and_levels_of_gauge_and_log_lines() {
    let states = [State::Closed, State::Open, State::HalfOpen];
    assert_eq!(
        states.map(|state| (state.level(), state.as_str())),
        [(0, "closed"), (1, "open"), (2, "half_open")]
    );
    let causes = [
        Why::ConsecutiveFailures,
        Why::FailureRate,
        Why::SlowCalls,
        Why::TimeForTrials,
        Why::TrialFailed,
        Why::TrialsSucceeded,
    ];
    let names = [
        "consecutive_failures",
        "failure_rate",
        "slow_calls",
        "time_for_trials",
        "trial_failed",
        "trials_succeeded",
    ];
    assert_eq!(causes.map(Why::as_str), names);
}
