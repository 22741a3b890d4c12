//! What plugins find around them: metadata, properties, names, shared data, certificates, tokens.

use portcullis_edge_core::Node;
use serde_json::Value;

use super::{Check, entries, items};
use crate::problem::quoted;

impl<'a> Check<'a> {
    /// What plugins are told of the configuration.
    pub(super) fn told(&mut self) {
        let at = Node::top();
        for (name, _) in entries(&self.document["cluster_metadata"]) {
            self.known("upstreams", &name.as_str().into(), &at.key("cluster_metadata").key(name));
        }
        for (name, what) in [("properties", "properties"), ("foreign_functions", "foreign functions")] {
            if self.document.get(name).is_some() && self.document["only"] != "harness" {
                let expected = format!("`only: harness`: Envoy knows its own {what} only");
                self.error(&at.key(name), format!("{what} on both sides"), expected);
            }
            self.references(&self.document[name], &at.key(name), false);
        }
        self.shared(&self.document["shared"], &at.key("shared"));
        for (name, dns) in entries(&self.document["dns"]) {
            if dns["fails"] == true && dns.get("addresses").is_some() {
                self.error(&at.key("dns").key(name), "`addresses` of a server that fails", "one of them");
            }
        }
    }

    /// Shared data and queues, written or read.
    pub(super) fn shared(&mut self, shared: &'a Value, at: &Node) {
        let Some(vm_id) = shared["vm_id"].as_str() else { return self.references(shared, at, false) };
        let plugins: &'a Value = &self.document["plugins"];
        let known: Vec<&str> =
            items(plugins).map(|(_, plugin)| plugin["vm_id"].as_str().unwrap_or_default()).collect();
        if !known.contains(&vm_id) {
            let expected = format!("the `vm_id` of a plugin: {}", known.join(", "));
            self.error(&at.key("vm_id"), quoted(vm_id), expected);
        }
        self.references(shared, at, false);
    }

    pub(super) fn certificates(&mut self) {
        let top = Node::top();
        let own = (&self.document["tls"]["certificate"], top.key("tls").key("certificate"));
        let named = entries(&self.document["certificates"]);
        let named = named.map(|(name, certificate)| (certificate, top.key("certificates").key(name)));
        for (certificate, at) in std::iter::once(own).chain(named) {
            let subject = certificate["subject"].as_str().unwrap_or_default();
            if !crate::plan::tls::is_subject(subject) {
                let expected = "parts of `CN`, `O`, `OU`, `C`, `ST`, `L`: `CN=alice,O=shop`";
                self.error(&at.key("subject"), quoted(subject), expected);
            }
        }
        let has_connections =
            items(&self.document["steps"]).any(|(_, step)| step.get("connection").is_some());
        if has_connections && self.document.get("tls").is_some() {
            self.error(&top.key("tls"), "TLS beside TCP connections", "requests");
        }
    }

    pub(super) fn tokens(&mut self) {
        for (name, token) in entries(&self.document["tokens"]) {
            self.known("keys", &token["key"], &Node::top().key("tokens").key(name).key("key"));
        }
        let rsa = entries(&self.document["keys"]).filter(|(_, key)| key["alg"] == "RS256").count();
        if rsa > 4 {
            self.error(&Node::top().key("keys"), format!("{rsa} RS256 keys"), "4 at most");
        }
    }
}
