//! What an Envoy under test is started with.

use serde_json::{Value, json};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// In bootstrap texts and files: replaced by the folder that [`EnvoyConfig::file`] writes into.
pub(crate) const FOLDER: &str = "@FOLDER@";

/// A bootstrap and how to run it.
///
/// Unless [`EnvoyConfig::with_its_own_ports`] says otherwise, all listeners of the bootstrap and the admin interface
/// are moved to free loopback ports; [`crate::Envoy::address`] says where they are.
#[derive(Clone, Debug)]
pub struct EnvoyConfig {
    pub(crate) bootstrap: Value,
    pub(crate) workers: u32,
    pub(crate) log_level: String,
    pub(crate) time_travel: bool,
    pub(crate) wall_clock: Option<SystemTime>,
    pub(crate) frozen: bool,
    pub(crate) ready_within: Duration,
    pub(crate) flush_every: Duration,
    pub(crate) free_ports: bool,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) files: Vec<(String, String)>,
}

impl EnvoyConfig {
    /// A bootstrap as YAML (or JSON) text, with 2 workers, log level info, and clocks that can travel.
    ///
    /// # Panics
    /// If the text is not YAML.
    #[track_caller]
    pub fn yaml(bootstrap: &str) -> Self {
        match serde_saphyr::from_str(bootstrap) {
            Ok(bootstrap) => Self::json(bootstrap),
            Err(error) => panic!("the bootstrap is not YAML: {error}"),
        }
    }

    /// Like [`EnvoyConfig::yaml`], from a file.
    ///
    /// # Panics
    /// If the file cannot be read or is not YAML.
    #[track_caller]
    pub fn yaml_file(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path);
        Self::yaml(&text.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Like [`EnvoyConfig::yaml`], from a value.
    pub fn json(bootstrap: Value) -> Self {
        Self {
            bootstrap,
            workers: 2,
            log_level: "info".into(),
            time_travel: true,
            wall_clock: None,
            frozen: false,
            ready_within: Duration::from_secs(30),
            flush_every: Duration::from_millis(10),
            free_ports: true,
            arguments: Vec::new(),
            environment: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The number of worker threads; 2 unless set.
    pub fn workers(mut self, count: u32) -> Self {
        self.workers = count;
        self
    }

    /// Envoy's log level; `info` unless set.
    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = level.into();
        self
    }

    /// How long Envoy may take to become ready; 30 s unless set.
    pub fn ready_within(mut self, time: Duration) -> Self {
        self.ready_within = time;
        self
    }

    /// How often files are flushed; every 10 ms unless set. `POST /reopen_logs` flushes them, too.
    pub fn flush_every(mut self, time: Duration) -> Self {
        self.flush_every = time;
        self
    }

    /// Runs on the system's clocks, at their full speed (for measurements). [`crate::Envoy::travel`] then panics.
    pub fn without_time_travel(mut self) -> Self {
        self.time_travel = false;
        self
    }

    /// Lets Envoy's wall clock start at `time`, from where it runs on.
    pub fn wall_clock_at(mut self, time: SystemTime) -> Self {
        self.wall_clock = Some(time);
        self
    }

    /// Lets Envoy's clocks stand still, the wall clock at `time`: they move only by [`crate::Envoy::travel`]. Timers then fire
    /// within about 1 ms. (Files are flushed by a timer: an access log needs 10 ms of travel to be seen.)
    pub fn frozen_at(mut self, time: SystemTime) -> Self {
        (self.wall_clock, self.frozen) = (Some(time), true);
        self
    }

    /// Keeps the listeners' ports as the bootstrap has them.
    pub fn with_its_own_ports(mut self) -> Self {
        self.free_ports = false;
        self
    }

    /// One more command-line argument.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// One more environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// One more file in Envoy's own folder, which the bootstrap refers to as `@FOLDER@/name`.
    /// [`crate::Envoy::replace_file`] changes it while Envoy runs.
    pub fn file(mut self, name: &str, contents: &str) -> Self {
        self.files.push((name.into(), contents.into()));
        self
    }

    /// Changes the bootstrap by hand.
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.bootstrap);
        self
    }

