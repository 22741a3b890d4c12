//! Browser headers: what tells browsers how to treat an answer (HSTS, CSP and their like), and the banners that should not
//! leave the house.

use crate::trust::header_value;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, HeaderName, Headers, Node};
use schemars::JsonSchema;

/// One rule for a response header. Exactly one of `set`, `if_absent` and `remove` is given.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, extend("oneOf" = [
    { "required": ["set"] }, { "required": ["if_absent"] }, { "required": ["remove"] },
]))]
pub struct RawBrowserHeader {
    /// The header.
    pub name: String,
    /// This value, whatever the service said.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "String", length(min = 1))]
    pub set: Option<String>,
    /// This value, unless the service sent one.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "String", length(min = 1))]
    pub if_absent: Option<String>,
    /// `true`: the header never reaches the client.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "bool", extend("const" = true))]
    pub remove: Option<bool>,
    /// `true`: only where the client came over TLS. Implied for Strict-Transport-Security (RFC 6797 section 7.2).
    #[deserr(default)]
    pub tls_only: Option<bool>,
}

/// What happens to a response header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Replace whatever is there.
    Set(Vec<u8>),
    /// Add unless present.
    IfAbsent(Vec<u8>),
    /// Remove.
    Remove,
}

/// A compiled rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserHeader {
    /// The header.
    pub name: HeaderName,
    /// What happens to it.
    pub action: Action,
    /// Only where the client came over TLS.
    pub tls_only: bool,
}

/// The rules for one route: the policy's own, overridden by the route's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrowserHeaders(Vec<BrowserHeader>);

/// Changes to a response's headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseOps<'a> {
    /// Names to remove.
    pub remove: Vec<&'a str>,
    /// Names to set to a value, replacing all there are.
    pub set: Vec<(&'a str, &'a [u8])>,
}

impl RawBrowserHeader {
    fn compile(&self, at: &Node) -> Result<BrowserHeader, ConfigError> {
        let name = HeaderName::parse(&self.name)
            .map_err(|expected| at.key("name").error(format!("`{}`", self.name.escape_debug()), expected))?;
        let action = match (&self.set, &self.if_absent, self.remove) {
            (Some(value), None, None) => Action::Set(header_value(value, &at.key("set"))?),
            (None, Some(value), None) => Action::IfAbsent(header_value(value, &at.key("if_absent"))?),
            (None, None, Some(true)) => Action::Remove,
            _ => return Err(at.error(self.actions(), "exactly one of `set`, `if_absent` and `remove: true`")),
        };
        let tls_only =
            self.tls_only.unwrap_or(name.as_str() == "strict-transport-security" && action != Action::Remove);
        Ok(BrowserHeader { name, action, tls_only })
    }

    fn actions(&self) -> String {
        let given = [
            ("set", self.set.is_some()),
            ("if_absent", self.if_absent.is_some()),
            ("remove", self.remove.is_some()),
        ];
        let names: Vec<_> =
            given.iter().filter(|(_, there)| *there).map(|(name, _)| format!("`{name}`")).collect();
        if names.is_empty() { "none of them".to_owned() } else { names.join(" and ") }
    }
}

impl BrowserHeaders {
    /// Compiles a list of rules, which stands at `at`, on top of `base`: a rule replaces the one of that name.
    ///
    /// # Errors
    /// Every bad rule; a name twice in one list.
    pub fn compile(raw: &[RawBrowserHeader], base: &Self, at: &Node) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut own: Vec<BrowserHeader> = Vec::new();
        for (index, rule) in raw.iter().enumerate() {
            match rule.compile(&at.index(index)) {
                Ok(rule) if own.iter().any(|o| o.name == rule.name) => {
                    let found = format!("`{}` a second time", rule.name);
                    errors.push(at.index(index).key("name").error(found, "each header once in a list"));
                }
                Ok(rule) => own.push(rule),
                Err(error) => errors.push(error),
            }
        }
        let inherited = base.0.iter().filter(|b| own.iter().all(|o| o.name != b.name)).cloned();
        let rules: Vec<_> = inherited.chain(own.iter().cloned()).collect();
        if errors.is_empty() { Ok(Self(rules)) } else { Err(errors) }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[BrowserHeader] {
        &self.0
    }

