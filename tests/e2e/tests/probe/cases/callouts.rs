//! HTTP and gRPC callouts.

use super::{during, everywhere};
use crate::case::{Ask, Case};

pub fn cases() -> Vec<Case> {
    let http = |path: &str| format!("request_headers call web 1000 {path} body\n{HTTP}");
    let grpc = |message: &str| format!("request_headers grpc grpc 1000 {message}\n{GRPC}");
    vec![
        Case::new("http_calls", &http("/ok")).send(Ask::get("/direct")),
        Case::new("http_call_with_trailers", &http("/trailers")).send(Ask::get("/direct")),
        Case::new("http_call_204", &http("/empty")).send(Ask::get("/direct")),
        Case::new("http_call_broken", &http("/broken")).send(Ask::get("/direct")),
        Case::new("http_call_refused", &format!("request_headers call refused 1000 /ok body\n{HTTP}"))
            .send(Ask::get("/direct")),
        // The call waits until time is moved, however busy the machine is.
        Case::new("http_call_timeout", &format!("request_headers call web 60000 /never body\n{HTTP}"))
            .send(Ask::get("/direct"))
            .travel(60),
        Case::new("names", &during("request_headers", NAMES)).send(Ask::get("/direct")),
        Case::new("names_anywhere", &everywhere(["dns 10.1.2.3"])).send(Ask::get("/trailers")),
        Case::new("http_call_arguments", &during("request_headers", ARGUMENTS)).send(Ask::get("/direct")),
        one_call("http_call_from_response", "response_headers call web 1000 /missing"),
        one_call("http_call_from_log", "log call web 1000 /empty"),
        raw("http_call_by_host", "web 0 :method=GET :path=/ok host=peer"),
        raw("http_call_with_odd_path", "web 1000 :method=BREW :path=no-slash :authority=peer"),
        raw("http_call_with_scheme", "web 1000 :method=GET :path=/ok :authority=peer :scheme=https x=y"),
        Case::new("grpc_calls", &grpc("ping")).send(Ask::get("/direct")),
        Case::new("grpc_call_failed", &grpc("fail")).send(Ask::get("/direct")),
        Case::new("grpc_call_two", &grpc("two")).send(Ask::get("/direct")),
        Case::new("grpc_call_none", &grpc("none")).send(Ask::get("/direct")),
        Case::new("grpc_call_reset", &grpc("reset")).send(Ask::get("/direct")),
        Case::new("grpc_call_refused", &format!("request_headers grpc refused 1000 x\n{GRPC}"))
            .send(Ask::get("/direct")),
        Case::new("grpc_arguments", &during("request_headers", GRPC_ARGUMENTS)).send(Ask::get("/direct")),
        Case::new(
            "grpc_cancelled",
            &format!(
                "request_headers grpc grpc 1000 ping\nrequest_headers cancel\nrequest_headers cancel\n{GRPC}"
            ),
        )
        .send(Ask::get("/direct")),
        Case::new(
            "grpc_closed",
            &format!("request_headers grpc grpc 1000 ping\nrequest_headers closegrpc\n{GRPC}"),
        )
        .send(Ask::get("/direct")),
        Case::new("grpc_stream", &stream("send 0 ping", "send 1 more")).send(Ask::get("/direct")),
        Case::new("grpc_stream_closed", &stream("send 1 two", "closegrpc")).send(Ask::get("/direct")),
        Case::new("grpc_stream_failed", &stream("send 1 fail", "send 1 again")).send(Ask::get("/direct")),
        Case::new("grpc_stream_reset", &stream("send 1 reset", "status")).send(Ask::get("/direct")),
        Case::new("grpc_stream_cancelled", &stream("send 0 ping", "cancel")).send(Ask::get("/direct")),
        Case::new(
            "callout_calls_anywhere",
            &everywhere(["cancel", "closegrpc", "send 0 x", "get 4 :status", "get 6 :status"]),
        )
        .send(Ask::get("/direct")),
    ]
}

/// One call a case, for answers come in any order.
fn one_call(name: &'static str, call: &str) -> Case {
    Case::new(name, &format!("{call}\n{HTTP}")).send(Ask::get("/direct"))
}

fn raw(name: &'static str, call: &str) -> Case {
    Case::new(name, &format!("request_headers rawcall {call}\n{HTTP}")).send(Ask::get("/direct"))
}

fn stream(first: &str, second: &str) -> String {
    format!("request_headers stream grpc\nrequest_headers {first}\nrequest_headers {second}\n{GRPC}")
}

const HTTP: &str = "http_call_response dump 6
    http_call_response pairs 7
    http_call_response get 6 :status
    http_call_response get 7 x-trailer
    http_call_response size 6
    http_call_response add 6 x y
    http_call_response body 4 0 200
    http_call_response body 4 2 2
    http_call_response bufstatus 4
    http_call_response setbody 4 0 0 x
    http_call_response status
    http_call_response get 0 :path
    http_call_response effective stream
    http_call_response get 6 :status
    http_call_response body 4 0 3
    http_call_response get 0 :path";

const GRPC: &str = "grpc_receive_initial_metadata dump 4
    grpc_receive_initial_metadata get 4 content-type
    grpc_receive_initial_metadata get 5 content-type
    grpc_receive body 5 0 100
    grpc_receive bufstatus 5
    grpc_receive status
    grpc_receive get 4 content-type
    grpc_receive_trailing_metadata dump 5
    grpc_receive_trailing_metadata get 5 grpc-status
    grpc_close status
    grpc_close body 5 0 100";

const ARGUMENTS: [&str; 8] = [
    "call nowhere 1000 /ok",
    "call web 1000 _",
    "call web -1 /ok",
    "rawcall web 1000 :method=GET :path=/ok",
    "rawcall web 1000 :method=GET :authority=peer",
    "rawcall web 1000 :path=/ok :authority=peer",
    "rawcall web 1000 _",
    "rawcall _ 1000 :method=GET :path=/ok :authority=peer",
];

/// Those that no name server is asked for.
const NAMES: [&str; 10] = [
    "dns 127.0.0.1",
    "body 8 0 100",
    "dns 10.20.30.40",
    "dns ::1",
    "dns fd00::abcd",
    "dns localhost",
    "body 7 0 100",
    "body 8 0 100",
    "bad dns",
    "bad dns-out",
];

/// Without any service Envoy crashes.
const GRPC_ARGUMENTS: [&str; 6] =
    ["grpc nowhere 1000 x", "stream nowhere", "send 0 x", "cancel", "closegrpc", "status"];
