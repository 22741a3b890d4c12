//! Networks in a policy.

use crate::{ConfigError, Node};
use core::net::IpAddr;
use ipnet::IpNet;

/// Networks of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads the list that stands at `at`; mistakes go to `errors`.
    pub fn compile(list: &[String], at: &Node, errors: &mut Vec<ConfigError>) -> Self {
        let mut networks = Vec::new();
        for (index, text) in list.iter().enumerate() {
            match network(text) {
                Ok(network) => networks.push(network),
                Err(expected) => {
                    errors.push(at.index(index).error(format!("`{}`", text.escape_debug()), expected));
                }
            }
        }
        Self(IpNet::aggregate(&networks))
    }

    /// Whether `address` lies in one of them; an IPv4-mapped address is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether one of them has every address.
    #[must_use]
    pub fn cover_everything(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A network, or one address as the network of itself.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let expected = "a network such as `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.1`";
    let network: IpNet = match text.parse::<IpAddr>() {
        Ok(address) => address.into(),
        Err(_) => text.parse().map_err(|_| expected)?,
    };
    if network.trunc() != network {
        return Err("a network without bits set behind its prefix");
    }
    if matches!(network.addr(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return Err("the IPv4 form of an IPv4 network");
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn networks(texts: &[&str]) -> (Networks, Vec<String>) {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let mut errors = Vec::new();
        let networks = Networks::compile(&texts, &Node::top().key("networks"), &mut errors);
        (networks, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn networks_have_the_addresses_of_their_prefixes_and_no_others() {
        let (some, errors) = networks(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
        assert!(errors.is_empty() && !some.is_empty() && !some.cover_everything());
        let has = |text: &str| some.contains(text.parse().unwrap());
        assert!(has("10.255.0.1") && has("192.0.2.7") && has("2001:db8::1"));
        assert!(!has("11.0.0.1") && !has("192.0.2.8") && !has("2001:db9::1"));
        assert!(networks(&[]).0.is_empty());
        assert!(networks(&["10.0.0.0/8", "::/0"]).0.cover_everything());
    }

    #[test]
    fn a_network_that_is_none_is_named_with_its_place() {
        let (_, errors) = networks(&["10.0.0.0/8", "10.0.0.1/8", "::ffff:10.0.0.0/104", "host"]);
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].starts_with("networks[1]: found `10.0.0.1/8`"), "{errors:?}");
    }
}
