//! Header and trailer maps as Envoy keeps them: names in lower case, values as bytes, order kept, pseudo-headers first.
//!
//! Two of Envoy's habits are easily missed. Adding a second value under one of its "inline" names appends to the first
//! (`a,b`) where any other name gets a second entry; and replacing moves the entry to the end.

/// What a map belongs to: it decides which names are inline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Request,
    Response,
    RequestTrailers,
    ResponseTrailers,
}

/// A header or trailer map.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap {
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    kind: Kind,
}

impl PartialEq for HeaderMap {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for HeaderMap {}

/// Names under which Envoy keeps exactly one entry, joining further values with `,`: as it lists them when it starts.
const INLINE_OF_BOTH: &[&str] = &[
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "keep-alive",
    "proxy-connection",
    "proxy-status",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-request-id",
];
const INLINE_OF_REQUESTS: &[&str] = &[
    ":authority",
    ":method",
    ":path",
    ":protocol",
    ":scheme",
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "authentication",
    "authorization",
    "cdn-loop",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "referer",
    "te",
    "user-agent",
    "x-client-trace-id",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
];
const INLINE_OF_RESPONSES: &[&str] = &[
    ":status",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "date",
    "etag",
    "expires",
    "grpc-message",
    "grpc-status",
    "last-modified",
    "location",
    "server",
    "vary",
    "x-envoy-degraded",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-ratelimited",
    "x-envoy-upstream-canary",
    "x-envoy-upstream-healthchecked-cluster",
    "x-envoy-upstream-service-time",
];
const INLINE_OF_RESPONSE_TRAILERS: &[&str] = &["grpc-message", "grpc-status"];

/// What filters tell the router by headers, and nobody from outside may. Retries are not among what the harness does.
pub(crate) const ROUTER_HEADERS: [&str; 10] = [
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
];

impl Kind {
    fn is_inline(self, name: &[u8]) -> bool {
        let lists: &[&[&str]] = match self {
            Kind::Request => &[INLINE_OF_BOTH, INLINE_OF_REQUESTS],
            Kind::Response => &[INLINE_OF_BOTH, INLINE_OF_RESPONSES],
            Kind::RequestTrailers => &[],
            Kind::ResponseTrailers => &[INLINE_OF_RESPONSE_TRAILERS],
        };
        lists.iter().any(|list| list.iter().any(|inline| inline.as_bytes() == name))
    }
}

impl HeaderMap {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty map of something else than a request's headers.
    pub(crate) fn of(kind: Kind) -> Self {
        Self { entries: Vec::new(), kind }
    }

    /// A map from pairs, added one by one.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Self::new().with(pairs)
    }

    pub(crate) fn with<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        pairs.into_iter().for_each(|(name, value)| self.add(name.as_ref(), value.as_ref()));
        self
    }

    /// The first value under a name.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = self.canonical(name.as_ref());
        self.entries.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_slice())
    }

    /// Every value under a name, in order.
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> Vec<&[u8]> {
        let name = self.canonical(name.as_ref());
        self.entries.iter().filter(|(n, _)| *n == name).map(|(_, value)| value.as_slice()).collect()
    }

    /// The values under a name joined with `,` as Envoy's properties and access logs show them.
    pub fn joined(&self, name: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let values = self.get_all(name);
        (!values.is_empty()).then(|| values.join(&b","[..]))
    }

    /// The first value as text, what is not UTF-8 replaced; for tests and messages.
    pub fn text(&self, name: impl AsRef<[u8]>) -> Option<String> {
        self.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// True if there is such a name.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.get(name).is_some()
    }

    /// Adds a value: a new entry, or `,value` at the end of an inline one.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let name = self.canonical(name);
        if self.kind.is_inline(&name)
            && let Some((_, old)) = self.entries.iter_mut().find(|(n, _)| *n == name)
        {
            return append(old, value);
        }
        let at = if is_pseudo(&name) { self.pseudo_len() } else { self.entries.len() };
        self.entries.insert(at, (name, value.to_vec()));
    }

    /// Removes every value under a name, then adds this one at the end.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    /// Removes every value under a name.
    pub fn remove(&mut self, name: &[u8]) {
        let name = self.canonical(name);
        self.entries.retain(|(n, _)| *n != name);
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True without entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all names and values, which is what `proxy_get_header_map_size` gives.
    pub fn byte_size(&self) -> usize {
        self.entries.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Lower case, and in requests `host` as Envoy's lookup table has it.
    fn canonical(&self, name: &[u8]) -> Vec<u8> {
        let lower = name.to_ascii_lowercase();
        if self.kind == Kind::Request && lower == b"host" { b":authority".to_vec() } else { lower }
    }

    /// Gives the only entry of a name another value, where it stands.
    pub(crate) fn change(&mut self, name: &[u8], value: &[u8]) {
        self.entries.iter_mut().filter(|(n, _)| n == name).for_each(|(_, old)| *old = value.to_vec());
    }

    fn pseudo_len(&self) -> usize {
        self.entries.iter().take_while(|(name, _)| is_pseudo(name)).count()
    }
}

fn is_pseudo(name: &[u8]) -> bool {
    name.first() == Some(&b':')
}

/// Envoy adds no delimiter to an empty value, and adds nothing for an empty addition.
fn append(old: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    if !old.is_empty() {
        old.push(b',');
    }
    old.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_host_is_the_authority() {
        let map = HeaderMap::from_pairs([(":authority", "a.example"), ("X-One", "1")]);
        assert_eq!(map.get("host"), Some(&b"a.example"[..]));
        assert_eq!(map.get("x-one"), Some(&b"1"[..]));
    }

    #[test]
    fn the_getter_gives_the_first_value_and_the_join_gives_all() {
        let map = HeaderMap::from_pairs([("x-a", "1"), ("x-a", "2")]);
        assert_eq!(map.get("x-a"), Some(&b"1"[..]));
        assert_eq!(map.joined("x-a"), Some(b"1,2".to_vec()));
    }

    #[test]
    fn replacing_a_duplicate_leaves_one_entry_at_the_end() {
        let mut map = HeaderMap::from_pairs([("x-a", "1"), ("x-b", "b"), ("x-a", "2")]);
        map.set(b"x-a", b"3");
        let names: Vec<_> = map.iter().collect();
        assert_eq!(names, [(&b"x-b"[..], &b"b"[..]), (&b"x-a"[..], &b"3"[..])]);
    }

    #[test]
    fn an_inline_name_takes_a_second_value_by_joining() {
        let map = HeaderMap::from_pairs([("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")]);
        assert_eq!(map.get_all("x-forwarded-for"), [&b"1.1.1.1,2.2.2.2"[..]]);
    }

    #[test]
    fn a_late_pseudo_header_still_stands_before_the_others() {
        let mut map = HeaderMap::from_pairs([(":path", "/"), ("x-a", "1")]);
        map.set(b":method", b"GET");
        let names: Vec<_> = map.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b":path"[..], b":method", b"x-a"]);
    }
}
