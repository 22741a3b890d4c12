#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::error::{TokenError, refuse};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn at(millis: u64) -> Mono {
    Mono(0).plus(Duration::from_millis(1_000_000 + millis))
}

fn asker(turn: Turn) -> Asker {
    match turn {
        Turn::Ask(asker) => asker,
        _ => panic!("not to ask"),
    }
}

fn good() -> Verdict {
    Ok(Rc::new(Identity::of_claims("{}")))
}

const REVOKED: Refusal = refuse(TokenError::Revoked, "");

#[test]
fn fifty_requests_with_one_token_ask_once_and_all_take_the_answer() {
    let mut questions = Questions::default();
    let key = key(0, b"token");
    let asking = asker(questions.turn(key, at(0)));
    for _ in 0..49 {
        assert!(matches!(questions.turn(key, at(1)), Turn::Wait));
    }
    assert!(!questions.poll(at(2)));
    questions.answered(key, Err(REVOKED), at(3));
    drop(asking);
    assert!(questions.poll(at(3)), "they are told");
    assert!(!questions.poll(at(3)), "once");
    for _ in 0..49 {
        assert!(matches!(questions.turn(key, at(4)), Turn::Take(Err(REVOKED))));
    }
    drop(asker(questions.turn(key, at(5))));
}

#[test]
fn tokens_and_providers_are_asked_about_each_by_itself() {
    let mut questions = Questions::default();
    let _asking = [key(0, b"a"), key(0, b"b"), key(1, b"a")].map(|key| asker(questions.turn(key, at(0))));
}

#[test]
fn a_question_that_is_given_up_lets_another_ask() {
    let mut questions = Questions::default();
    let key = key(0, b"token");
    drop(asker(questions.turn(key, at(0))));
    let second = asker(questions.turn(key, at(1)));
    assert!(matches!(questions.turn(key, at(2)), Turn::Wait));
    drop(second);
    assert!(questions.poll(at(3)), "whoever waits looks again");
    drop(asker(questions.turn(key, at(4))));
}

#[test]
fn an_answer_that_nobody_waits_for_any_more_is_forgotten() {
    let mut questions = Questions::default();
    let key = key(0, b"token");
    let _asking = asker(questions.turn(key, at(0)));
    assert!(matches!(questions.turn(key, at(1)), Turn::Wait));
    questions.answered(key, good(), at(2));
    drop(asker(questions.turn(key, at(1_002))));
    let mut alone = Questions::default();
    let _asking = asker(alone.turn(key, at(0)));
    alone.answered(key, good(), at(1));
    assert!(!alone.poll(at(1)), "there is nobody to tell");
    drop(asker(alone.turn(key, at(1))));
}

#[test]
fn an_inactive_token_is_remembered_for_a_while_and_not_for_ever() {
    let mut questions = Questions::default();
    let key = key(0, b"token");
    questions.remember_inactive(key, at(5_000));
    assert!(matches!(questions.turn(key, at(4_999)), Turn::Inactive));
    assert!(matches!(questions.turn(key, at(0)), Turn::Inactive));
    assert_eq!(questions.inactive_hits(), 2);
    drop(asker(questions.turn(key, at(5_000))));
}

#[test]
fn memory_for_inactive_tokens_is_bounded_and_the_oldest_leaves_first() {
    let mut questions = Questions::default();
    for n in 0..100_000_u32 {
        questions.remember_inactive(key(0, &n.to_le_bytes()), at(5_000));
    }
    assert_eq!(questions.inactive.len(), MAX_INACTIVE.get());
    assert_eq!(questions.inactive_evictions(), 100_000 - MAX_INACTIVE.get() as u64);
    assert!(matches!(questions.turn(key(0, &99_999_u32.to_le_bytes()), at(0)), Turn::Inactive));
    questions.remember_inactive(key(0, &99_999_u32.to_le_bytes()), at(6_000));
    assert_eq!(questions.inactive_evictions(), 100_000 - MAX_INACTIVE.get() as u64, "itself again");
}

#[test]
fn an_answer_is_kept_for_those_who_wait_and_for_a_second_at_most() {
    let mut questions = Questions::default();
    let keys = [key(0, b"taken"), key(0, b"left")];
    for key in keys {
        drop(asker(questions.turn(key, at(0))));
        let _asking = asker(questions.turn(key, at(0)));
        assert!(matches!(questions.turn(key, at(1)), Turn::Wait));
        questions.answered(key, good(), at(2));
    }
    assert!(matches!(questions.turn(keys[0], at(3)), Turn::Take(Ok(_))));
    assert!(questions.poll(at(3)));
    assert_eq!(questions.flights.keys().collect::<Vec<_>>(), [&keys[1]], "nobody waits for the other");
    questions.poll(at(1_001));
    assert_eq!(questions.flights.len(), 1);
    questions.poll(at(1_002));
    assert!(questions.flights.is_empty());
}
