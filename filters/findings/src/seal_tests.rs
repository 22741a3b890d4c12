use super::*;
use crate::HandedBearer;
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECRET: &[u8] = b"a-secret-of-both-instances-32-bytes";
const BEGAN: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];

fn findings() -> Findings {
    Findings {
        client: Some([192, 0, 2, 7].into()),
        by_proxy: true,
        by_stranger: false,
        over_tls: true,
        request_id: "r-1".to_owned(),
        bearer: Some(HandedBearer {
            user: Some("alice".to_owned()),
            roles: vec!["admin".to_owned()],
            scopes: vec![],
            claims: json!({"tier": "gold", "n": 18_446_744_073_709_551_615_u64}),
            asked: true,
            headers: vec![("x-tier".to_owned(), "gold".to_owned())],
        }),
    }
}

fn sealed() -> Vec<u8> {
    Publisher::new("edge", SECRET.to_vec()).seal(&findings(), BEGAN).unwrap()
}

fn reader(instance: &str, secrets: &[&[u8]]) -> Reader {
    Reader::new(instance, secrets.iter().map(|secret| secret.to_vec()).collect(), Mode::Enforce)
}

#[test]
fn what_was_sealed_is_opened_with_any_of_the_secrets() {
    let opened = |secrets: &[&[u8]]| reader("edge", secrets).open(Some(&sealed()), BEGAN);
    assert_eq!(opened(&[SECRET]), Ok(findings()));
    assert_eq!(opened(&[b"the-next-secret-of-both-32-bytes-x", SECRET]), Ok(findings()));
    assert_eq!(Publisher::new("edge", SECRET.to_vec()).state(), reader("edge", &[]).state());
}

#[test]
fn another_secret_instance_or_stream_is_refused() {
    let refused = Err(Unusable::Refused);
    assert_eq!(
        reader("edge", &[b"another-secret-of-some-32-bytes-xx"]).open(Some(&sealed()), BEGAN),
        refused
    );
    assert_eq!(reader("other", &[SECRET]).open(Some(&sealed()), BEGAN), refused);
    assert_eq!(reader("edge", &[SECRET]).open(Some(&sealed()), &[1, 2, 3, 4, 5, 6, 7, 9]), refused);
    assert_eq!(reader("edge", &[]).open(Some(&sealed()), BEGAN), refused);
}

#[test]
fn every_changed_or_missing_byte_is_refused_or_of_another_version() {
    let (reader, sealed) = (reader("edge", &[SECRET]), sealed());
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(reader.open(Some(&changed), BEGAN).is_err(), "byte {index}");
        assert!(reader.open(Some(&sealed[..index]), BEGAN).is_err(), "cut at {index}");
    }
}

#[test]
fn an_empty_secret_seals_and_opens_nothing() {
    assert_eq!(Publisher::new("edge", Vec::new()).seal(&findings(), BEGAN), None);
    let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
    let json = serde_json::to_vec(&findings()).unwrap();
    for part in [b"portcullis findings 1\nedge\n", &[8_u8][..], BEGAN, &json] {
        mac.update(part);
    }
    let seal = BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    let forged = [b"1.", seal.as_bytes(), b".", &json].concat();
    assert_eq!(reader("edge", &[b""]).open(Some(&forged), BEGAN), Err(Unusable::Refused));
}

#[test]
fn without_the_time_of_the_stream_nothing_is_sealed_or_opened() {
    assert_eq!(Publisher::new("edge", SECRET.to_vec()).seal(&findings(), b""), None);
    assert_eq!(reader("edge", &[SECRET]).open(Some(&sealed()), b""), Err(Unusable::Refused));
}

#[test]
fn why_there_are_none_is_said() {
    let open = |value: Option<&[u8]>| reader("edge", &[SECRET]).open(value, BEGAN);
    assert_eq!((open(None), open(Some(b""))), (Err(Unusable::Absent), Err(Unusable::Absent)));
    for other in [&b"2.abc.{}"[..], b"10.x"] {
        assert_eq!(open(Some(other)), Err(Unusable::OtherVersion));
    }
    let long = [b"1.".to_vec(), vec![b'a'; LONGEST]].concat();
    for refused in [&b"1."[..], b"1.abc", b"1.!.{}", b"x", b".", b"12345.x", &long] {
        assert_eq!(open(Some(refused)), Err(Unusable::Refused));
    }
}

#[test]
fn a_sealed_form_that_is_not_known_is_another_releases() {
    let json = br#"{"client":null}"#;
    let seal = mac(SECRET, "edge", BEGAN, json).unwrap().finalize().into_bytes();
    let value = [b"1.", BASE64_URL_SAFE_NO_PAD.encode(seal).as_bytes(), b".", json].concat();
    assert_eq!(reader("edge", &[SECRET]).open(Some(&value), BEGAN), Err(Unusable::OtherVersion));
}

#[test]
fn nothing_is_shown_of_secrets_and_findings() {
    let shown = format!(
        "{:?} {:?} {:?}",
        Publisher::new("edge", SECRET.to_vec()),
        reader("e", &[SECRET]),
        findings()
    );
    assert_eq!(shown, "Publisher(edge) Reader(e) Findings(..)");
}

#[test]
fn each_instance_has_a_state_and_each_reason_a_name_of_its_own() {
    assert_eq!(reader("edge", &[]).state(), "portcullis_findings_edge");
    let names = [Unusable::Absent, Unusable::OtherVersion, Unusable::Refused].map(Unusable::as_str);
    assert_eq!(names, ["findings_absent", "findings_of_other_version", "findings_refused"]);
}

#[test]
fn a_value_of_the_greatest_size_is_read_and_a_longer_one_is_not() {
    let of_length = |length: usize| {
        let publisher = Publisher::new("edge", SECRET.to_vec());
        let seal = |pad: usize| {
            let findings = Findings { request_id: "x".repeat(pad), bearer: None, ..findings() };
            publisher.seal(&findings, BEGAN).unwrap()
        };
        seal(length - seal(0).len())
    };
    let read = |length: usize| {
        let value = of_length(length);
        assert_eq!(value.len(), length);
        reader("edge", &[SECRET]).open(Some(&value), BEGAN).is_ok()
    };
    assert_eq!(LONGEST, 131_072, "128 KiB");
    assert!(read(131_072) && !read(131_073));
}
