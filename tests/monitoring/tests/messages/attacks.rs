//! From attack to message.

use crate::receivers::Inbox;
use crate::world::{Watchers, brute_force, policy, send, token, token_abuse};
use portcullis_demo_services::{Fault, Service};
use portcullis_e2e::{
    EnvoyConfig, Gateway, PLUGIN_POLICY, Request, TRAP, eventually_within, routes_write_none,
};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// How much faster time passes: a second of the wall is five of the scenario.
const PACE: u32 = 5;

/// Between two requests of each of two clients that storm: forty a second of the scenario at most, four times what is a storm.
const BETWEEN: Duration = Duration::from_millis(10);

/// What must be undercut, of the scenario's time.
const LIMIT: Duration = Duration::from_secs(300);

fn trapping(module: &NamedTempFile) -> Gateway {
    let file = module.path().to_string_lossy().into_owned();
    let plugin = PLUGIN_POLICY.trim_end_matches("/configuration/value");
    let gateways = format!("{plugin}/vm_config/code/local/filename");
    let metrics =
        gateways.replace("/listeners/0/", "/listeners/1/").replace("/http_filters/0/", "/http_filters/1/");
    let with_module =
        move |config: EnvoyConfig| config.set(&gateways, file.as_str()).set(&metrics, file.as_str());
    Gateway::setup().envoy(with_module).start()
}

/// An alert, when what it tells of began, and when its message came.
struct Told {
    alert: &'static str,
    began: Instant,
    message: Option<(String, Duration)>,
}

impl Told {
    fn of(alert: &'static str) -> Self {
        Self { alert, began: Instant::now(), message: None }
    }

    fn look(&mut self, slack: &Inbox) {
        if self.message.is_none() && slack.has(&format!(": {}", self.alert)) {
            let message = slack.wait_for(&format!(": {}", self.alert));
            self.message = Some((message, self.began.elapsed() * PACE));
        }
    }

    /// The ids of requests that the message names.
    fn requests(&self) -> Vec<String> {
        let message = self.message.as_ref().map(|(text, _)| text.as_str()).unwrap_or_default();
        let line = message.split("Requests: ").nth(1).and_then(|rest| rest.split("\\n").next());
        line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }
}

#[test]
fn an_attack_is_in_a_message_within_five_minutes_with_its_request_and_a_link() {
    let gateway = Gateway::shipped().policy(|old| *old = policy()).start();
    let mut module = NamedTempFile::new().expect("a file");
    module.write_all(&wat::parse_str(TRAP).expect("a module")).expect("it can be written");
    let trapped = trapping(&module);
    let bare = Gateway::setup().envoy(|config| config.edit(routes_write_none)).start();
    // Requests a second are five times as many in a scenario whose seconds are five times as short.
    let storm = |rules: String| rules.replace("rate_limit_hits:rate5m > 10", "rate_limit_hits:rate5m > 50");
    let mut watchers = Watchers::start(&[&gateway, &bare], &[&trapped], PACE, storm);
    let mut of_trapped = watchers.file.beside("other");
    eventually_within(Duration::from_secs(60), "all is scraped, and the store's counts arrive", || {
        watchers.value("min(up)") == Some(1.0)
            && watchers.value("count(up)") == Some(7.0)
            && watchers.value(r#"sum(auth_suspicious_activity_total{type="token_abuse"})"#) == Some(0.0)
            && watchers.value("count(gateway_security_headers_due_total)") == Some(2.0)
            && watchers.value("gateway_log:lines:count1h").is_some()
    });

    brute_force(&gateway, "203.0.113.5");
    let mut told = vec![Told::of("FailedLogins")];
    token_abuse(&gateway);
    told.push(Told::of("TokenAbuse"));
    assert_eq!(trapped.get("/api/v1/inventory/assets").status, 503);
    told.push(Told::of("FilterTrapped"));
    gateway.knobs().set(Fault::everywhere(Service::Order).status(503)).expect("a sound fault");
    assert_eq!(bare.get("/api/v1/inventory/assets").status, 200);
    told.push(Told::of("HeadersNotInjected"));
    let orders = || Request::get("/api/v1/orders").bearer(&token("carol", "customer"));
    for _ in 0..5 {
        assert_eq!(send(&gateway, "198.51.100.7", orders()).status, 503);
    }
    told.push(Told::of("BreakerOpen"));

    let (over, sent) = (AtomicBool::new(false), std::sync::atomic::AtomicU32::new(0));
    let balance = Request::get("/api/v1/balance").bearer(&token("flood", "customer"));
    std::thread::scope(|scope| {
        told.push(Told::of("RateLimitStorm"));
        let began = Instant::now();
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    send(&gateway, "203.0.115.60", balance.clone());
                    std::thread::sleep(BETWEEN);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        eventually_within(Duration::from_secs(120), "all messages arrive", || {
            watchers.file.take(gateway.envoy.stdout(), |_| false);
            // A worker whose VM has trapped gets a new one with its next request.
            trapped.get("/api/v1/inventory/assets");
            of_trapped.take(trapped.envoy.stdout(), |_| false);
            told.iter_mut().for_each(|told| told.look(&watchers.messages.slack));
            let all = told.iter().all(|told| told.message.is_some());
            if all || began.elapsed() > Duration::from_secs(110) {
                over.store(true, Ordering::Relaxed);
            }
            all || began.elapsed() > Duration::from_secs(110)
        });
        let rate = f64::from(sent.load(Ordering::Relaxed)) / began.elapsed().as_secs_f64() / f64::from(PACE);
        println!("storm: {rate:.0} requests a second of the scenario");
    });

    watchers.logs.kill_collector();
    told.push(Told::of("ShipperDown"));
    eventually_within(Duration::from_secs(120), "the message of the dead shipper arrives", || {
        told.iter_mut().for_each(|told| told.look(&watchers.messages.slack));
        told.last().is_some_and(|told| told.message.is_some())
    });

    for told in &told {
        let Some((message, after)) = &told.message else { panic!("no message of {}", told.alert) };
        println!("{}: after {} s, requests {:?}", told.alert, after.as_secs(), told.requests());
        assert!(*after < LIMIT, "{} after {after:?}", told.alert);
        assert!(message.contains("Dashboard: http") && message.contains("Runbook: http"), "{message}");
        // No single request is to blame for these.
        if ["ShipperDown", "HeadersNotInjected"].contains(&told.alert) {
            continue;
        }
        let requests = told.requests();
        assert!(!requests.is_empty(), "no request in {message}");
        for id in &requests {
            assert!(watchers.logs.count(&format!(r#"_time:1h request_id:="{id}""#)) > 0, "no line of {id}");
            assert!(message.contains("security-events?var-request_id=") && message.contains(id), "{message}");
        }
    }
    // Critical ones are mailed as well; a warning is not.
    for alert in ["TokenAbuse", "FilterTrapped", "BreakerOpen", "HeadersNotInjected", "ShipperDown"] {
        watchers.messages.mail.wait_for(alert);
    }
    assert!(!watchers.messages.mail.has("FailedLogins"));
}
