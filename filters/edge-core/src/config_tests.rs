use super::*;
use deserr::Deserr;
use serde_json::json;

#[derive(Debug, Deserr)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
struct Keys {
    #[expect(dead_code, reason = "only its mistakes are looked at")]
    secrets: Vec<Key>,
}

#[derive(Debug, Deserr)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
struct Key {
    #[expect(dead_code, reason = "only its mistakes are looked at")]
    alg: Alg,
    #[expect(dead_code, reason = "only its mistakes are looked at")]
    value: u8,
}

#[derive(Debug, Deserr)]
#[deserr(error = ConfigErrors)]
enum Alg {
    Hs256,
}

#[test]
fn a_secret_is_not_shown_wherever_it_stands_in_the_wrong_place() {
    for wrong in [
        json!({"secrets": "s3cret"}),
        json!({"secrets": ["s3cret"]}),
        json!({"secrets": [{"alg": "s3cret", "value": 1}]}),
        json!({"secrets": [{"alg": "Hs256", "value": 1, "s3cret": 1}]}),
        json!({"secrets": [{"alg": "Hs256", "value": "s3cret"}]}),
        json!({"secrets": [{"alg": "Hs256", "value": 1_234_567}]}),
    ] {
        let errors = deserr::deserialize::<Keys, _, ConfigErrors>(wrong).unwrap_err();
        for error in &errors.0 {
            let told = error.to_string();
            assert!(told.starts_with("secrets"), "{told}");
            assert!(!told.contains("s3cret") && !told.contains("1234567"), "{told}");
        }
    }
    let _ = Alg::Hs256;
}

#[test]
fn fields_are_known_for_secret_by_their_names() {
    let at = |name: &str| Node::top().key("a").key(name).index(0);
    for name in ["secrets", "client_secret", "Password", "tls_private_key", "X-Api-Key", "jwks", "public_pem"]
    {
        assert!(at(name).may_hold_secret(), "{name}");
    }
    for name in ["jwks_uri", "token", "auth", "max_keys", "cookie"] {
        assert!(!at(name).may_hold_secret(), "{name}");
    }
}

#[test]
fn the_password_in_an_address_is_not_shown() {
    let told = |found: &str| Node::top().error(found, "x").found;
    assert_eq!(told("`https://user:s3cret@idp.example/keys`"), "`https://***@idp.example/keys`");
    assert_eq!(told("`https://idp.example/@s`"), "`https://idp.example/@s`");
}

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[derive(Debug, Deserr)]
#[deserr(deny_unknown_fields)]
struct Sample {
    #[allow(dead_code)]
    port: u16,
    #[allow(dead_code)]
    name: String,
}

fn errors(value: serde_json::Value) -> Vec<String> {
    let result: Result<Sample, ConfigErrors> = deserr::deserialize(value);
    result.unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn all_mistakes_of_an_object_are_told_at_once() {
    assert_eq!(
        errors(json!({"port": "x", "nam": 1})),
        [
            "port: found the text `x`, expected a whole number, 0 or more",
            "nam: found the unknown field `nam`, expected one of `port`, `name`; did you mean `name`?",
            "name: found nothing, expected the field `name`",
        ]
    );
}

#[test]
fn a_number_out_of_range_is_told_with_the_range() {
    assert_eq!(
        errors(json!({"port": 70_000, "name": ""})),
        ["port: found `70000`, expected a whole number up to 65535"]
    );
    assert_eq!(
        errors(json!({"port": -1, "name": ""})),
        ["port: found the number `-1`, expected a whole number, 0 or more"]
    );
}

#[derive(Debug, Deserr)]
#[deserr(error = ConfigErrors)]
enum Only {
    Hs256,
}

fn mistakes<T: Deserr<ConfigErrors>>(value: serde_json::Value) -> Vec<String> {
    let result: Result<T, ConfigErrors> = deserr::deserialize(value);
    result.err().unwrap().0.iter().map(ToString::to_string).collect()
}

#[test]
fn a_value_that_is_none_of_the_names_is_shown_with_them() {
    let _ = Only::Hs256;
    assert_eq!(
        mistakes::<Only>(json!("Hs257")),
        ["(top of the policy): found `Hs257`, expected `Hs256`; did you mean `Hs256`?"]
    );
}

#[test]
fn a_number_says_whether_it_may_be_negative() {
    assert_eq!(
        mistakes::<i8>(json!("x")),
        ["(top of the policy): found the text `x`, expected a whole number"]
    );
    assert_eq!(
        mistakes::<i8>(json!(-200)),
        ["(top of the policy): found `-200`, expected a whole number from -128"]
    );
}

#[test]
fn a_message_that_only_quotes_two_things_is_passed_on_as_it_is() {
    assert_eq!(
        unexpected("neither `a` nor `b`", &Node::top()).to_string(),
        "(top of the policy): found an unusable value, expected neither `a` nor `b`"
    );
}

#[test]
fn a_far_name_is_not_suggested() {
    assert_eq!(nearest("zzzzzz", ["port", "name"]), None);
    assert_eq!(nearest("prot", ["port", "name"]), Some("port"));
}

#[test]
fn what_was_found_is_cut_and_kept_on_one_line() {
    let shown = quoted(&format!("a\nb{}", "x".repeat(200)));
    assert!(shown.starts_with("`a\\nbxxx") && shown.ends_with("...`") && shown.len() < 100);
}
