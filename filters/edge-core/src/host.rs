//! What a proxy lends to the stages. Everything that is not a pure function of the request comes through here: time, randomness,
//! state that the workers share, native cryptography, calls to other servers.

use crate::{Call, CallToken, Mono, Now};

/// The proxy in which the stages run. Methods take `&self`: inside a proxy a host is a set of functions, without state of its own.
pub trait Host {
    /// Both clocks.
    fn now(&self) -> Now;

    /// The monotonic clock alone, which is cheaper than both.
    fn mono(&self) -> Mono;

    /// 16 random bytes.
    fn random_16(&self) -> [u8; 16];

    /// Calls the host's function `verify_signature` with `arguments` and returns its answer; `None` where it has no such function.
    fn verify_signature(&self, arguments: &[u8]) -> Option<Vec<u8>>;

    /// What the host knows of the stream whose request is being judged. Each answer costs a host call, so it is asked for only where
    /// it matters; nothing where the host does not say, or no request is being judged.
    fn stream(&self, _: StreamFact) -> Option<Vec<u8>> {
        None
    }

    /// The stream's filter state under this name, which filters of this kind alone write (`wasm.NAME` in the proxy's own words).
    fn filter_state(&self, _: &str) -> Option<Vec<u8>> {
        None
    }

    /// The value that all workers share under `key`; `None` if nothing was ever written there. Use keys of a [`Namespace`].
    ///
    /// # Errors
    /// When the host cannot say.
    fn shared(&self, key: &str) -> Result<Option<Shared>, HostError>;

    /// Writes `value` under `key` if its version is still `expected` (`None`: if nothing was ever written there). Returns whether it
    /// did; `false` means that another worker wrote in between. What is written once can be replaced and never removed.
    ///
    /// # Errors
    /// When the host cannot write.
    fn swap_shared(&self, key: &str, value: &[u8], expected: Option<u32>) -> Result<bool, HostError>;

    /// Starts a call. Its answer comes later, under the token.
    ///
    /// # Errors
    /// When it cannot be sent: the proxy has no such cluster.
    fn call(&self, call: &Call) -> Result<CallToken, HostError>;
}

/// What a host can say of a stream besides its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamFact {
    /// The address at the other end of the connection, as `ip:port`.
    Peer,
    /// The version of TLS on the client's connection; empty or nothing where it has none.
    TlsVersion,
    /// The name of the proxy's own route, which no client can write.
    RouteName,
    /// The protocol that the client speaks: `HTTP/1.1`, `HTTP/2`.
    Protocol,
    /// When the stream began, and on which connection, in bytes of the host's own: the same for every filter of the stream, and for no
    /// other client's.
    Began,
}

/// A value that all workers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The bytes.
    pub value: Vec<u8>,
    /// To swap it by.
    pub version: u32,
}

/// A host call did not succeed; the host's status (proxy-wasm ABI 0.2.1, `proxy_status_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError(pub u32);

impl HostError {
    /// What was asked for does not exist.
    pub const NOT_FOUND: Self = Self(1);
    /// An argument names nothing the host knows.
    pub const BAD_ARGUMENT: Self = Self(2);
    /// The value under a key is another than the caller read.
    pub const CAS_MISMATCH: Self = Self(8);
}

/// Keeps two instances of the filter in one proxy apart: their keys in shared data, and their lines in a stream's filter state.
///
/// ```
/// use portcullis_edge_core::Namespace;
/// assert_eq!(Namespace::new("edge").key("limits/7"), "portcullis/edge/limits/7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(String);

impl Namespace {
    /// The name of the only instance, where a policy gives none.
    pub const DEFAULT: &'static str = "default";

    /// Whether an instance may have this name: a lower-case letter, then at most 31 of these, digits, `_` and `-`.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let is_rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        name.len() <= 32 && name.bytes().all(is_rest) && name.starts_with(|c: char| c.is_ascii_lowercase())
    }

    /// That of the instance with this name (`gateway.instance` of the policy).
    #[must_use]
    pub fn new(instance: &str) -> Self {
        Self(instance.to_owned())
    }

    /// The key in shared data for `name`.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        ["portcullis/", &self.0, "/", name].concat()
    }

    /// Where a request's log lines are left as filter state (the proxy puts `wasm.` before it): two instances in one chain each leave
    /// theirs.
    ///
    /// ```
    /// use portcullis_edge_core::Namespace;
    /// assert_eq!(Namespace::new(Namespace::DEFAULT).log_line(), "portcullis_log");
    /// assert_eq!(Namespace::new("edge-2").log_line(), "portcullis_log_edge-2");
    /// ```
    #[must_use]
    pub fn log_line(&self) -> String {
        match self.0.as_str() {
            Self::DEFAULT => "portcullis_log".to_owned(),
            instance => format!("portcullis_log_{instance}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn an_instance_is_named_as_a_part_of_a_key_may_be() {
        let longest = "a".repeat(32);
        for name in ["default", "a", "edge-2", "edge_2", &longest] {
            assert!(Namespace::is_name(name), "{name}");
        }
        let too_long = "a".repeat(33);
        for name in ["", "2edge", "-edge", "_edge", "Edge", "edge.2", "edge/2", "é", &too_long] {
            assert!(!Namespace::is_name(name), "{name}");
        }
        assert_eq!(Namespace::new("edge-2").key("limits"), "portcullis/edge-2/limits");
    }
}
