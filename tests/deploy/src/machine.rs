//! Machines that pods are on. The ports of Istio's proxies are fixed, so a second pod needs a network of its own.

use crate::{POD_IP, Process, command, eventually, run};
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

/// The address of the second pod.
const SECOND_IP: &str = "10.99.0.3";
/// That of the cable's near end, which the second machine sees requests of this one come from.
const CABLE_IP: &str = "10.99.0.1";

/// What the second machine is until it ends: a network, and a folder of pilot-agent's.
const BE_A_MACHINE: &str = "
    ip link set lo up
    mount -t tmpfs tmpfs /var/lib/istio
    mkdir /var/lib/istio/data
    echo ready
    exec sleep infinity";

/// Where a pod runs: here, or in a network beside this one with a cable between them.
pub struct Machine {
    beside: Option<Process>,
}

impl Machine {
    /// The machine that the test runs on.
    #[must_use]
    pub const fn here() -> Self {
        Self { beside: None }
    }

    /// A machine with a network and folders of its own. There is one at a time.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn beside(folder: &Path) -> Self {
        let mut unshare = command("unshare");
        unshare.args(["--net", "--mount", "--propagation", "private", "bash", "-euc", BE_A_MACHINE]);
        let mut process = Process::start("machine", folder, unshare);
        eventually("the machine is there", || {
            process.check()?;
            if process.log().contains("ready") { Ok(()) } else { Err(process.log()) }
        });
        let this = Self { beside: Some(process) };
        this.connect();
        this
    }

    fn connect(&self) {
        let near = format!(
            "ip link add cable type veth peer name cable netns {}
            ip addr add {CABLE_IP} peer {SECOND_IP}/32 dev cable
            ip link set cable up",
            self.id()
        );
        script(command("bash"), &near);
        let far = format!(
            "ip addr add {SECOND_IP} peer {CABLE_IP}/32 dev cable
            ip link set cable up
            ip route add default via {CABLE_IP}"
        );
        script(self.command("bash", Path::new("/")), &far);
    }

    fn id(&self) -> u32 {
        self.beside.as_ref().map_or(0, Process::id)
    }

    /// A program that is to run there, in a folder.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>, folder: &Path) -> Command {
        let Some(entered) = self.enter() else {
            let mut command = command(Path::new(&program));
            command.current_dir(folder);
            return command;
        };
        let mut words = entered.split(' ');
        let mut command = command(words.next().unwrap_or_default());
        command.args(words).args(["env", "-C"]).arg(folder).arg(program);
        command
    }

    /// What stands before a command line that is to run there; nothing if it is here.
    #[must_use]
    pub fn enter(&self) -> Option<String> {
        self.beside.as_ref().map(|process| format!("nsenter --target {} --net --mount", process.id()))
    }

    /// The address of the pod.
    #[must_use]
    pub fn pod_ip(&self) -> &'static str {
        if self.beside.is_some() { SECOND_IP } else { POD_IP }
    }

    /// One of the pod's ports, as it is reached from here.
    #[must_use]
    pub fn at(&self, port: u16) -> SocketAddr {
        let ip = match self.beside {
            Some(_) => SECOND_IP.parse().expect("an address"),
            None => IpAddr::from(Ipv4Addr::LOCALHOST),
        };
        SocketAddr::from((ip, port))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.beside.is_some() {
            // The kernel takes the cable away too, but later: the next machine's has the same name.
            let mut ip = command("ip");
            ip.args(["link", "delete", "cable"]);
            drop(run(ip));
        }
    }
}

fn script(mut shell: Command, text: &str) {
    shell.args(["-euc", text]);
    let _: String = run(shell).expect_success();
}
