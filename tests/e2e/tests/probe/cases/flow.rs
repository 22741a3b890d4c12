//! What stops a stream, ends it, or lets it go on.

use super::{STREAM_PHASES, during, full};
use crate::case::{Ask, Case};

/// Names must live as long as the program; there are few.
fn named(name: &str, phase: &str) -> &'static str {
    Box::leak(format!("{name}_in_{phase}").into_boxed_str())
}

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("reply_twice", &format!("request_headers reply 401 first one\nrequest_headers reply 403 second two\n{AFTER}"))
            .send(Ask::get("/")),
        Case::new("reply_and_continue", &format!("request_headers reply 200 _ _\nrequest_headers continue 0\n{AFTER}"))
            .send(Ask::get("/")),
        Case::new("reply_204", &format!("request_headers reply 204 _ none\n{AFTER}")).send(Ask::get("/")),
        Case::new("reply_to_head", &format!("request_headers reply 403 body none\n{AFTER}")).send(Ask::new("HEAD", "/")),
        Case::new("reply_to_grpc", &format!("request_headers reply 403 body_text denied\n{AFTER}"))
            .send(Ask::post("/", "x").header("content-type", "application/grpc").header("te", "trailers").http2()),
        Case::new("effective_context", EFFECTIVE).alone().send(Ask::get("/")),
        Case::new("ticks", TICKS).travel(600).travel(600).send(Ask::get("/")).travel(600),
        Case::new("shutdown", "done return 1\n* prop plugin_name").send(Ask::get("/")).shut_down(),
        Case::new("two_plugins", TWO).then(TWO).send(full()).send(Ask::get("/direct")),
        Case::new("reply_by_the_second", "").then("request_headers reply 403 no denied").send(Ask::get("/")),
        Case::new("reply_by_the_first", "request_headers reply 403 no denied").then("").send(Ask::get("/")),
        Case::new("pause_by_the_second", "").then("request_headers call web 1000 /ok\nrequest_headers return 1\nhttp_call_response effective stream\nhttp_call_response continue 0").send(full()),
        Case::new("levels", LEVELS).send(Ask::get("/direct")),
        Case::new("traps", "request_headers get 0 :path\nresponse_headers trap").send(Ask::get("/")).send(Ask::get("/direct")),
        Case::new("trap_in_request", "request_body trap").send(Ask::get("/")).send(Ask::post("/", "x")).send(Ask::get("/")),
        Case::new("bad_pointers", &during("request_headers", BAD)).send(Ask::get("/")),
        Case::new("wasi", &during("request_headers", WASI.split_whitespace().map(|name| format!("wasi {name}")))).send(Ask::get("/")),
    ];
    for phase in ["configure", "vm_start", "log", "done", "delete"].iter().chain(&STREAM_PHASES) {
        let reply = format!("{phase} reply 418 teapot short\n{AFTER}");
        // A reply at a stream's end makes Envoy crash: there is nothing to compare. So does going on with a response that
        // has not begun, and going on with one that is not paused leaves garbage on the connection.
        if !["log", "done", "delete"].contains(phase) {
            cases.push(Case::new(named("reply", phase), &reply).send(full()).send(Ask::post("/", "abc")));
        }
        let going_on = ["continue 2", "continue 3", "continue 4", "get 0 :path", "get 2 :status", "done"];
        let request = phase.contains("request").then_some("continue 0");
        let going_on = request.into_iter().chain(going_on).chain(request);
        cases.push(
            Case::new(named("continue", phase), &during(phase, going_on))
                .send(full())
                .send(Ask::get("/direct")),
        );
    }
    for phase in STREAM_PHASES {
        cases.extend([1, 2, 3, 4].into_iter().filter_map(|action| paused(phase, action)));
        // Closing in the last phase of all makes Envoy crash.
        if phase != "response_trailers" {
            let close = |name, operations: &[&str]| {
                Case::new(named(name, phase), &during(phase, operations)).send(full())
            };
            cases.push(close("close", &["close 0", "close 4"]));
            cases.push(close("close_response", &["close 1", "close 2", "close 3"]));
        }
    }
    cases.push(
        Case::new("stop_iteration_allowed", "request_headers call web 1000 /ok\nrequest_headers return 1\nrequest_body return 1\nrequest_trailers return 1\nhttp_call_response effective stream\nhttp_call_response continue 0")
            .allow_stop_iteration()
            .send(full()),
    );
    cases
}

