//! Chromium as the client, over TLS and HTTP/2: which pages may call, whose cookies count, and gRPC-Web.

use crate::common::Site;
use crate::pki::{Pki, spki};
use portcullis_demo_services::Live;
use portcullis_e2e::{Browser, Gateway, eventually};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

const APP: &str = "https://app.shop.test";
const EVIL: &str = "https://evil.test";
const API: &str = "https://api.shop.test";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("the system has threads"));

/// A gateway with pages of two sites and an interface at a third name, and a browser that finds it under each of them.
struct Shop {
    gateway: Gateway,
    browser: Browser,
    site: Site,
    live: Live,
    _pki: Pki,
}

impl Shop {
    fn start() -> Self {
        let pki = Pki::new();
        pki.issue("ca", "server", "/CN=gateway", "*.shop.test,DNS:evil.test", 30);
        let any = || "127.0.0.1:0".parse().expect("an address");
        let live = RUNTIME.block_on(Live::start(any(), any())).expect("the loopback has free ports");
        let site = Site::start(answer);
        let policy = policy(&pki, &site, &live);
        let gateway = Gateway::setup()
            .policy(|example| *example = policy)
            .variable("JWT_SECRET", portcullis_token_lab::SECRET)
            .start();
        let browser = Browser::start(&[
            format!("--host-resolver-rules=MAP * {}", gateway.address()),
            format!("--ignore-certificate-errors-spki-list={}", spki(&pki.path("server.pem"))),
        ]);
        Self { gateway, browser, site, live, _pki: pki }
    }

    /// Requests of this kind that the gateway has logged.
    fn logged(&self, method: &str, path: &str) -> Vec<Value> {
        let lines = self.gateway.envoy.stdout().all().into_iter().filter_map(|line| line.json());
        let is_it = |line: &Value| {
            let extra = &line["extra"];
            line["action"] == "request" && extra["method"] == method && extra["path"] == path
        };
        lines.filter(is_it).collect()
    }

    /// The requests for `path` that the services got, each a head.
    fn got(&self, path: &str) -> Vec<String> {
        let is_it = |head: &String| head.split(' ').nth(1).is_some_and(|target| target == path);
        self.site.asked().into_iter().filter(is_it).collect()
    }
}

/// What the site says to each target: headers, and a body.
fn answer(target: &str) -> (String, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let text = "content-type: text/html\r\n".to_owned();
    match path {
        "/login" => (
            format!("set-cookie: session={query}; Path=/; Secure; HttpOnly; SameSite=None\r\n"),
            String::new(),
        ),
        _ => (text, format!("<!doctype html><title>{path}</title>")),
    }
}

fn policy(pki: &Pki, site: &Site, live: &Live) -> Value {
    let page = json!({ "path": "/", "methods": ["GET"], "service": "site", "auth": { "token": "none" },
        "hosts": ["app.shop.test", "evil.test"] });
    let api = |path: &str, service: &str, more: Value| {
        let mut route = json!({ "path": path, "service": service, "methods": ["GET", "POST", "PUT"],
            "hosts": ["api.shop.test"] });
        route.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        route
    };
    let rpc = json!({ "methods": ["POST"], "auth": {}, "timeout": "0s", "buffer_body": false });
    json!({
        "version": 1,
        "gateway": { "grpc_web": true, "tls": { "certificates": [
            { "certificate_file": pki.text("server.pem"), "key_file": pki.text("server.key") }] } },
        "services": {
            "site": { "address": site.address().to_string() },
            "grpc": { "address": live.grpc().to_string(), "protocol": "http2" },
        },
        "jwt": {
            "providers": { "main": {
                "secrets": [{ "alg": "HS256", "value": "${ENV:JWT_SECRET}" }], "user_claim": "sub" } },
            "sources": [
                { "header": "Authorization" },
                { "cookie": "session", "strip": true, "origins": [APP, API] },
            ],
        },
        "trust_headers": { "user": "X-User-ID" },
        "routes": [
            page,
            api("/open", "site", json!({ "auth": { "token": "none" } })),
            api("/login", "site", json!({ "auth": { "token": "none" } })),
            api("/orders", "site", json!({ "auth": {} })),
            api("/me", "site", json!({
                "auth": { "token": "optional", "bad_token": "ignore", "clear_cookie": true } })),
            api("/grpc.health.v1.Health/Check", "grpc", rpc.clone()),
            api("/grpc.health.v1.Health/Watch", "grpc", rpc),
        ],
        "cors": {
            "origins": [APP], "credentials": true,
            "headers": ["authorization", "content-type", "x-grpc-web"],
            "expose_headers": ["x-request-id", "grpc-status", "grpc-message"],
        },
        "metrics": { "networks": ["127.0.0.0/8"], "flush_interval": "1s" },
    })
}

fn token(lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    portcullis_token_lab::mint("HS256", &json!({ "sub": "ann", "exp": now + lifetime.as_secs() }))
}

const HOUR: Duration = Duration::from_secs(3600);

/// A script that calls the interface, and says what a page may know of the answer: nothing but `blocked` of one it may not read.
fn call(path: &str, options: &Value) -> String {
    format!(
        "try {{
           const answer = await fetch('{API}{path}', {options});
           return {{ type: answer.type, status: answer.status, id: answer.headers.has('x-request-id'),
                     other: answer.headers.get('server'), body: (await answer.text()).length > 0 }};
         }} catch (error) {{ return error.name + ': blocked'; }}"
    )
}

