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
        Case::new("reply_with_an_odd_status", "request_headers reply 99 body details").send(Ask::get("/")),
        Case::new("reply_with_status_1000", "request_headers reply 1000 body details").send(Ask::get("/")),
        Case::new("reply_204", &format!("request_headers reply 204 _ none\n{AFTER}")).send(Ask::get("/")),
        Case::new("reply_to_head", &format!("request_headers reply 403 body none\n{AFTER}")).send(Ask::new("HEAD", "/")),
        Case::new("reply_to_grpc", &format!("request_headers reply 403 body_text denied\n{AFTER}"))
            .send(Ask::post("/", "x").header("content-type", "application/grpc").header("te", "trailers").http2()),
        Case::new("effective_context", EFFECTIVE).travel(0).send(Ask::get("/")),
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
        cases.push(Case::new(named("reply", phase), &reply).send(full()).send(Ask::post("/", "abc")));
        let going_on = [
            "continue 0",
            "continue 1",
            "continue 2",
            "continue 3",
            "continue 4",
            "get 0 :path",
            "get 2 :status",
            "done",
        ];
        cases.push(
            Case::new(named("continue", phase), &during(phase, going_on))
                .send(full())
                .send(Ask::get("/direct")),
        );
    }
    for phase in STREAM_PHASES {
        cases.push(Case::new(named("close", phase), &during(phase, ["close 0", "close 4"])).send(full()));
        cases.push(
            Case::new(named("close_response", phase), &during(phase, ["close 1", "close 2", "close 3"]))
                .send(full()),
        );
        for action in [1, 2, 3, 4] {
            let name = named(&format!("action_{action}"), phase);
            let resume = format!(
                "{phase} call web 1000 /ok\n{phase} return {action}\nhttp_call_response effective stream\n\
                 http_call_response body 0 0 100\nhttp_call_response get 0 :path\nhttp_call_response get 2 :status\n\
                 http_call_response continue 0\nhttp_call_response continue 1\nhttp_call_response get 0 :path\n"
            );
            cases.push(Case::new(name, &resume).send(full()).send(Ask::post("/", "abc")));
        }
    }
    cases.push(
        Case::new("stop_iteration_allowed", "request_headers call web 1000 /ok\nrequest_headers return 1\nhttp_call_response effective stream\nhttp_call_response continue 0")
            .allow_stop_iteration()
            .send(full()),
    );
    cases
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
