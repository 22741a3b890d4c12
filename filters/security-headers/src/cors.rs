//! Cross-origin requests.
//!
//! A preflight has no token, so whoever forwards one lets somebody unknown through: the gateway answers all of them itself, and what is
//! no preflight to the letter is judged like any request. The proxy's own CORS filter marks what services answer. What the gateway
//! answers itself never reaches that filter, so its answers are marked here: without that, a browser shows a script "CORS error" where
//! it should show "401".

use crate::origin::OriginRule;
use crate::trust::header_value;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Headers, Node, PolicyDuration, RequestHead};
use schemars::JsonSchema;

/// `cors`: which web pages may call the gateway from a browser.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawCors {
    /// Origins that may: `https://shop.example.com`, `https://*.example.com` (any one or more labels), `https://pr-*.example.com` (a part
    /// of one label), `http://localhost:*` (any port), an app's own such as `capacitor://localhost` or `chrome-extension://id`, `null`
    /// (what sandboxed frames and local files have), or `*` for all. `null` and `*` not together with `credentials`.
    #[schemars(extend("examples" = [["https://shop.example.com", "https://pr-*.example.com", "capacitor://localhost"]]))]
    pub origins: Vec<String>,
    /// Request headers that scripts may set besides the safe-listed ones.
    #[deserr(default)]
    #[schemars(default)]
    pub headers: Vec<String>,
    /// Response headers that scripts may read.
    #[deserr(default)]
    #[schemars(default)]
    pub expose_headers: Vec<String>,
    /// Whether requests with cookies or client certificates are allowed (default false); not together with origin `*`.
    #[deserr(default)]
    #[schemars(default)]
    pub credentials: bool,
    /// How long browsers may keep a preflight's answer (default `10m`).
    #[deserr(default = PolicyDuration::secs(600))]
    #[schemars(default = "default_max_age")]
    pub max_age: PolicyDuration,
}

fn default_max_age() -> PolicyDuration {
    PolicyDuration::secs(600)
}

/// Every header by which an answer says who may read it (Fetch standard; Private Network Access).
pub const CORS_ANSWERS: [&str; 7] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-private-network",
    "access-control-max-age",
];

/// The compiled section.
#[derive(Clone, Debug)]
pub struct Cors {
    rules: Vec<OriginRule>,
    credentials: bool,
    expose: Vec<u8>,
    headers: Vec<u8>,
    max_age: PolicyDuration,
}

impl RawCors {
    /// Checks the section, which stands at `at`.
    ///
    /// # Errors
    /// Origins that are none, values that could split a header, credentials for everybody.
    pub fn compile(&self, at: &Node) -> Result<Cors, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let rules = self.rules(&at.key("origins"), &mut errors);
        for (field, names) in [("headers", &self.headers), ("expose_headers", &self.expose_headers)] {
            errors.extend(check_names(names, &at.key(field)));
        }
        errors.extend(self.check_max_age(&at.key("max_age")));
        let [expose, headers] =
            [&self.expose_headers, &self.headers].map(|names| names.join(", ").into_bytes());
        let (credentials, max_age) = (self.credentials, self.max_age);
        let cors = Cors { rules, credentials, expose, headers, max_age };
        if errors.is_empty() { Ok(cors) } else { Err(errors) }
    }

    fn rules(&self, at: &Node, errors: &mut Vec<ConfigError>) -> Vec<OriginRule> {
        let mut rules = Vec::new();
        for (index, origin) in self.origins.iter().enumerate() {
            match self.rule(origin, &at.index(index)) {
                Ok(rule) => rules.push(rule),
                Err(error) => errors.push(error),
            }
        }
        rules
    }

    fn rule(&self, origin: &str, at: &Node) -> Result<OriginRule, ConfigError> {
        match OriginRule::parse(origin) {
            Some(OriginRule::Any) if self.credentials => {
                Err(at.error("`*` together with `credentials: true`", "the origins by name"))
            }
            // Any page can have itself shown in a frame whose origin is `null`.
            Some(OriginRule::Exact(null)) if self.credentials && null == "null" => {
                Err(at.error("`null` together with `credentials: true`", "the origins by name"))
            }
            Some(_) if has_default_port(origin) => Err(at.error(
                format!("`{}`", origin.escape_debug()),
                "the origin without its port, which browsers leave out where it is the scheme's own",
            )),
            Some(rule) => Ok(rule),
            None => Err(at.error(
                format!("`{}`", origin.escape_debug()),
                "`*`, `null`, or an origin such as `https://shop.example.com`, `https://*.example.com`, `https://pr-*.example.com`, \
                `http://localhost:*` or `capacitor://localhost`",
            )),
        }
    }

    /// `Access-Control-Max-Age` counts whole seconds, and no browser keeps an answer for longer than a day.
    fn check_max_age(&self, at: &Node) -> Option<ConfigError> {
        let is_fine = self.max_age <= MAX_MAX_AGE && self.max_age.0.subsec_nanos() == 0;
        let expected = format!("whole seconds, `{MAX_MAX_AGE}` at most");
        (!is_fine).then(|| at.error(format!("`{}`", self.max_age), expected))
    }
}

