//! The tool box against a plain Envoy, without any filter of ours.

use portcullis_e2e::{
    Connection, Envoy, EnvoyConfig, EnvoyError, H2Connection, PATIENCE, Request, ReservedPort, eventually,
    validate,
};
use serde_json::json;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::{Duration, Instant, SystemTime};

/// `/echo` answers at once with what was sent; everything else goes to the cluster `backend`, for 60 s at most.
const BOOTSTRAP: &str = r#"
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 0.0.0.0, port_value: 8080}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          codec_type: AUTO
          access_log:
          - name: envoy.access_loggers.stdout
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format:
                json_format: {start: "%START_TIME(%s)%", path: "%REQ(:PATH)%", status: "%RESPONSE_CODE%", ip: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {path: /echo}
                direct_response: {status: 200, body: {inline_string: "echo\n"}}
                response_headers_to_add:
                - {header: {key: x-sent, value: "%REQ(x-sent)%"}}
                - {header: {key: x-twice, value: a}}
                - {header: {key: x-twice, value: b}}
              - match: {prefix: /}
                route: {cluster: backend, timeout: 60s}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: backend
    type: STATIC
    connect_timeout: 5s
    load_assignment:
      cluster_name: backend
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]
"#;

fn plain() -> EnvoyConfig {
    EnvoyConfig::yaml(BOOTSTRAP)
}

/// Accepts connections (the system does, up to its backlog) and never answers.
fn hanging_backend() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    (listener, address)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

#[test]
fn envoys_run_side_by_side_on_ports_of_their_own() {
    let envoys: Vec<_> = (0..3).map(|_| Envoy::start(plain())).collect();
    for envoy in &envoys {
        assert_eq!(envoy.get("/echo").text(), "echo\n");
        assert_eq!(envoy.admin().stat("http.main.downstream_rq_2xx"), Some(1));
    }
}

#[test]
fn it_has_two_workers_unless_told_otherwise() {
    assert_eq!(Envoy::start(plain()).admin().stat("server.concurrency"), Some(2));
    assert_eq!(Envoy::start(plain().workers(1)).admin().stat("server.concurrency"), Some(1));
}

#[test]
fn a_request_times_out_as_soon_as_time_has_travelled() {
    let (_backend, address) = hanging_backend();
    let envoy = Envoy::start(plain().cluster_at("backend", address));
    let mut client = Connection::open(envoy.address());
    client.write(&Request::get("/slow").to_bytes()).expect("Envoy reads");
    eventually("the request is with the backend", || {
        envoy.admin().stat("cluster.backend.upstream_rq_active") == Some(1)
    });
    let travelled = Instant::now();
    envoy.travel(Duration::from_secs(61));
    assert_eq!(client.read_answer("GET").expect("Envoy answers").status, 504);
    assert!(travelled.elapsed() < Duration::from_secs(5), "it took {:?}", travelled.elapsed());
}

#[test]
fn a_request_does_not_time_out_before_its_time() {
    let (_backend, address) = hanging_backend();
    let envoy = Envoy::start(plain().cluster_at("backend", address));
    let mut client = Connection::open(envoy.address()).within(Duration::from_millis(300));
    client.write(&Request::get("/slow").to_bytes()).expect("Envoy reads");
    eventually("the request is with the backend", || {
        envoy.admin().stat("cluster.backend.upstream_rq_active") == Some(1)
    });
    envoy.travel(Duration::from_secs(50));
    client.read_answer("GET").expect_err("there are 10 s left");
}

#[test]
fn the_access_log_shows_the_time_travelled_to() {
    let envoy = Envoy::start(plain());
    envoy.travel(Duration::from_secs(7 * 86_400));
    envoy.get("/echo");
    let line = envoy.stdout().wait_for_line(|line| line.contains("/echo")).json().expect("it is JSON");
    let start: u64 = line["start"].as_str().and_then(|start| start.parse().ok()).expect("it is a number");
    assert!(start.abs_diff(seconds(SystemTime::now()) + 7 * 86_400) <= 5, "{line}");
    assert!(start.abs_diff(seconds(envoy.now())) <= 5, "{line}");
}

