//! The command: what it prints, how it fails, how it ends.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

const SERVICES: [&str; 5] = ["user", "inventory", "order", "auth", "insights"];

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-services"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("JWT_SECRET");
    command
}

/// A running process, and its lines so far with the addresses in them.
struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    lines: Vec<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = stdout.by_ref().lines().map(Result::unwrap).take(9).collect();
        Self { child, stdout: Some(stdout), lines }
    }

    fn address(&self, who: &str) -> &str {
        let line = self.lines.iter().find(|line| line.split_whitespace().next() == Some(who)).unwrap();
        line.split_once("http://").unwrap().1
    }

    fn end_with(&mut self, signal: &str) -> Option<i32> {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        self.wait().code()
    }
}

impl Running {
    /// Waits for the end of the standard output, which ends with the process, but not for ever.
    fn wait(&mut self) -> ExitStatus {
        let (mut stdout, (done, ended)) = (self.stdout.take().unwrap(), mpsc::channel());
        thread::spawn(move || done.send(io::copy(&mut stdout, &mut io::sink())));
        ended.recv_timeout(Duration::from_secs(20)).expect("it ignores the signal").unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only still running if the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn on_free_ports() -> Running {
    let mut command = command();
    command.args(["--port-base", "0"]);
    Running::start(command)
}

fn status_of(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn one_line_per_service_says_where_it_listens_once_it_does() {
    let running = on_free_ports();
    for service in SERVICES {
        assert_eq!(status_of(running.address(service), "/health"), "200", "{service}");
    }
    assert_eq!(status_of(running.address("control"), "/services"), "200");
    assert!(running.lines.iter().any(|line| line.contains("demo_customer")), "{:?}", running.lines);
}

#[test]
fn interrupt_and_terminate_end_it_with_0_even_with_a_connection_open() {
    for signal in ["-INT", "-TERM"] {
        let mut running = on_free_ports();
        let _open = TcpStream::connect(running.address("user")).unwrap();
        assert_eq!(running.end_with(signal), Some(0), "{signal}");
    }
}

#[test]
fn a_taken_port_is_named_and_ends_it_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = command();
    command.args(["--port-base", &port.to_string(), "--control-port", "0"]);
    let output = command.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(complaint, format!("demo-services: user: port {port} on 127.0.0.1 is already taken\n"));
    assert!(output.stdout.is_empty());
}

#[test]
fn the_secret_comes_from_the_environment_and_is_not_printed() {
    let mut command = command();
    command.args(["--port-base", "0"]).env("JWT_SECRET", "not-to-be-printed");
    let running = Running::start(command);
    let printed = running.lines.join("\n");
    assert!(printed.contains("signed with JWT_SECRET") && !printed.contains("not-to-be"), "{printed}");
}
