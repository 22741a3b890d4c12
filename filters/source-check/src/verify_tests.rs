use crate::{Claims, RawSourceCheck, SourceCheck, Wrong};
use portcullis_edge_core::{ConfigErrors, Headers, Node, Variable, Wall};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECRET: &str = "a-secret-of-thirty-two-bytes-or-more";
const NOW: u64 = 1_795_000_000;

fn compile(section: Value) -> Result<SourceCheck, Vec<String>> {
    let raw: Result<RawSourceCheck, ConfigErrors> = deserr::deserialize(section);
    let raw = raw.map_err(|errors| vec![format!("{errors:?}")])?;
    let compiled = raw.compile(&Node::top().key("source"), &|_| Variable::Unset);
    compiled.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn sound() -> SourceCheck {
    compile(json!({
        "sign": { "secret": SECRET },
        "require": { "signature": { "secrets": ["the-secret-that-is-being-replaced-now", SECRET], "max_age": "30s" } },
    }))
    .unwrap()
}

fn at(seconds: u64) -> Wall {
    Wall(seconds * 1_000_000_000)
}

const ANN: Claims<'static> = Claims { source: b"gateway", request_id: b"id-1", user: b"ann", role: b"vip" };

fn signed(check: &SourceCheck, claims: &Claims<'_>) -> Vec<u8> {
    check.sign.as_ref().unwrap().sign(claims, at(NOW))
}

fn headers(signature: &[u8], role: &[u8]) -> Headers {
    Headers::from_pairs([
        ("x-source", &b"gateway"[..]),
        ("x-request-id", b"id-1"),
        ("x-user-id", b"ann"),
        ("x-user-role", role),
        ("x-source-signature", signature),
    ])
}

fn verdict(check: &SourceCheck, headers: &Headers, now: u64) -> Result<(), Wrong> {
    check.require.as_ref().unwrap().check(headers, ("x-user-id", "x-user-role"), at(now))
}

#[test]
fn what_the_gateway_has_signed_is_good_until_it_expires() {
    let check = sound();
    let request = headers(&signed(&check, &ANN), b"vip");
    assert_eq!(verdict(&check, &request, NOW), Ok(()));
    assert_eq!(verdict(&check, &request, NOW + 30), Ok(()));
    assert_eq!(verdict(&check, &request, NOW + 31), Err(Wrong::Expired));
    assert_eq!(verdict(&check, &request, NOW - 31), Err(Wrong::Expired));
}

#[test]
fn a_second_spelling_of_what_is_checked_is_wrong() {
    let check = sound();
    let signature = signed(&check, &ANN);
    let with = |twin: &str| {
        let own = headers(&signature, b"vip");
        let pairs = own.iter().map(|(name, value)| (core::str::from_utf8(name).unwrap(), value));
        verdict(&check, &Headers::from_pairs(pairs.chain([(twin, &b"admin"[..])])), NOW)
    };
    assert_eq!(with("x-user-roles"), Ok(()));
    for twin in ["X_User_Role", "x.user.id", "x_request_id", "x-source_signature"] {
        assert_eq!(with(twin), Err(Wrong::Signature), "{twin}");
    }
    assert_eq!(with("x_source"), Err(Wrong::Value));
    let required = check.require.as_ref().unwrap();
    let trailer = |name: &[u8]| required.is_checked(name, ("x-user-id", "x-user-role"));
    assert!(trailer(b"x-user-role") && trailer(b"x_source") && trailer(b"x-source-signature"));
    assert!(!trailer(b"grpc-status") && !trailer(b"x-user-roles"));
}

#[test]
fn a_signature_vouches_for_its_headers_and_its_time_and_no_others() {
    let check = sound();
    let good = signed(&check, &ANN);
    assert_eq!(verdict(&check, &headers(&good, b"admin"), NOW), Err(Wrong::Signature));
    let later = String::from_utf8(good.clone()).unwrap().replace("t=1795000000", "t=1795000025");
    assert_eq!(verdict(&check, &headers(later.as_bytes(), b"vip"), NOW), Err(Wrong::Signature));
    for odd in
        [&b""[..], b"t=1;v1=", b"t=;v1=AA", b"v1=AA;t=1", b"t=1795000000", b"t=1795000000;v1=!", b"\xff"]
    {
        assert_eq!(verdict(&check, &headers(odd, b"vip"), NOW), Err(Wrong::Signature), "{odd:?}");
    }
    let moved = Claims { user: b"annvip", role: b"", ..ANN };
    assert_ne!(signed(&check, &moved), good);
}

#[test]
fn the_constant_must_be_there_once() {
    let check = compile(json!({ "require": {} })).unwrap();
    let of = |values: &[&[u8]]| {
        let headers = Headers::from_pairs(values.iter().map(|value| ("x-source", *value)));
        verdict(&check, &headers, NOW)
    };
    assert_eq!(of(&[b"gateway"]), Ok(()));
    assert_eq!(of(&[]), Err(Wrong::Missing));
    for wrong in [&[&b"Gateway"[..]][..], &[b"gateway", b"gateway"], &[b"gateway, gateway"], &[b""]] {
        assert_eq!(of(wrong), Err(Wrong::Value), "{wrong:?}");
    }
    let unsigned = Headers::from_pairs([("x-source", &b"gateway"[..])]);
    assert_eq!(verdict(&sound(), &unsigned, NOW), Err(Wrong::Unsigned));
}

#[test]
fn every_mistake_has_its_place_and_no_secret_is_shown() {
    let errors = compile(json!({
        "sign": { "secret": "short-s3cret", "header": "a b" },
        "require": { "value": "", "exempt_networks": ["x"],
            "signature": { "secrets": [], "max_age": "2h" } },
    }))
    .unwrap_err();
    let places = [
        "source.sign.header",
        "source.sign.secret",
        "source.require.value",
        "source.require.exempt_networks[0]",
        "source.require.signature.max_age",
        "source.require.signature.secrets",
    ];
    assert_eq!(errors.len(), places.len(), "{errors:#?}");
    errors.iter().zip(places).for_each(|(error, place)| assert!(error.starts_with(place), "{error}"));
    assert!(!errors.concat().contains("s3cret") && !format!("{:?}", sound()).contains("secret-of"));
}