#[test]
fn pages_of_an_allowed_origin_call_and_read_and_those_of_another_do_not() {
    let shop = Shop::start();
    let with_token =
        json!({ "method": "PUT", "headers": { "authorization": format!("Bearer {}", token(HOUR)) } });
    let app = shop.browser.open(APP);
    let readable =
        |status: u16| json!({ "type": "cors", "status": status, "id": true, "other": null, "body": true });
    for _ in 0..3 {
        assert_eq!(app.run(&call("/orders", &with_token)), readable(200));
    }
    assert_eq!(shop.got("/orders").len(), 3);
    eventually("it is logged", || shop.logged("PUT", "/orders").len() == 3);
    let preflights = shop.logged("OPTIONS", "/orders");
    assert_eq!(preflights.len(), 1, "one, and the browser keeps it: {preflights:#?}");
    assert_eq!(app.run(&call("/orders", &json!({}))), readable(401), "an error is read as well");
    let odd = json!({ "headers": { "x-other": "1" } });
    assert_eq!(app.run(&call("/open", &odd)), "TypeError: blocked", "a header that the policy does not name");
    assert!(shop.got("/open").is_empty());

    let evil = shop.browser.open(EVIL);
    assert_eq!(evil.run(&call("/orders", &with_token)), "TypeError: blocked");
    assert_eq!(shop.got("/orders").len(), 3, "the preflight was refused");
    eventually("it is logged", || shop.logged("OPTIONS", "/orders").len() == 2);
    assert_eq!(shop.logged("OPTIONS", "/orders")[1]["extra"]["status"], 403);
    // Without a preflight it is a request like any other, whose answer the page cannot read.
    assert_eq!(evil.run(&call("/open", &json!({}))), "TypeError: blocked");
}

#[test]
fn a_cookie_s_token_counts_for_its_own_pages_only_and_a_bad_one_is_cleared() {
    let shop = Shop::start();
    let app = shop.browser.open(APP);
    let post = json!({ "method": "POST", "credentials": "include" });
    let login = call(&format!("/login?{}", token(HOUR)), &post);
    assert_eq!(app.run(&login)["status"], 200);
    assert!(app.cookie(API, "session").is_some(), "the browser keeps it");
    assert_eq!(app.run("return document.cookie;"), "", "no script sees it");

    let called = app.run(&call("/orders", &post));
    assert_eq!(called["status"], 200);
    let head = shop.got("/orders").concat().to_lowercase();
    assert!(head.contains("x-user-id: ann") && !head.contains("\r\ncookie:"), "{head}");

    // A form of another site: the browser sends the cookie, and the gateway does not take it.
    let evil = shop.browser.open(EVIL);
    evil.run(&format!(
        "const form = document.createElement('form');
         form.method = 'POST'; form.action = '{API}/orders'; document.body.append(form); form.submit();"
    ));
    evil.loaded();
    eventually("it is logged", || shop.logged("POST", "/orders").len() == 2);
    let refused = &shop.logged("POST", "/orders")[1];
    assert_eq!(refused["extra"]["status"], 403, "{refused}");
    assert_eq!(shop.got("/orders").len(), 1);

    shop.gateway.envoy.travel(2 * HOUR);
    assert_eq!(app.run(&call("/me", &post))["status"], 200);
    assert_eq!(app.cookie(API, "session"), None, "the answer cleared it");
    let head = shop.got("/me").concat().to_lowercase();
    assert!(!head.contains("x-user-id: ann") && !head.contains("\r\ncookie:"), "{head}");
    assert_eq!(app.run(&call("/orders", &post))["status"], 401, "nobody is logged in any more");
}

/// The body of a request about the service `a`, and a reader of the answer's frames: each message's bytes, and the trailers' text.
const GRPC_WEB: &str = "
    const about = new Uint8Array([0, 0, 0, 0, 3, 0x0a, 1, 0x61]);
    const ask = (method, headers) => fetch(API + '/grpc.health.v1.Health/' + method, { method: 'POST', body: about,
        headers: { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1', ...headers } });
    const reader = (answer) => {
        const stream = answer.body.getReader();
        let left = new Uint8Array();
        return async () => {
            const size = () => new DataView(left.buffer, left.byteOffset).getUint32(1) + 5;
            while (left.length < 5 || left.length < size()) {
                const { value, done } = await stream.read();
                if (done) return null;
                const joined = new Uint8Array(left.length + value.length);
                joined.set(left); joined.set(value, left.length); left = joined;
            }
            const frame = left.slice(0, size()); left = left.slice(frame.length);
            return frame[0] & 0x80 ? new TextDecoder().decode(frame.slice(5)) : Array.from(frame.slice(5));
        };
    };
";

fn grpc_web(script: &str) -> String {
    format!("const API = '{API}'; {GRPC_WEB} {script}")
}

#[test]
fn a_page_calls_a_grpc_service_and_watches_its_stream() {
    let shop = Shop::start();
    let says = |serving: bool| RUNTIME.block_on(shop.live.set_serving("a", serving));
    says(true);
    let app = shop.browser.open(APP);
    let bearer = format!("{{ authorization: 'Bearer {}' }}", token(HOUR));
    let check = format!(
        "const answer = await ask('Check', {bearer}); const next = reader(answer);
         return [answer.status, answer.headers.get('content-type'), await next(), (await next()).includes('grpc-status:0')];"
    );
    // HealthCheckResponse {{ status: SERVING }}, then the trailers.
    let serving = json!([200, "application/grpc-web+proto", [8, 1], true]);
    assert_eq!(app.run(&grpc_web(&check)), serving);
    let refused =
        "const answer = await ask('Check', {}); return [answer.status, answer.headers.get('grpc-status')];";
    assert_eq!(app.run(&grpc_web(refused)), json!([401, "16"]));

    let watch = format!("window.next = reader(await ask('Watch', {bearer})); return await window.next();");
    assert_eq!(app.run(&grpc_web(&watch)), json!([8, 1]));
    says(false);
    assert_eq!(app.run("return await window.next();"), json!([8, 2]), "while the stream is open");
}