/// A phase that answers with an action until a callout lets the stream go on.
fn paused(phase: &str, action: u32) -> Option<Case> {
    // Headers know no action 2 that stops them; what is not paused must not be let go on.
    if phase.ends_with("_headers") && action == 2 {
        return None;
    }
    let own = u32::from(phase.contains("response"));
    // Envoy crashes when a body is read later that was paused without being buffered.
    let read = if phase == "request_body" && action > 1 { "" } else { "http_call_response body 0 0 100\n" };
    let script = format!(
        "{phase} once call web 1000 /ok\n{phase} return {action}\nhttp_call_response effective stream\n\
         {read}http_call_response get 0 :path\nhttp_call_response get 2 :status\n\
         http_call_response continue {own}\nhttp_call_response get 0 :path\nresponse_headers remove 2 content-length\nrequest_headers remove 0 content-length\n"
    );
    let case = Case::new(named(&format!("action_{action}"), phase), &script);
    // Trailers that pass let a body go on that was kept back.
    Some(if phase.ends_with("_body") {
        case.send(Ask::post("/", "abc"))
    } else {
        case.send(full()).send(Ask::post("/", "abc"))
    })
}

const AFTER: &str = "response_headers dump 2
    response_headers get 0 :path
    response_headers prop request.path
    response_headers intprop response.code
    response_body body 1 0 100
    log dump 0
    log prop response.code_details
    log intprop response.code
    log intprop response.flags
    done get 0 :path";

const EFFECTIVE: &str = "configure effective 1
    configure effective 0
    configure effective 77
    configure tick 600000
    request_headers effective 1
    request_headers get 0 :path
    request_headers prop plugin_name
    request_headers effective stream
    request_headers get 0 :path
    response_headers effective 1
    response_headers get 2 :status
    response_headers effective 77
    response_headers get 2 :status
    done effective 1
    done prop plugin_root_id
    delete effective 1";

const TICKS: &str = "configure tick 600000
    tick get 0 :path
    tick prop request.path
    tick reply 200 body details
    tick continue 0
    tick done
    tick effective stream
    tick get 0 :path
    tick now";

const TWO: &str = "request_headers add 0 x-seen yes
    request_headers dump 0
    request_headers setprop which mine
    request_headers prop which
    response_headers add 2 x-seen yes
    response_headers dump 2
    response_headers prop which
    log prop which
    configure share key value 0
    log shared key";

const LEVELS: &str = "request_headers log 0 trace
    request_headers log 1 debug
    request_headers log 2 info
    request_headers log 3 warn
    request_headers log 4 error
    request_headers log 5 critical
    request_headers log 6 none
    request_headers log -1 none
    request_headers log 2 _
    request_headers level
    request_headers env
    request_headers now
    request_headers status
    configure level
    configure status";

const BAD: [&str; 15] = [
    "bad log",
    "bad log-length",
    "bad log-wrap",
    "bad key",
    "bad out",
    "bad time",
    "bad value",
    "bad pairs",
    "bad body",
    "bad property",
    "bad queue",
    "bad metric",
    "bad foreign",
    "bad reply",
    "bad call",
];

/// `clock_time_get`, `environ_get` and `proc_exit` are called by the language's own library; `random_get` prints chance.
const WASI: &str = "args_get args_sizes_get environ_sizes_get clock_res_get fd_advise fd_allocate fd_close fd_datasync
    fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_get fd_filestat_set_size fd_filestat_set_times
    fd_pread fd_prestat_get fd_prestat_dir_name fd_pwrite fd_read fd_readdir fd_renumber fd_seek fd_sync fd_tell
    path_create_directory path_filestat_get path_filestat_set_times path_link path_open path_readlink
    path_remove_directory path_rename path_symlink path_unlink_file poll_oneoff random_get sched_yield sock_accept
    sock_recv sock_send sock_shutdown";
