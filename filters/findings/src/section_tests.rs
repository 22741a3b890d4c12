use super::*;
use crate::metrics::FindingsMetrics;
use portcullis_edge_core::Variable;
use portcullis_metrics::{Registry, Vocabulary};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECRET: &str = "a-secret-of-both-instances-32-bytes";

fn compile(section: Value) -> Result<FindingsPolicy, Vec<String>> {
    let raw: RawFindings = deserr::deserialize::<_, _, ConfigErrors>(section).unwrap();
    let env = |name: &str| match name {
        "SECRET" => Variable::Is(SECRET.to_owned()),
        "ELSEWHERE" => Variable::Elsewhere,
        _ => Variable::Unset,
    };
    let compiled = raw.compile("limits", &Node::top().key("findings"), &env);
    compiled.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn an_instance_publishes_or_takes_or_both() {
    let publishes = compile(json!({"secrets": [SECRET], "publish": true})).unwrap();
    assert!(publishes.publisher.is_some() && publishes.reader.is_none());
    let takes = compile(json!({"secrets": ["${ENV:SECRET}"], "from": "edge"})).unwrap();
    assert!(takes.publisher.is_none() && takes.reader.unwrap().instance() == "edge");
    let both = compile(json!({"secrets": ["${ENV:ELSEWHERE}"], "from": "edge", "publish": true})).unwrap();
    assert!(both.publisher.is_some() && both.reader.is_some());
    let off = compile(json!({"secrets": [SECRET], "from": "edge", "mode": "off"})).unwrap();
    assert!(off.publisher.is_none() && off.reader.is_none());
}

#[test]
fn mistakes_are_told_all_at_once_and_without_the_secret() {
    let errors = |section| compile(section).unwrap_err();
    assert_eq!(
        errors(json!({"secrets": []})),
        [
            "findings: found neither `publish` nor `from`, expected one of them, or no section `findings`",
            "findings.secrets: found 0 secrets, expected 1 to 4"
        ]
    );
    assert_eq!(
        errors(json!({"secrets": ["short", "${ENV:UNSET}", SECRET, SECRET, SECRET], "from": "limits"})),
        [
            "findings.from: found `limits`, the name of this instance, expected the name of an instance before this one in the chain",
            "findings.secrets: found 5 secrets, expected 1 to 4",
            "findings.secrets[0]: found 5 bytes (the value is not shown), expected 32 bytes or more",
            "findings.secrets[1]: found `${ENV:UNSET}`, which is not set, expected an environment variable that the proxy has"
        ]
    );
    let [error] = errors(json!({"secrets": [SECRET], "from": "Edge 1"})).try_into().unwrap();
    assert!(error.starts_with("findings.from: found `Edge 1`, expected the name of an instance"), "{error}");
}

#[test]
fn findings_are_taken_and_counted_where_an_instance_is_named_and_the_mode_is_not_off() {
    for (section, takes) in [
        (json!({"secrets": [SECRET], "publish": true}), false),
        (json!({"secrets": [SECRET], "from": "edge"}), true),
        (json!({"secrets": [SECRET], "from": "edge", "mode": "shadow"}), true),
        (json!({"secrets": [SECRET], "from": "edge", "mode": "off"}), false),
    ] {
        let raw: RawFindings = deserr::deserialize::<_, _, ConfigErrors>(section.clone()).unwrap();
        let mut vocabulary = Vocabulary::new("", &[]);
        compile(section).unwrap().describe(&mut vocabulary);
        let mut registry = Registry::new();
        let _ = FindingsMetrics::build(&mut registry, &vocabulary);
        assert_eq!((raw.takes(), registry.len()), (takes, if takes { 4 } else { 0 }));
    }
}
