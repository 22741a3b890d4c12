//! `portcullis explain`, from its arguments to its exit status.

use clap::Args;
use portcullis_cli::environment::Missing;
use portcullis_cli::explain::{Question, explain};
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
    /// The token. Everybody on the machine can read arguments: rather use `--token-file`.
    #[arg(long, required_unless_present = "token_file", conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with the token; `-` for standard input.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// The request's method.
    #[arg(long, default_value = "GET", requires = "path")]
    method: String,
    /// The request's path (default: that of the first route that takes tokens).
    #[arg(long)]
    path: Option<String>,
    /// When, as RFC 3339 (default: now).
    #[arg(long, value_parser = humantime::parse_rfc3339_weak)]
    at: Option<SystemTime>,
    /// A JWK Set to take for the fetched one: of every provider that fetches, or of one (`PROVIDER=FILE`).
    #[arg(long, value_name = "[PROVIDER=]FILE")]
    jwks: Vec<String>,
    /// The client's address, for rules on networks.
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub fn run(&self) -> ExitCode {
        match self.answer() {
            Ok(code) => code,
            Err(Trouble::Told) => ExitCode::from(2),
            Err(Trouble::Untold(message)) => {
                eprintln!("error: {message}");
                ExitCode::from(2)
            }
        }
    }

    fn answer(&self) -> Result<ExitCode, Trouble> {
        let policy = self.policy()?;
        let token = self.token()?;
        let question = Question {
            policy: &policy,
            token: trimmed(&token),
            method: &self.method,
            path: self.path.as_deref(),
            at: wall(self.at.unwrap_or_else(SystemTime::now)),
            keys: self.keys(&policy)?,
            client: self.client,
        };
        let told = explain(question)?;
        if self.json {
            println!("{:#}", told.to_json());
        } else {
            print!("{told}");
        }
        Ok(ExitCode::from(u8::from(!told.is_good())))
    }

    fn policy(&self) -> Result<Policy, Trouble> {
        let source = crate::read(&self.file).map_err(|_| Trouble::Told)?;
        Missing::IsAMistake.compile(&source).map_err(|errors| {
            crate::report(&self.file, &source, &errors, crate::Format::Human);
            Trouble::Told
        })
    }

    fn token(&self) -> Result<Vec<u8>, Trouble> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => Ok(token.clone().into_bytes()),
            (None, Some(path)) if path == Path::new("-") => {
                let mut token = Vec::new();
                std::io::stdin().read_to_end(&mut token).map_err(|error| error.to_string())?;
                Ok(token)
            }
            (None, Some(path)) => file(path),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn keys(&self, policy: &Policy) -> Result<Keys, Trouble> {
        let mut keys = Keys::default();
        let Some(jwt) = &policy.jwt else { return Ok(keys) };
        for argument in &self.jwks {
            add_keys(&mut keys, jwt, argument)?;
        }
        Ok(keys)
    }
}

/// Why there is no answer.
enum Trouble {
    /// It has been printed.
    Told,
    Untold(String),
}

impl<T: Into<String>> From<T> for Trouble {
    fn from(message: T) -> Self {
        Self::Untold(message.into())
    }
}

fn add_keys(keys: &mut Keys, jwt: &Jwt, argument: &str) -> Result<(), Trouble> {
    let named =
        argument.split_once('=').filter(|(name, _)| jwt.providers().iter().any(|p| p.name() == *name));
    let (only, path) = named.map_or((None, argument), |(name, path)| (Some(name), path));
    let set = file(Path::new(path))?;
    let fetching = jwt.providers().iter().enumerate().filter(|(_, provider)| provider.fetch().is_some());
    let wanted: Vec<_> = fetching.filter(|(_, p)| only.is_none_or(|name| name == p.name())).collect();
    if wanted.is_empty() {
        return Err(format!("--jwks {argument}: no such provider fetches keys").into());
    }
    for (index, provider) in wanted {
        let Some(set) = provider.read_keys(&set) else { continue };
        let set = set.map_err(|why| format!("{path}: {}", why.as_str()))?;
        keys.set(index, Some(Rc::new(set)));
    }
    Ok(())
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
