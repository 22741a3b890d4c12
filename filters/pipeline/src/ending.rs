//! How a stream ended, by the proxy's response flags: of each flag it stands here whose doing that was.

use Fault::{Client, Gateway, Service};

/// Whose doing it was that a request had no (whole) answer of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The service's: it was not there, broke off, or took too long.
    Service,
    /// The client's: it left, or sent what it may not.
    Client,
    /// Ours: the proxy could not, or was configured not to.
    Gateway,
}

/// Envoy's response flags, in the order of their bits (`CoreResponseFlag`); the names are those of its access log.
const FLAGS: [(&str, Fault); 30] = [
    ("LH", Service),    // a local service failed the health check
    ("UH", Service),    // no healthy host
    ("UT", Service),    // time-out of route or request, also in the midst of an answer
    ("LR", Gateway),    // reset by this proxy
    ("UR", Service),    // reset by the service
    ("UF", Service),    // no connection to the service
    ("UC", Service),    // the service closed the connection
    ("UO", Gateway),    // the circuit limits of the cluster
    ("NR", Gateway),    // no route
    ("DI", Gateway),    // a delay that was injected
    ("FI", Gateway),    // a fault that was injected
    ("RL", Gateway),    // a rate limit
    ("UAEX", Gateway),  // an external authorization service said no
    ("RLSE", Gateway),  // the rate limit service failed
    ("DC", Client),     // the client closed the connection
    ("URX", Service),   // the service failed more often than may be tried again
    ("SI", Service),    // nothing was sent for the stream's idle time
    ("IH", Client),     // an invalid header of Envoy's
    ("DPE", Client),    // the client broke HTTP
    ("UMSDR", Service), // the longest time of a request to the service
    ("RFCF", Gateway),  // answered from a cache
    ("NFCF", Gateway),  // a filter has no configuration
    ("DT", Gateway),    // the longest time of a client's connection
    ("UPE", Service),   // the service broke HTTP
    ("NC", Gateway),    // no such cluster
    ("OM", Gateway),    // the overload manager
    ("DF", Service),    // the service's name does not resolve
    ("DO", Gateway),    // load that endpoints ask to be dropped
    ("DR", Client),     // the client reset the stream
    ("UDO", Gateway),   // load that is dropped whatever it is
];

/// Time-outs that end an answer whoever is slow: the service that sends it, or the client that does not read it.
const OF_EITHER: [&str; 3] = ["UT", "SI", "UMSDR"];

/// Whether a time-out ended the stream. Once an answer is under way, a client that does not read it can bring that about.
pub(crate) fn timed_out(flags: u64) -> bool {
    // Nearly every request ends without a flag.
    let mut set = FLAGS.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1);
    flags != 0 && set.any(|(_, (name, _))| OF_EITHER.contains(name))
}

impl Fault {
    /// As log lines say it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Client => "client",
            Self::Gateway => "gateway",
        }
    }
}

/// The short names of flags, as Envoy's access log writes them; empty where there are none.
pub(crate) fn names(flags: u64) -> String {
    let set = FLAGS.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1);
    set.map(|(_, (name, _))| *name).collect::<Vec<_>>().join(",")
}

/// Whose doing an end with these flags was; nothing where they do not say. A client that left was there to the end of no answer; and
/// what we did not let through the service could not answer.
pub(crate) fn fault_of(flags: u64) -> Option<Fault> {
    let of = |flags: u64| FLAGS.iter().enumerate().filter(move |(bit, _)| flags >> bit & 1 == 1);
    let has = |fault: Fault| of(flags).any(|(_, (_, known))| *known == fault);
    let mut faults = [Client, Gateway, Service].into_iter();
    if flags == 0 { None } else { faults.find(|fault| has(*fault)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn flags(names: &[&str]) -> u64 {
        let bit = |name: &&str| FLAGS.iter().position(|(known, _)| known == name).unwrap();
        names.iter().map(|name| 1_u64 << bit(name)).sum()
    }

    #[test]
    fn flags_stand_in_the_order_of_envoys_bits() {
        // source/common/stream_info: the first, one in the middle, and the last.
        let known =
            [(0, "LH"), (2, "UT"), (6, "UC"), (14, "DC"), (16, "SI"), (24, "NC"), (28, "DR"), (29, "UDO")];
        for (bit, name) in known {
            assert_eq!(FLAGS[bit].0, name);
        }
    }

    #[test]
    fn an_end_is_whose_doing_its_flags_say() {
        for (names, fault) in [
            (&["UT"][..], Some(Service)),
            (&["SI"], Some(Service)),
            (&["UC", "URX"], Some(Service)),
            (&["DC"], Some(Client)),
            (&["DR"], Some(Client)),
            (&["UO"], Some(Gateway)),
            (&["OM"], Some(Gateway)),
            (&["DC", "UT"], Some(Client)),
            (&["UO", "URX"], Some(Gateway)),
            (&[], None),
        ] {
            assert_eq!(fault_of(flags(names)), fault, "{names:?}");
        }
        assert_eq!(fault_of(1 << 63), None, "a flag of a later Envoy");
    }

    #[test]
    fn time_outs_may_be_the_clients_doing_too() {
        assert!(
            timed_out(flags(&["UT"])) && timed_out(flags(&["URX", "SI"])) && timed_out(flags(&["UMSDR"]))
        );
        assert!(!timed_out(flags(&["UC", "UF", "DC"])) && !timed_out(0) && !timed_out(1 << 63));
    }
}
