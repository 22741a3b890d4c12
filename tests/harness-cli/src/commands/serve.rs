//! `serve`: a module in front of a real upstream, on a local port, for curl.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Instant;

use portcullis_e2e::{Connection, Request as Sent};
use portcullis_harness::{Outcome, Plugin, Proxy, Received, Reply, Request, Upstream};

use super::wire::{Message, read_message, written};
use super::{show, unusable};

/// What to serve.
#[derive(clap::Args)]
pub struct Arguments {
    /// The modules of the chain, in the order in which a request passes them.
    #[arg(required = true)]
    modules: Vec<PathBuf>,
    /// Where requests go that the module lets pass: `127.0.0.1:8000`, HTTP/1.1.
    #[arg(long)]
    upstream: SocketAddr,
    /// File with a plugin configuration, the first for the first module; YAML (`.yaml`, `.yml`) is turned into JSON.
    #[arg(long)]
    config: Vec<PathBuf>,
    /// A root id, the first for the first module.
    #[arg(long)]
    root_id: Vec<String>,
    /// A cluster for its callouts: `name=127.0.0.1:8001`.
    #[arg(long, value_parser = peer)]
    peer: Vec<(String, SocketAddr)>,
    /// Listen here; port 0 takes any that is free.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

fn peer(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').ok_or("`name=address:port`")?;
    Ok((name.to_owned(), address.parse().map_err(|error| format!("{address}: {error}"))?))
}

/// A request on its way to the proxy's thread, and where its answer is waited for.
struct Job {
    request: Request,
    answer: mpsc::Sender<Result<Outcome, String>>,
}

/// Serves until it is interrupted; exit status 2 if it cannot.
pub fn serve(arguments: Arguments) -> ExitCode {
    let (jobs, queue) = mpsc::channel();
    let listen = arguments.listen;
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || work(&arguments, &queue, &ready));
    match is_ready.recv() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return unusable(&error),
        Err(error) => return unusable(&error),
    }
    match listen_on(listen, &jobs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => unusable(&error),
    }
}

/// The proxy lives on one thread: it handles one request after another, its clock following the wall's.
fn work(arguments: &Arguments, queue: &mpsc::Receiver<Job>, ready: &mpsc::Sender<Result<(), String>>) {
    let mut proxy = match build(arguments) {
        Ok(proxy) => proxy,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let _ = ready.send(Ok(()));
    let mut last = Instant::now();
    let mut told = (tell_logs(&proxy, 0), 0);
    while let Ok(job) = queue.recv() {
        proxy.advance(last.elapsed());
        last = Instant::now();
        let outcome = proxy.send(job.request).map_err(|error| error.to_string());
        told = (tell_logs(&proxy, told.0), tell_failures(&proxy, told.1));
        outcome.iter().for_each(tell_flaws);
        let _ = job.answer.send(outcome);
    }
}

fn build(arguments: &Arguments) -> Result<Proxy, String> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut builder = Proxy::builder().starting_at(now);
    for (place, module) in arguments.modules.iter().enumerate() {
        let config = match arguments.config.get(place) {
            Some(path) => portcullis_harness_cli::plan::config_file(path)
                .map_err(|error| format!("{}: {error}", path.display()))?,
            None => Vec::new(),
        };
        let root_id = arguments.root_id.get(place).map_or("", String::as_str);
        builder = builder.plugin(Plugin::file(module).root_id(root_id).config(config));
    }
    let builder = builder.upstream("upstream", forward_to(arguments.upstream));
    let peers = arguments.peer.iter();
    let builder = peers.fold(builder, |builder, (name, address)| builder.peer(name, forward_to(*address)));
    builder.build().map_err(|error| error.to_string())
}

/// A trap is told with its backtrace.
fn tell_failures(proxy: &Proxy, from: usize) -> usize {
    let failures = proxy.failures();
    failures.iter().skip(from).for_each(|failure| eprintln!("TRAP {failure}"));
    failures.len()
}

/// A message whose reader is misled is told as that.
fn tell_flaws(outcome: &Outcome) {
    let upstream = outcome.upstream.as_ref().and_then(|received| received.flaw.as_ref());
    for (who, flaw) in [("client", outcome.client.flaw.as_ref()), ("upstream", upstream)] {
        if let Some(flaw) = flaw {
            eprintln!("FLAW to the {who}: {flaw}");
        }
    }
}

fn tell_logs(proxy: &Proxy, from: usize) -> usize {
    let logs = proxy.logs();
    logs.iter().skip(from).for_each(|line| eprintln!("{:?} {}: {}", line.level, line.plugin, line.message));
    logs.len()
}

fn forward_to(address: SocketAddr) -> Upstream {
    Upstream::answer_with(move |received| {
        let answer = Connection::try_open(None, address).and_then(|mut to| to.try_send(&sent(received)));
        let Ok(answer) = answer else { return Reply::refuse() };
        let mut reply = Reply::status(answer.status);
        for (name, value) in answer.headers.0.iter().filter(|(name, _)| name != "transfer-encoding") {
            reply = reply.header(name, value);
        }
        if answer.body.is_empty() { reply } else { reply.chunk(&answer.body) }
    })
}

fn sent(received: &Received) -> Sent {
    let pseudo = |name: &str| received.headers.get(name).unwrap_or_default().to_vec();
    let method = String::from_utf8_lossy(&pseudo(":method")).into_owned();
    let sent = Sent::new(&method, pseudo(":path")).host(pseudo(":authority"));
    let regular = received.headers.iter().filter(|(name, _)| name.first() != Some(&b':'));
    let sent = regular
        .filter(|(name, _)| *name != b"content-length")
        .fold(sent, |sent, (name, value)| sent.header(name, value));
    sent.body(&received.body)
}

fn listen_on(address: SocketAddr, jobs: &mpsc::Sender<Job>) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    show(&format!("listening on http://{}\n", listener.local_addr()?));
    loop {
        let (stream, peer) = listener.accept()?;
        let jobs = jobs.clone();
        // A client that breaks its connection is the client's business.
        std::thread::spawn(move || talk(&stream, peer, &jobs));
    }
}

/// One request after another goes to the proxy byte for byte, and what it sends goes back byte for byte, right or wrong.
fn talk(mut stream: &std::net::TcpStream, peer: SocketAddr, jobs: &mpsc::Sender<Job>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = io::BufReader::new(stream);
    while let Some(Message { bytes, method }) = read_message(&mut reader)? {
        let request = Request::wire(bytes).from(&peer.to_string());
        let (answer, answered) = mpsc::channel();
        let _ = jobs.send(Job { request, answer });
        let outcome = answered.recv().unwrap_or_else(|_| Err("the proxy has ended".to_owned()));
        let (bytes, goes_on) = written(outcome.as_ref(), &method);
        io::Write::write_all(&mut stream, &bytes)?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}
