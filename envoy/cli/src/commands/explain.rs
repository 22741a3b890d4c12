//! `portcullis explain`, from its arguments to its exit status.

use clap::Args;
use portcullis_cli::environment::Missing;
use portcullis_cli::explain::{Question, explain, explain_behind};
use portcullis_edge_core::Wall;
use portcullis_jwt::{Jwt, Keys};
use portcullis_policy::Policy;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Args)]
pub struct Explain {
    /// The policy file.
    file: PathBuf,
    /// The request: method and path, such as `GET /api/v1/orders?page=2`.
    #[arg(long, value_name = "'METHOD PATH'", value_parser = parse_request)]
    request: (String, String),
    /// A header of the request, such as `Origin: https://shop.example`; as often as needed.
    #[arg(short = 'H', long = "header", value_name = "'NAME: VALUE'", value_parser = parse_header)]
    headers: Vec<(String, Vec<u8>)>,
    /// The request's body, where something depends on it: the account of a log-in.
    #[arg(long, value_name = "TEXT", default_value = "")]
    body: String,
    /// The address at the other end of the connection.
    #[arg(long, value_name = "IP", default_value = "192.0.2.1")]
    from: IpAddr,
    /// A token, sent as `Authorization: Bearer`. Everybody on the machine can read arguments: rather use `--token-file`.
    #[arg(long, conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with the token; `-` for standard input.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// When, as RFC 3339 (default: now).
    #[arg(long, value_parser = humantime::parse_rfc3339_weak)]
    at: Option<SystemTime>,
    /// A JWK Set to take for the fetched one: of every provider that fetches, or of one (`PROVIDER=FILE`).
    #[arg(long, value_name = "[PROVIDER=]FILE")]
    jwks: Vec<String>,
    /// Taken for the body with which an auth service answers.
    #[arg(long, value_name = "JSON", default_value = r#"{"active":true,"valid":true}"#)]
    auth_answer: String,
    /// Taken for the status with which the service answers.
    #[arg(long, value_name = "STATUS", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    service_status: u16,
    /// Taken for a header of the service's answer, such as `Cache-Control: no-store`; as often as needed.
    #[arg(long = "service-header", value_name = "'NAME: VALUE'", value_parser = parse_header)]
    service_headers: Vec<(String, Vec<u8>)>,
    /// The policy of the instance of the filter before this one in the same proxy, which this one takes findings from.
    #[arg(long, value_name = "FILE")]
    behind: Option<PathBuf>,
    /// How often the same request has come just before, for limits, breakers and blocked logins.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    before: u32,
    /// Tell what each limit has left for this client after the request, and why.
    #[arg(long)]
    state: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

fn parse_request(text: &str) -> Result<(String, String), String> {
    let (method, path) =
        text.trim().split_once(' ').ok_or("expected a method and a path, such as `GET /orders`")?;
    Ok((method.to_owned(), path.trim_start().to_owned()))
}

fn parse_header(text: &str) -> Result<(String, Vec<u8>), String> {
    let (name, value) =
        text.split_once(':').ok_or("expected a name and a value, such as `Origin: https://shop.example`")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().as_bytes().to_vec()))
}

impl Explain {
    pub fn run(&self) -> ExitCode {
        match self.answer() {
            Ok(code) => code,
            Err(Trouble::Printed) => ExitCode::from(2),
            Err(Trouble::Message(message)) => {
                eprintln!("error: {message}");
                ExitCode::from(2)
            }
        }
    }

    fn answer(&self) -> Result<ExitCode, Trouble> {
        let policy = policy_in(&self.file)?;
        let before = self.behind.as_deref().map(policy_in).transpose()?;
        let (method, path) = self.request.clone();
        let mut headers = self.headers.clone();
        if let Some(token) = self.token()? {
            headers.push(("authorization".to_owned(), [b"Bearer ", trimmed(&token)].concat()));
        }
        let question = Question {
            method,
            path,
            headers,
            body: self.body.clone().into_bytes(),
            peer: self.from,
            appended: None,
            at: wall(self.at.unwrap_or_else(SystemTime::now)),
            auth_answer: self.auth_answer.clone().into_bytes(),
            service_status: self.service_status,
            service_headers: self.service_headers.clone(),
            before: self.before,
            state: self.state,
        };
        let report = match before {
            None => {
                let [keys] = self.keys([&policy])?;
                explain(policy, keys, &question)
            }
            Some(before) => {
                let [before_keys, keys] = self.keys([&before, &policy])?;
                explain_behind((before, before_keys), (policy, keys), &question).unwrap_or_else(|answered| {
                    eprintln!("note: the instance before this one answers the request");
                    *answered
                })
            }
        };
        if self.json {
            println!("{:#}", report.to_json());
        } else {
            print!("{report}");
        }
        Ok(ExitCode::from(u8::from(!report.passes())))
    }