#[test]
fn access_log_lines_are_there_at_once() {
    let envoy = Envoy::start(plain());
    for _ in 0..3 {
        let mark = envoy.stdout().mark();
        envoy.get("/echo");
        let line =
            envoy.stdout().try_wait_for_line(mark, Duration::from_secs(5), |line| line.contains("/echo"));
        line.expect("Envoy's own flush interval is 10 s");
    }
}

#[test]
fn the_wall_clock_may_start_at_any_time() {
    let golden = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let envoy = Envoy::start(plain().wall_clock_at(golden));
    envoy.get("/echo");
    let line = envoy.stdout().wait_for_line(|line| line.contains("/echo")).json().expect("it is JSON");
    assert!(line["start"].as_str().is_some_and(|start| start.starts_with("20000000")), "{line}");
}

#[test]
fn without_time_travel_it_runs_on_the_systems_clock() {
    let envoy = Envoy::start(plain().without_time_travel());
    assert_eq!(envoy.get("/echo").status, 200);
    let travels =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| envoy.travel(Duration::from_secs(1))));
    travels.expect_err("it cannot");
}

#[test]
fn any_byte_goes_to_envoy_and_comes_back() {
    let envoy = Envoy::start(plain());
    let answer = envoy.send(&Request::get("/echo").header("x-sent", b"a\xff\xfe"));
    assert_eq!(answer.headers.all("x-sent"), [b"a\xff\xfe"]);
    assert_eq!(answer.headers.all("x-twice"), [b"a", b"b"]);
}

#[test]
fn malformed_requests_are_sent_all_the_same() {
    let envoy = Envoy::start(plain());
    let send =
        |bytes: &[u8]| Connection::open(envoy.address()).send_raw(bytes).expect("Envoy answers").status;
    assert_eq!(send(b"GET /echo HTTP/1.1\r\n\r\n"), 400, "no host");
    assert_eq!(send(b"GET /echo HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n"), 400, "NUL");
    assert_eq!(send(b"nonsense\r\n\r\n"), 400);
    let huge = Request::get("/echo").header("x-huge", vec![b'a'; 64 * 1024]);
    assert_eq!(envoy.send(&huge).status, 431);
}

#[test]
fn a_connection_is_kept_alive() {
    let envoy = Envoy::start(plain());
    let mut connection = Connection::open(envoy.address());
    for _ in 0..3 {
        assert_eq!(connection.send(&Request::get("/echo")).status, 200);
    }
    assert_eq!(envoy.admin().stat("http.main.downstream_cx_total"), Some(1));
}

#[test]
fn a_client_comes_from_the_address_it_wants() {
    let envoy = Envoy::start(plain());
    envoy.send(&Request::get("/echo").from_ip(IpAddr::from([127, 1, 2, 3])));
    let line = envoy.stdout().wait_for_line(|line| line.contains("/echo")).json().expect("it is JSON");
    assert_eq!(line["ip"], "127.1.2.3");
}

#[test]
fn http2_streams_share_a_connection() {
    let (_backend, address) = hanging_backend();
    let envoy = Envoy::start(plain().cluster_at("backend", address));
    let connection = H2Connection::open(envoy.address());
    let hanging =
        connection.start(&Request::post("/slow").body("abc").trailer("t", "1")).expect("it is valid");
    assert_eq!(
        connection.send(&Request::get("/echo").header("x-sent", b"\xff")).headers.all("x-sent"),
        [b"\xff"]
    );
    eventually("the request is with the backend", || {
        envoy.admin().stat("cluster.backend.upstream_rq_active") == Some(1)
    });
    drop(hanging);
    eventually("the stream was reset", || envoy.admin().stat("http.main.downstream_rq_rx_reset") == Some(1));
    assert_eq!(envoy.admin().stat("http.main.downstream_cx_http2_total"), Some(1));
}

