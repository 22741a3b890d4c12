use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_document_reads_back_as_it_was() {
    let text = r#"{"a":[1,-2,2.5,{"b":null}],"c":{"d":"e\u00e9\n","f":{}},"g":[],"h":true,"a/b":{"~":7}}"#;
    let json = Json::parse(text.as_bytes()).unwrap();
    assert_eq!(json.root().to_serde(), serde_json::from_str::<serde_json::Value>(text).unwrap());
}

#[test]
fn a_member_twice_is_refused_at_any_depth_and_in_any_spelling() {
    for twice in [
        r#"{"exp":1,"exp":2}"#,
        r#"{"exp":1,"e\u0078p":2}"#,
        r#"{"a":[{"b":1,"c":2,"b":1}]}"#,
        r#"{"a":{"b":1},"a":{"b":1}}"#,
    ] {
        assert!(Json::parse(twice.as_bytes()).is_err(), "{twice}");
    }
    assert!(Json::parse(br#"{"a":{"b":1},"b":{"a":1}}"#).is_ok());
}

#[test]
fn a_duplicate_among_many_members_is_found() {
    let mut members: Vec<String> = (0..500).map(|i| format!("\"m{i}\":{i}")).collect();
    assert!(Json::parse(format!("{{{}}}", members.join(",")).as_bytes()).is_ok());
    members.push("\"m250\":0".to_owned());
    assert!(Json::parse(format!("{{{}}}", members.join(",")).as_bytes()).is_err());
}

#[test]
fn a_duplicate_is_found_whatever_its_place_and_however_many_there_are() {
    for count in 2..40 {
        let names: Vec<String> = (0..count).map(|i| format!("m{i}")).collect();
        let document = |names: &[String]| {
            let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":0")).collect();
            Json::parse(format!("{{{}}}", members.join(",")).as_bytes())
        };
        assert!(document(&names).is_ok(), "{count}");
        for place in 1..count {
            let mut names = names.clone();
            names[place] = names[place / 2].clone();
            assert!(document(&names).is_err(), "{count} members, number {place}");
        }
    }
}

#[test]
fn escaped_texts_and_others_stand_beside_each_other() {
    let text = r#"{"\u0061":"plain","b\n":["x\ty","z","","\\"],"c":{"d\"":"e","\u00e9":"é"}}"#;
    let json = Json::parse(text.as_bytes()).unwrap();
    assert_eq!(json.root().to_serde(), serde_json::from_str::<serde_json::Value>(text).unwrap());
    assert_eq!(json.root().member("a").and_then(JsonRef::text), Some("plain"));
}

#[test]
fn what_is_no_json_is_refused() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for bad in ["", "{", "{} x", "1e400", "-1e400", "nul", "{'a':1}", "01", "\"\\ud800\"", "[1,]", &deep] {
        assert!(Json::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(Json::parse(b"\"\xff\"").is_err());
    assert!(Json::parse(b"\xef\xbb\xbf{}").is_err(), "a byte order mark");
}

#[test]
fn pointers_lead_through_objects_and_lists() {
    let json = Json::parse(br#"{"a":{"b/c":[10,{"~":"x"}]},"0":1}"#).unwrap();
    let at = |pointer: &str| json.root().at(&Pointer::parse(pointer).unwrap()).map(JsonRef::value);
    assert_eq!(at("/a/b~1c/0"), Some(Value::UInt(10)));
    assert_eq!(at("/a/b~1c/1/~0"), Some(Value::Text("x")));
    assert_eq!(at("/0"), Some(Value::UInt(1)));
    assert_eq!(at(""), Some(Value::Object));
    assert_eq!(at("/a/b~1c/2"), None);
    assert_eq!(at("/a/b~1c/00"), None);
    assert_eq!(at("/a/x"), None);
    assert_eq!(at("/0/x"), None);
}

#[test]
fn debug_shows_no_content() {
    assert_eq!(format!("{:?}", Json::parse(br#"{"k":"s3cret"}"#).unwrap()), "Json(2 nodes)");
}

#[test]
fn a_document_that_is_kept_takes_its_text_and_its_nodes_and_nothing_more() {
    let list: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let text = format!(r#"{{"a":"\n\u00e9","list":[{}]}}"#, list.join(","));
    let mut json = Json::parse(text.as_bytes()).unwrap();
    let needed = text.len() + "\né".len() + 103 * size_of::<Node>();
    assert!(json.heap_bytes() >= needed);
    json.shrink();
    assert_eq!(json.heap_bytes(), needed);
    assert_eq!(Json::default().heap_bytes(), 0);
}
