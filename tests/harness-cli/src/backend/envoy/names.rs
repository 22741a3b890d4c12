//! The name server of an Envoy: it knows the names of the scenario, and no others.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use crate::model::Dns;

/// Tells the preloaded library which server Envoy asks.
pub const VARIABLE: &str = "PORTCULLIS_NAME_SERVER";

/// A server on a port of the loopback's. It ends when it is dropped.
pub struct NameServer {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
}

impl NameServer {
    pub fn start(names: BTreeMap<String, Dns>) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        let address = socket.local_addr()?;
        let serving = socket.clone();
        std::thread::spawn(move || serve(&serving, &names));
        Ok(Self { socket, address })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    /// What it hears from itself ends it.
    fn drop(&mut self) {
        let _ = self.socket.send_to(&[], self.address);
    }
}

fn serve(socket: &UdpSocket, names: &BTreeMap<String, Dns>) {
    let mut buffer = [0; 4096];
    let own = socket.local_addr().ok();
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        if Some(from) == own {
            return;
        }
        if let Some(answer) = answer(&buffer[..length], names) {
            // Who has gone away needs none.
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// An answer to a question for addresses; `None` to what is no question.
fn answer(question: &[u8], names: &BTreeMap<String, Dns>) -> Option<Vec<u8>> {
    let asked = Packet::parse(question).ok()?;
    let first = asked.questions.first()?.clone();
    let mut reply = Packet::new_reply(asked.id());
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE | PacketFlag::RECURSION_DESIRED);
    let wanted = first.qname.to_string();
    let known = names.iter().find(|(name, _)| name.trim_end_matches('.').eq_ignore_ascii_case(&wanted));
    match known.map(|(_, dns)| dns) {
        Some(dns) if dns.fails => *reply.rcode_mut() = RCODE::ServerFailure,
        Some(dns) if !dns.addresses.is_empty() => {
            let ttl = u32::try_from(dns.seconds()).unwrap_or(u32::MAX);
            let found = dns.addresses.iter().filter_map(|address| record(address.0, first.qtype));
            reply
                .answers
                .extend(found.map(|data| ResourceRecord::new(first.qname.clone(), CLASS::IN, ttl, data)));
        }
        _ => *reply.rcode_mut() = RCODE::NameError,
    }
    reply.questions.push(first);
    reply.build_bytes_vec().ok()
}

fn record(address: IpAddr, wanted: QTYPE) -> Option<RData<'static>> {
    match (address, wanted) {
        (IpAddr::V4(address), QTYPE::TYPE(TYPE::A)) => Some(RData::A(A { address: address.into() })),
        (IpAddr::V6(address), QTYPE::TYPE(TYPE::AAAA)) => Some(RData::AAAA(AAAA { address: address.into() })),
        _ => None,
    }
}