    /// Replaces what is at `pointer` (RFC 6901) in the bootstrap.
    ///
    /// # Panics
    /// If nothing is there.
    #[track_caller]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        match self.bootstrap.pointer_mut(pointer) {
            Some(place) => *place = value.into(),
            None => panic!("the bootstrap has nothing at {pointer}"),
        }
        self
    }

    /// Replaces `old` by `new` in every string of the bootstrap.
    ///
    /// # Panics
    /// If no string has it.
    #[track_caller]
    pub fn replace(mut self, old: &str, new: &str) -> Self {
        let replaced = replace_in(&mut self.bootstrap, old, new);
        assert!(replaced > 0, "no string of the bootstrap contains {old:?}");
        self
    }

    /// Lets the endpoints of the static cluster `name` be `address` alone.
    ///
    /// # Panics
    /// If the bootstrap has no such cluster.
    #[track_caller]
    pub fn cluster_at(mut self, name: &str, address: SocketAddr) -> Self {
        let clusters = self.bootstrap.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut);
        let clusters = clusters.map(Vec::as_mut_slice).unwrap_or_default();
        let names: Vec<_> = clusters.iter().map(|cluster| cluster["name"].to_string()).collect();
        let Some(cluster) = clusters.iter_mut().find(|cluster| cluster["name"] == name) else {
            panic!("the bootstrap has no cluster {name:?}, but {}", names.join(", "));
        };
        cluster["load_assignment"] = load_assignment(name, address);
        self
    }

    /// The bootstrap that is really used, for `folder`.
    pub(crate) fn effective_bootstrap(&self, folder: &Path) -> Value {
        let mut bootstrap = self.bootstrap.clone();
        replace_in(&mut bootstrap, FOLDER, &folder.to_string_lossy());
        if !bootstrap["admin"].is_object() {
            bootstrap["admin"] = json!({});
        }
        bootstrap["admin"]["address"] = socket_address(([127, 0, 0, 1], 0).into());
        if self.free_ports {
            listeners(&mut bootstrap).iter_mut().for_each(move_to_free_port);
        }
        bootstrap
    }
}

fn listeners(bootstrap: &mut Value) -> &mut [Value] {
    let listeners = bootstrap.pointer_mut("/static_resources/listeners").and_then(Value::as_array_mut);
    listeners.map(Vec::as_mut_slice).unwrap_or_default()
}

fn move_to_free_port(listener: &mut Value) {
    if let Some(Value::Object(address)) = listener.pointer_mut("/address/socket_address") {
        address.insert("address".into(), json!("127.0.0.1"));
        address.insert("port_value".into(), json!(0));
    }
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn load_assignment(cluster: &str, address: SocketAddr) -> Value {
    let endpoint = json!({"endpoint": {"address": socket_address(address)}});
    json!({"cluster_name": cluster, "endpoints": [{"lb_endpoints": [endpoint]}]})
}

/// Replaces in every string, and returns in how many.
fn replace_in(value: &mut Value, old: &str, new: &str) -> usize {
    match value {
        Value::String(text) if text.contains(old) => {
            *text = text.replace(old, new);
            1
        }
        Value::Array(items) => items.iter_mut().map(|item| replace_in(item, old, new)).sum(),
        Value::Object(members) => members.values_mut().map(|member| replace_in(member, old, new)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: &str = r#"
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 0.0.0.0, port_value: 8080}}
  clusters:
  - {name: orders, type: STATIC}
  - {name: files, path: "@FOLDER@/eds.yaml"}
"#;

    #[test]
    fn listeners_move_to_free_loopback_ports() {
        let bootstrap = EnvoyConfig::yaml(BOOTSTRAP).effective_bootstrap(Path::new("/f"));
        let address = &bootstrap["static_resources"]["listeners"][0]["address"]["socket_address"];
        assert_eq!(address, &json!({"address": "127.0.0.1", "port_value": 0}));
        assert_eq!(bootstrap["admin"]["address"]["socket_address"]["port_value"], 0);
    }

    #[test]
    fn listeners_keep_their_ports_when_asked_to() {
        let config = EnvoyConfig::yaml(BOOTSTRAP).with_its_own_ports();
        let bootstrap = config.effective_bootstrap(Path::new("/f"));
        let address = &bootstrap["static_resources"]["listeners"][0]["address"]["socket_address"];
        assert_eq!(address["port_value"], 8080);
    }

    #[test]
    fn a_cluster_is_pointed_elsewhere() {
        let config = EnvoyConfig::yaml(BOOTSTRAP).cluster_at("orders", ([127, 0, 0, 1], 7).into());
        let endpoint = "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint";
        let endpoint = config.bootstrap.pointer(endpoint).expect("it was written");
        assert_eq!(endpoint["address"]["socket_address"]["port_value"], 7);
    }

    #[test]
    #[should_panic(expected = r#"no cluster "order", but "orders", "files""#)]
    fn an_unknown_cluster_is_named_beside_those_that_exist() {
        let _ = EnvoyConfig::yaml(BOOTSTRAP).cluster_at("order", ([127, 0, 0, 1], 7).into());
    }

    #[test]
    fn files_are_found_in_the_folder() {
        let bootstrap = EnvoyConfig::yaml(BOOTSTRAP).effective_bootstrap(Path::new("/f"));
        assert_eq!(bootstrap["static_resources"]["clusters"][1]["path"], "/f/eds.yaml");
    }

    #[test]
    #[should_panic(expected = "nothing at /static_resources/listener")]
    fn setting_what_is_not_there_is_an_error() {
        let _ = EnvoyConfig::yaml(BOOTSTRAP).set("/static_resources/listener", 1);
    }
}