const MAX_MAX_AGE: PolicyDuration = PolicyDuration::secs(24 * 3600);

fn check_names(names: &[String], at: &Node) -> Vec<ConfigError> {
    names.iter().enumerate().filter_map(|(index, name)| header_value(name, &at.index(index)).err()).collect()
}

/// Whether an origin names the port that its scheme has anyway: no browser sends it so.
fn has_default_port(origin: &str) -> bool {
    (origin.starts_with("https://") && origin.ends_with(":443"))
        || (origin.starts_with("http://") && origin.ends_with(":80"))
}

impl Cors {
    /// The rules, for whoever configures the proxy's own CORS filter.
    #[must_use]
    pub fn rules(&self) -> &[OriginRule] {
        &self.rules
    }

    /// Whether requests with cookies or client certificates are allowed.
    #[must_use]
    pub fn credentials(&self) -> bool {
        self.credentials
    }

    /// The response headers that scripts may read, commas between; empty for none.
    #[must_use]
    pub fn exposed(&self) -> &[u8] {
        &self.expose
    }

    /// Whether pages of `origin` may call. No page has an empty origin.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        let allows = |origin: &str| self.rules.iter().any(|rule| rule.allows(origin));
        !origin.is_empty() && core::str::from_utf8(origin).is_ok_and(allows)
    }

    /// The headers of the answer to a preflight from an allowed origin, for a path that has these `methods` (Fetch standard, section
    /// 3.3.3).
    #[must_use]
    pub fn preflight(&self, request: &Headers, methods: &[&str]) -> Vec<(&'static str, Vec<u8>)> {
        let mut headers = self.mark(request);
        headers.push(("access-control-allow-methods", methods.join(", ").into_bytes()));
        if !self.headers.is_empty() {
            headers.push(("access-control-allow-headers", self.headers.clone()));
        }
        headers.push(("access-control-max-age", self.max_age.0.as_secs().to_string().into_bytes()));
        headers
    }

    /// The headers that let the page that sent `request` read an answer of the gateway's own.
    #[must_use]
    pub fn mark(&self, request: &Headers) -> Vec<(&'static str, Vec<u8>)> {
        let Some(origin) = request.first("origin") else { return Vec::new() };
        if !self.allows(origin) {
            return vec![("vary", b"origin".to_vec())];
        }
        let mut headers =
            vec![("access-control-allow-origin", origin.to_vec()), ("vary", b"origin".to_vec())];
        if self.credentials {
            headers.push(("access-control-allow-credentials", b"true".to_vec()));
        }
        if !self.expose.is_empty() {
            headers.push(("access-control-expose-headers", self.expose.clone()));
        }
        headers
    }
}

