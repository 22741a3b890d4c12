//! What can be written, and when.

use super::{STREAM_PHASES, during, everywhere, full, numbered};
use crate::case::{Ask, Case};

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new(
            "maps_written",
            &writes(numbered(0..9, &["add N x-added 1", "add N x-dup more", "get N x-added"])),
        )
        .send(full()),
        Case::new("maps_replaced", &writes(numbered(0..9, &["set N x-one 2", "set N x-dup one", "dump N"])))
            .send(full()),
        Case::new(
            "maps_removed",
            &writes(numbered(0..9, &["remove N x-one", "remove N absent", "remove N x-up", "dump N"])),
        )
        .send(full()),
        Case::new(
            "maps_written_elsewhere",
            &elsewhere(&numbered(0..9, &["add N x-a b", "set N x-a b", "remove N x-a"])),
        )
        .send(full()),
        Case::new("own_names", &during("request_headers", OWN_NAMES)).send(full()),
        Case::new("own_names_of_responses", &during("response_headers", OWN_RESPONSE_NAMES)).send(full()),
        Case::new("blobs", &during("request_headers", BLOBS)).send(full()),
        Case::new(
            "buffers_written_elsewhere",
            &elsewhere(&numbered(0..9, &["setbody N 0 0 x", "setbody N 9 0 x"])),
        )
        .send(full()),
        Case::new("properties_set", &everywhere(PROPERTIES)).send(full()).send(Ask::get("/direct")),
    ];
    for (name, operations) in BODIES {
        let script = "request_headers remove 0 content-length\nresponse_headers remove 2 content-length\n"
            .to_owned()
            + &during("request_body", *operations)
            + &during("response_body", operations.iter().map(|o| o.replacen(" 0 ", " 1 ", 1)));
        cases.push(
            Case::new(name, &script).send(full()).send(Ask::post("/", "hello")).send(Ask::get("/direct")),
        );
    }
    cases.push(Case::new("response_without_status", "response_headers setpairs 2").send(Ask::get("/")));
    cases.push(Case::new("request_without_path", "request_headers remove 0 :path").send(Ask::get("/")));
    cases.push(Case::new("request_without_everything", "request_headers setpairs 0").send(Ask::get("/")));
    cases.push(
        Case::new("status_changed", "response_headers set 2 :status 418\nlog intprop response.code")
            .send(Ask::get("/")),
    );
    cases.push(Case::new("trailers_added", TRAILERS).send(Ask::post("/", "x")).send(Ask::get("/")));
    cases
}

/// In the phases of the stream itself.
fn writes(operations: Vec<String>) -> String {
    STREAM_PHASES.iter().map(|phase| during(phase, &operations)).collect()
}

/// In all other phases but the log, where writing trips an assertion of Envoy's.
fn elsewhere(operations: &[String]) -> String {
    ["context_create", "vm_start", "configure", "done", "delete"]
        .map(|phase| during(phase, operations))
        .concat()
}

const OWN_NAMES: [&str; 16] = [
    "add 0 accept one",
    "add 0 accept two",
    "get 0 accept",
    "add 0 X-Upper Case",
    "get 0 x-upper",
    "set 0 host other.test",
    "get 0 :authority",
    "add 0 :authority more",
    "get 0 host",
    "add 0 x-empty _",
    "get 0 x-empty",
    "set 0 x-empty _",
    "add 0 _ nameless",
    "get 0 _",
    "remove 0 _",
    "dump 0",
];

const OWN_RESPONSE_NAMES: [&str; 10] = [
    "add 2 vary one",
    "add 2 vary two",
    "get 2 vary",
    "add 2 set-cookie a=1",
    "add 2 set-cookie b=2",
    "get 2 set-cookie",
    "add 2 host here",
    "get 2 host",
    "add 2 accept x",
    "dump 2",
];

/// Serialized maps, right and wrong.
const BLOBS: [&str; 8] = [
    "setblob 0 00000000",
    "dump 0",
    "setblob 0 _",
    "setblob 0 ffffffff",
    "setblob 0 0100",
    "setblob 0 0100000001000000ff00000061006200",
    "setblob 0 040000000a000000040000000500000001000000070000000300000007000000040000003a617574686f72697479007465737400003a70617468002f003a6d6574686f640047455400003a736368656d650068747470002e",
    "dump 0",
];

const PROPERTIES: [&str; 14] = [
    "setprop mine value",
    "prop mine",
    "prop filter_state.wasm|mine",
    "prop filter_state|wasm.mine",
    "setprop mine changed",
    "prop mine",
    "setprop _ nameless",
    "setprop request.path /other",
    "rawprop request.path",
    "prop request.path",
    "setprop empty _",
    "prop empty",
    "shape mine",
    "prop mine.more",
];

const BODIES: &[(&str, &[&str])] = &[
    ("body_prepended", &["setbody 0 0 0 pre", "body 0 0 100", "bufstatus 0"]),
    ("body_appended", &["setbody 0 99 0 post", "body 0 0 100"]),
    ("body_appended_at_its_end", &["setbody 0 4 0 post", "body 0 0 100"]),
    ("body_inside", &["setbody 0 1 1 x", "body 0 0 100"]),
    ("body_replaced", &["setbody 0 0 99 new", "body 0 0 100"]),
    ("body_prefix_replaced", &["setbody 0 0 2 new", "body 0 0 100"]),
    ("body_emptied", &["setbody 0 0 99", "body 0 0 100"]),
    ("body_with_wild_sizes", &["setbody 0 0 -1 new", "setbody 0 -1 -1 end", "body 0 0 100"]),
];

const TRAILERS: &str = "request_body add 1 x-late yes
    request_body get 1 x-late
    request_trailers dump 1
    response_body add 3 x-late yes
    response_body get 3 x-late
    response_trailers dump 3";