    /// What these rules change in a response with `headers`; `only` picks the rules to apply.
    #[must_use]
    pub fn apply(
        &self,
        headers: &Headers,
        over_tls: bool,
        only: impl Fn(&BrowserHeader) -> bool,
    ) -> ResponseOps<'_> {
        let mut ops = ResponseOps::default();
        for rule in self.0.iter().filter(|rule| (over_tls || !rule.tls_only) && only(rule)) {
            let present = || headers.first(rule.name.as_str()).is_some();
            match &rule.action {
                Action::Set(value) => ops.set.push((rule.name.as_str(), value)),
                Action::IfAbsent(value) if !present() => ops.set.push((rule.name.as_str(), value)),
                Action::Remove if present() => ops.remove.push(rule.name.as_str()),
                Action::IfAbsent(_) | Action::Remove => {}
            }
        }
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn set(name: &str, value: &str) -> RawBrowserHeader {
        RawBrowserHeader { name: name.into(), set: Some(value.into()), ..Default::default() }
    }

    fn if_absent(name: &str, value: &str) -> RawBrowserHeader {
        RawBrowserHeader { name: name.into(), if_absent: Some(value.into()), ..Default::default() }
    }

    fn remove(name: &str) -> RawBrowserHeader {
        RawBrowserHeader { name: name.into(), remove: Some(true), ..Default::default() }
    }

    fn rules(raw: &[RawBrowserHeader]) -> BrowserHeaders {
        BrowserHeaders::compile(raw, &BrowserHeaders::default(), &Node::top()).unwrap()
    }

    #[test]
    fn set_replaces_if_absent_yields_and_remove_removes() {
        let rules = rules(&[
            set("X-Frame-Options", "DENY"),
            if_absent("CSP", "x"),
            if_absent("COOP", "y"),
            remove("Server"),
            remove("Via"),
        ]);
        let response = Headers::from_pairs([("csp", &b"own"[..]), ("server", b"nginx")]);
        let ops = rules.apply(&response, false, |_| true);
        assert_eq!(ops.set, [("x-frame-options", &b"DENY"[..]), ("coop", &b"y"[..])]);
        assert_eq!(ops.remove, ["server"]);
    }

    #[test]
    fn hsts_is_sent_over_tls_only() {
        let rules = rules(&[set("Strict-Transport-Security", "max-age=1")]);
        assert!(rules.apply(&Headers::default(), false, |_| true).set.is_empty());
        assert_eq!(rules.apply(&Headers::default(), true, |_| true).set.len(), 1);
    }

    #[test]
    fn a_route_overrides_by_name_and_inherits_the_rest() {
        let base = rules(&[set("A", "1"), set("B", "1")]);
        let route = BrowserHeaders::compile(&[remove("a")], &base, &Node::top()).unwrap();
        let names: Vec<_> =
            route.rules().iter().map(|r| (r.name.as_str(), r.action == Action::Remove)).collect();
        assert_eq!(names, [("b", false), ("a", true)]);
    }

    #[test]
    fn a_rule_without_one_action_is_an_error_at_its_place() {
        let both = RawBrowserHeader { if_absent: Some("x".into()), ..set("A", "1") };
        let none = RawBrowserHeader { name: "B".into(), ..Default::default() };
        let raw = [both, none, set("C", "a\nb"), set("D", "1"), set("d", "2")];
        let errors =
            BrowserHeaders::compile(&raw, &BrowserHeaders::default(), &Node::top().key("browser_headers"))
                .unwrap_err();
        let shown: Vec<_> = errors.iter().map(|e| (e.at.to_string(), e.found.clone())).collect();
        assert_eq!(shown[0], ("browser_headers[0]".into(), "`set` and `if_absent`".into()));
        assert_eq!(shown[1], ("browser_headers[1]".into(), "none of them".into()));
        assert_eq!(shown[2].0, "browser_headers[2].set");
        assert_eq!(shown[3].0, "browser_headers[4].name");
    }
}