#[test]
fn a_refused_backend_is_a_503() {
    let nobody = ReservedPort::new();
    let envoy = Envoy::start(plain().cluster_at("backend", nobody.address()));
    assert_eq!(envoy.get("/").status, 503);
}

#[test]
fn prometheus_samples_count_requests_by_their_labels() {
    let envoy = Envoy::start(plain());
    envoy.get("/echo");
    let labels = [("envoy_http_conn_manager_prefix", "main"), ("envoy_response_code_class", "2")];
    let samples = envoy.samples();
    assert_eq!(samples.value("envoy_http_downstream_rq_xx", &labels), Some(1.0));
    assert_eq!(samples.sum("envoy_http_downstream_rq_xx", &labels[..1]), 1.0);
    assert_eq!(samples.type_of("envoy_http_downstream_rq_xx"), Some("counter"));
}

#[test]
fn usage_grows_with_the_work_done() {
    let envoy = Envoy::start(plain());
    let before = envoy.usage();
    let mut connection = Connection::open(envoy.address());
    (0..200).for_each(|_| assert_eq!(connection.send(&Request::get("/echo")).status, 200));
    let after = envoy.usage();
    assert!(after.cpu > before.cpu && after.cpu < before.cpu + PATIENCE, "{before:?} -> {after:?}");
    assert!((20 << 20..2 << 30).contains(&after.rss_bytes), "{after:?}");
    assert!(envoy.start_up() > Duration::from_millis(1));
}

#[test]
fn shutting_down_is_orderly_and_leaves_the_whole_output() {
    let envoy = Envoy::start(plain());
    envoy.get("/echo");
    let ended = envoy.shut_down();
    assert!(ended.status.success(), "{}", ended.status);
    assert!(ended.stdout.all().iter().any(|line| line.contains("/echo")));
    assert!(ended.stderr.all().iter().any(|line| line.contains("exiting")));
}

#[test]
fn a_dropped_envoy_is_gone() {
    let envoy = Envoy::start(plain());
    let address = envoy.address();
    drop(envoy);
    Connection::try_open(None, address).expect_err("nobody listens any more");
}

#[test]
fn a_wrong_bootstrap_is_refused_with_the_reason() {
    let wrong = || plain().edit(|bootstrap| bootstrap["static_resources"]["listners"] = json!([]));
    let Err(EnvoyError::Ended { log, .. }) = Envoy::try_start(wrong()) else { panic!("it started") };
    assert!(log.contains("listners"), "{log}");
    let validation = validate(&wrong());
    assert!(!validation.is_ok() && validation.output.contains("listners"), "{}", validation.output);
}

#[test]
fn a_right_bootstrap_validates() {
    let validation = validate(&plain());
    assert!(validation.is_ok(), "{}", validation.output);
}

#[test]
fn a_file_replaced_at_run_time_is_picked_up() {
    let endpoints = |port: u16| {
        let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        let assignment = json!({
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        });
        json!({"resources": [assignment]}).to_string()
    };
    let cluster = json!({
        "name": "backend", "type": "EDS",
        "eds_cluster_config": {"eds_config": {"path_config_source": {"path": "@FOLDER@/eds.json"}}},
    });
    let config = plain().set("/static_resources/clusters/0", cluster).file("eds.json", &endpoints(1));
    let envoy =
        Envoy::start(config.edit(|bootstrap| bootstrap["node"] = json!({"id": "test", "cluster": "test"})));
    assert_eq!(envoy.get("/").status, 503);
    let other = ReservedPort::new();
    envoy.replace_file("eds.json", &endpoints(other.port()));
    eventually("the new endpoint is in use", || {
        envoy.admin().get("/clusters").text().contains(&other.address().to_string())
    });
}