/// The method a CORS preflight asks about; `None` when the request is no preflight (Fetch standard, section 3.3.2).
#[must_use]
pub fn preflight_method(head: &RequestHead) -> Option<&[u8]> {
    let has_origin = head.headers.first("origin").is_some_and(|origin| !origin.is_empty());
    if head.method() != b"OPTIONS" || !has_origin {
        return None;
    }
    head.headers.first("access-control-request-method").filter(|method| !method.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn raw(origins: &[&str], credentials: bool) -> RawCors {
        RawCors {
            origins: origins.iter().map(ToString::to_string).collect(),
            headers: vec![],
            expose_headers: vec!["x-request-id".into()],
            credentials,
            max_age: default_max_age(),
        }
    }

    fn allows(rule: &str, origin: &str) -> bool {
        let cors = raw(&[rule], false).compile(&Node::top()).unwrap();
        let marks = cors.mark(&Headers::from_pairs([("origin", origin.as_bytes())]));
        marks.iter().any(|(name, value)| *name == "access-control-allow-origin" && value == origin.as_bytes())
    }

    #[test]
    fn an_origin_is_allowed_whole_and_not_by_a_lookalike() {
        assert!(allows("https://shop.example.com", "https://shop.example.com"));
        assert!(!allows("https://shop.example.com", "https://shop.example.com.evil.net"));
        assert!(!allows("https://shop.example.com", "http://shop.example.com"));
        assert!(allows("https://*.example.com", "https://a.b.example.com"));
        assert!(!allows("https://*.example.com", "https://example.com"));
        assert!(!allows("https://*.example.com", "https://evil.net/.example.com"));
        assert!(!allows("https://*.example.com", "https://evil.net:1.example.com"));
        assert!(allows("*", "null"));
    }

    #[test]
    fn null_is_allowed_where_it_is_named_and_never_with_credentials() {
        assert!(allows("null", "null") && !allows("https://a.example", "null"));
        assert!(raw(&["null"], true).compile(&Node::top()).is_err());
    }

    #[test]
    fn caches_are_told_that_the_answer_depends_on_the_origin() {
        let cors = raw(&["https://a.example"], false).compile(&Node::top()).unwrap();
        let marks = cors.mark(&Headers::from_pairs([("origin", &b"https://b.example"[..])]));
        assert_eq!(marks, [("vary", b"origin".to_vec())]);
        assert!(cors.mark(&Headers::default()).is_empty());
    }

    #[test]
    fn an_origin_with_the_port_that_its_scheme_has_anyway_is_a_mistake() {
        for bad in ["https://x:443", "http://x:80", "https://[::1]:443"] {
            let errors = raw(&[bad], false).compile(&Node::top()).unwrap_err();
            assert!(errors[0].to_string().contains("without its port"), "{errors:?}");
        }
        assert!(allows("https://x:8443", "https://x:8443") && allows("http://x:443", "http://x:443"));
    }

    #[test]
    fn mistakes_are_located() {
        let errors = raw(&["*", "example.com", "ftp:/x", "https://*"], true)
            .compile(&Node::top().key("cors"))
            .unwrap_err();
        let places: Vec<_> = errors.iter().map(|e| e.at.to_string()).collect();
        assert_eq!(places, ["cors.origins[0]", "cors.origins[1]", "cors.origins[2]", "cors.origins[3]"]);
    }

    #[test]
    fn no_page_has_an_empty_origin_whatever_the_rule() {
        for rule in ["*", "https://shop.example", "https://*.example"] {
            assert!(!allows(rule, ""), "{rule}");
        }
    }

    #[test]
    fn only_options_with_origin_and_method_is_a_preflight() {
        let head = |pairs: &[(&str, &[u8])]| RequestHead {
            headers: Headers::from_pairs(pairs.iter().copied()),
            peer: Vec::new(),
        };
        let preflight = head(&[
            (":method", b"OPTIONS"),
            ("origin", b"https://a"),
            ("access-control-request-method", b"PUT"),
        ]);
        assert_eq!(preflight_method(&preflight), Some(&b"PUT"[..]));
        assert_eq!(preflight_method(&head(&[(":method", b"OPTIONS"), ("origin", b"https://a")])), None);
        assert_eq!(
            preflight_method(&head(&[
                (":method", b"GET"),
                ("origin", b"a"),
                ("access-control-request-method", b"PUT")
            ])),
            None
        );
    }
    #[test]
    fn the_answer_to_a_preflight_says_what_the_policy_lets_scripts_do() {
        let answer = |headers: &[&str], credentials, origin: &[u8]| -> Vec<String> {
            let headers = headers.iter().map(ToString::to_string).collect();
            let raw = RawCors { headers, ..raw(&["https://a.example"], credentials) };
            let request = Headers::from_pairs([("origin", origin)]);
            let answer = raw.compile(&Node::top()).unwrap().preflight(&request, &["GET", "PUT"]);
            answer.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect()
        };
        let (origin, vary) = ("access-control-allow-origin: https://a.example", "vary: origin");
        let (exposed, methods, age) = (
            "access-control-expose-headers: x-request-id",
            "access-control-allow-methods: GET, PUT",
            "access-control-max-age: 600",
        );
        assert_eq!(answer(&[], false, b"https://a.example"), [origin, vary, exposed, methods, age]);
        let headers = "access-control-allow-headers: authorization, x-tenant";
        let credentials = "access-control-allow-credentials: true";
        assert_eq!(
            answer(&["authorization", "x-tenant"], true, b"https://a.example"),
            [origin, vary, credentials, exposed, methods, headers, age]
        );
    }

    #[test]
    fn names_that_could_split_a_header_are_mistakes() {
        let cors = RawCors {
            headers: vec!["authorization".into(), "a\r\nset-cookie: b".into()],
            expose_headers: vec![String::new(), "x-request-id".into(), " x".into()],
            ..raw(&["https://a.example"], false)
        };
        let errors = cors.compile(&Node::top().key("cors")).unwrap_err();
        let places: Vec<_> = errors.iter().map(|e| e.at.to_string()).collect();
        assert_eq!(places, ["cors.headers[1]", "cors.expose_headers[0]", "cors.expose_headers[2]"]);
    }
}