    fn token(&self) -> Result<Option<Vec<u8>>, Trouble> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(Some(token.clone().into_bytes())),
            (None, Some(path)) if path == Path::new("-") => {
                let mut token = Vec::new();
                std::io::stdin().read_to_end(&mut token).map_err(|error| error.to_string())?;
                Ok(Some(token))
            }
            (None, Some(path)) => file(path).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Keys for each of the policies; an argument may be for one of them alone.
    fn keys<const N: usize>(&self, policies: [&Policy; N]) -> Result<[Keys; N], Trouble> {
        let sections = policies.map(|policy| policy.jwt.as_ref());
        let providers = sections.iter().flatten().flat_map(|jwt| jwt.providers());
        let known: Vec<&str> = providers.map(|provider| provider.name()).collect();
        let mut all: [Keys; N] = std::array::from_fn(|_| Keys::default());
        for argument in self.jwks.iter().filter(|_| !known.is_empty()) {
            let mut is_used = false;
            for (jwt, keys) in
                sections.iter().zip(&mut all).filter_map(|(jwt, keys)| Some((jwt.as_ref()?, keys)))
            {
                is_used |= add_keys(keys, jwt, argument, &known)?;
            }
            if !is_used {
                return Err(format!("--jwks {argument}: no such provider fetches keys").into());
            }
        }
        Ok(all)
    }
}

fn policy_in(file: &Path) -> Result<Policy, Trouble> {
    let source = crate::read(file).map_err(|_| Trouble::Printed)?;
    Missing::IsAMistake.compile(&source).map_err(|errors| {
        crate::report(file, &source, &errors, crate::Format::Human);
        Trouble::Printed
    })
}

/// Why there is no answer.
enum Trouble {
    /// It has been printed.
    Printed,
    Message(String),
}

impl<T: Into<String>> From<T> for Trouble {
    fn from(message: T) -> Self {
        Self::Message(message.into())
    }
}

/// Reads the key set that an argument names for the providers that it is for; whether there are any. `known` are the providers of all policies.
fn add_keys(keys: &mut Keys, jwt: &Jwt, argument: &str, known: &[&str]) -> Result<bool, Trouble> {
    let named = argument.split_once('=').filter(|(name, _)| known.contains(name));
    let (only, path) = named.map_or((None, argument), |(name, path)| (Some(name), path));
    let fetching = jwt.providers().iter().enumerate().filter(|(_, provider)| provider.fetch().is_some());
    let wanted: Vec<_> = fetching.filter(|(_, p)| only.is_none_or(|name| name == p.name())).collect();
    if wanted.is_empty() {
        return Ok(false);
    }
    let set = file(Path::new(path))?;
    for (index, provider) in wanted {
        let Some(set) = provider.read_keys(&set) else { continue };
        let set = set.map_err(|why| format!("{path}: {}", why.as_str()))?;
        for skipped in set.skipped() {
            let (why, expected) = (skipped.why.as_str(), skipped.why.expected());
            eprintln!("note: {path}: the key {} is not used: {why}; expected {expected}", skipped.index);
        }
        keys.set(index, Some(Rc::new(set)));
    }
    Ok(true)
}

fn file(path: &Path) -> Result<Vec<u8>, Trouble> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Without the line's end that editors add, and without the scheme that people copy along.
fn trimmed(token: &[u8]) -> &[u8] {
    let token = token.trim_ascii();
    match token.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest.trim_ascii(),
        _ => token,
    }
}

/// Times before 1970 are 1970: no token is that old.
fn wall(time: SystemTime) -> Wall {
    let nanos = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    Wall(u64::try_from(nanos).unwrap_or(u64::MAX))
}
