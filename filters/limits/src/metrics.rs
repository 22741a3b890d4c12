//! What is counted of limits and of abuse.

use crate::{Abuse, CellTable, Concurrency, Limits, StoreError};
use portcullis_metrics::{
    Condition, Heaviest, Heavy, Row, Vocabulary, label_values, labels, metrics, policy_labels,
};
use std::borrow::Cow;
use std::net::IpAddr;

/// Where there are limits.
pub static LIMITS: Condition = Condition("the policy has a section `limits` or `concurrency`");
/// Where there is something that a client can be suspected of.
pub static SUSPICION: Condition = Condition("the policy has a section `abuse` or `source.require`");
/// Where logins or tokens are watched.
pub static ABUSE: Condition = Condition("the policy has a section `abuse`");

/// Where there are tables that all workers share.
pub static TABLES: Condition = Condition("the policy has a section `limits`, `concurrency` or `abuse`");

/// How many masked client addresses are named at a time; see [`Heaviest`].
const NAMED_CLIENTS: usize = 10;

policy_labels! {
    /// the name of the limit, under `limits.rules` or `concurrency.rules` in the policy
    pub struct LimitName;
}

labels! {
    /// what the limit counts by: the client's network, something of its token, another header, or none of these
    pub enum LimitKind { PerIp = "per_ip", PerUser = "per_user", PerKey = "per_key", Global = "global" }
}

labels! {
    /// what was noticed: logins of one network, or of one account, that fail too often, or a token that too many networks use
    pub enum Activity { BruteForce = "brute_force", TokenAbuse = "token_abuse" }
}

label_values! {
    StoreError,
    "why: the host failed, other workers were faster on every try, or the service that counts for the fleet said nothing of use",
    [(StoreError::Host, "host"), (StoreError::Contended, "contended"), (StoreError::Service, "service")]
}

/// A client's address as labels may show it: IPv4 without its last octet, IPv6 without its last 80 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedClient(pub String);

impl Heavy for MaskedClient {
    const WHAT: &'static str = "the client's address without its last octet, or without the last 80 bits of IPv6; `unknown` if there is none";

    fn text(&self) -> &str {
        &self.0
    }

    fn admits(text: &str) -> bool {
        match text.parse() {
            Ok(IpAddr::V4(v4)) => v4.octets().last() == Some(&0),
            Ok(IpAddr::V6(v6)) => v6.segments().iter().skip(3).all(|segment| *segment == 0),
            Err(_) => text == "unknown",
        }
    }
}

metrics! {
    /// What is counted of limits and of abuse.
    pub struct LimitMetrics {
        /// Requests refused by a limit; what a limit in shadow mode would refuse is in `gateway_shadow_refusals_total`.
        gateway_rate_limit_hits_total: Counter { type: LimitName, client_ip: Heaviest<MaskedClient, NAMED_CLIENTS> },
            when LIMITS, promql "topk(10, sum by (type, client_ip) (increase(gateway_rate_limit_hits_total[5m])))";
        /// Requests refused by a limit, by what the limit counts by.
        auth_rate_limit_hits_total: Counter { type: LimitKind },
            when LIMITS, promql "sum by (type) (rate(auth_rate_limit_hits_total[5m]))";
        /// Requests that began with what other clients had used of a limit, because a flood of clients has filled its table.
        gateway_rate_limit_crowded_total: Counter {},
            when LIMITS, promql "rate(gateway_rate_limit_crowded_total[5m])";
        /// Bursts of failed logins, and uses of a token from more networks than may use it, as they were noticed.
        auth_suspicious_activity_total: Counter { type: Activity },
            when ABUSE, promql "sum by (type) (increase(auth_suspicious_activity_total[5m]))";
        /// Entries of the gateway's fixed tables that went before their time, to make room for others.
        portcullis_cells_evicted_total: Counter { table: CellTable },
            when TABLES, promql "sum by (table) (increase(portcullis_cells_evicted_total[1h]))";
        /// Requests that found no room in one of the gateway's fixed tables, and were not counted there.
        portcullis_cells_refused_total: Counter { table: CellTable },
            when TABLES, promql "sum by (table) (increase(portcullis_cells_refused_total[1h]))";
    }
}

/// Tells the names of a policy's limits, and which families it has a use for.
pub fn describe(limits: &Limits, concurrency: &Concurrency, abuse: &Abuse, vocabulary: &mut Vocabulary) {
    let names = limits.names().chain(concurrency.names());
    let names: Vec<Row> = names.map(|name| vec![Cow::Owned(name.to_owned())]).collect();
    if !names.is_empty() || !abuse.is_empty() {
        vocabulary.allow(&TABLES);
    }
    if !names.is_empty() {
        vocabulary.allow(&LIMITS);
    }
    vocabulary.define::<LimitName>(names);
    if !abuse.is_empty() {
        vocabulary.allow(&ABUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RawAbuse, RawConcurrency, RawLimits};
    use portcullis_edge_core::{ConfigErrors, Node};
    use portcullis_metrics::Registry;
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn only_masked_addresses_of_clients_may_be_named() {
        for good in ["192.0.2.0", "10.0.0.0", "2001:db8:5::", "::", "unknown"] {
            assert!(MaskedClient::admits(good), "{good}");
        }
        for bad in ["192.0.2.1", "2001:db8:5:1::", "2001:db8:5::1", "", "Unknown", "192.0.2", "a name"] {
            assert!(!MaskedClient::admits(bad), "{bad}");
        }
    }

    /// The families of a policy with these sections.
    fn families(limits: Value, concurrency: Value, abuse: Value) -> BTreeSet<String> {
        let (at, routes) = (Node::top(), ["/login"]);
        let raw = deserr::deserialize::<RawLimits, _, ConfigErrors>(limits).unwrap();
        let limits = raw.compile(&at, &routes, &[]).unwrap();
        let raw = deserr::deserialize::<RawConcurrency, _, ConfigErrors>(concurrency).unwrap();
        let concurrency = raw.compile(&at, &routes).unwrap();
        let raw = deserr::deserialize::<RawAbuse, _, ConfigErrors>(abuse).unwrap();
        let abuse = raw.compile(&at, &routes).unwrap();
        let (mut vocabulary, mut registry) = (Vocabulary::default(), Registry::new());
        describe(&limits, &concurrency, &abuse, &mut vocabulary);
        let _ = LimitMetrics::build(&mut registry, &vocabulary);
        let names = registry.stats_from(0).map(|stat| stat.name);
        names.map(|name| name.rsplit(";.;").next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn families_are_there_where_the_policy_has_a_use_for_them() {
        let tables = ["portcullis_cells_evicted_total", "portcullis_cells_refused_total"];
        let of_limits = [
            "auth_rate_limit_hits_total",
            "gateway_rate_limit_crowded_total",
            "gateway_rate_limit_hits_total",
        ];
        let expected = |names: &[&str]| -> BTreeSet<String> {
            names.iter().chain(&tables).map(|name| (*name).to_owned()).collect()
        };
        let limits = json!({ "rules": { "l": { "key": [], "limit": 1, "window": "1s" } } });
        let places = json!({ "rules": { "c": { "key": [], "limit": 1 } } });
        let logins = json!({ "failed_logins": { "routes": ["/login"] } });
        assert_eq!(families(json!({}), json!({}), json!({})), BTreeSet::new());
        assert_eq!(families(limits, json!({}), json!({})), expected(&of_limits));
        assert_eq!(families(json!({}), places, json!({})), expected(&of_limits));
        assert_eq!(families(json!({}), json!({}), logins), expected(&["auth_suspicious_activity_total"]));
    }
}
