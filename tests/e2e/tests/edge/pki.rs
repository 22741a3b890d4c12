//! Certificates for tests, made by openssl, and curl as the client that checks them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A certificate authority and what it has signed, in a folder that is gone with this value.
pub struct Pki {
    folder: TempDir,
}

impl Pki {
    pub fn new() -> Self {
        let pki = Self { folder: tempfile::tempdir().expect("a folder for certificates") };
        pki.authority("ca");
        pki
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// One more authority: `name.pem` and `name.key`.
    pub fn authority(&self, name: &str) {
        let subject = format!("/CN={name}");
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let files =
            ["-keyout", &self.text(&format!("{name}.key")), "-out", &self.text(&format!("{name}.pem"))];
        openssl(&[&["req", "-x509", "-days", "30", "-subj", &subject], &key[..], &files[..]].concat());
    }

    /// A certificate of `ca` for `subject` (`/CN=..`) and the DNS name `name`: `file.pem` and `file.key`. It is not valid any more
    /// if `days` is negative.
    pub fn issue(&self, ca: &str, file: &str, subject: &str, name: &str, days: i32) {
        self.issue_with(ca, file, subject, &format!("subjectAltName=DNS:{name}"), days);
    }

    fn issue_with(&self, ca: &str, file: &str, subject: &str, extension: &str, days: i32) {
        let at = |suffix: &str| self.text(&format!("{file}.{suffix}"));
        let (key, csr, pem, ext) = (at("key"), at("csr"), at("pem"), at("ext"));
        fs::write(&ext, format!("{extension}\n")).expect("the folder is writable");
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        openssl(&[&["req", "-new", "-subj", subject, "-keyout", &key, "-out", &csr], &new_key[..]].concat());
        let (ca_pem, ca_key) = (self.text(&format!("{ca}.pem")), self.text(&format!("{ca}.key")));
        let days = days.to_string();
        let signed = ["x509", "-req", "-in", &csr, "-CA", &ca_pem, "-CAkey", &ca_key, "-CAcreateserial"];
        openssl(&[&signed[..], &["-days", &days, "-extfile", &ext, "-out", &pem]].concat());
    }

    /// An authority between `ca` and what it issues: `name.pem` and `name.key`.
    pub fn intermediate(&self, name: &str) {
        self.issue_with("ca", name, &format!("/CN={name}"), "basicConstraints=critical,CA:TRUE", 30);
    }

    /// Puts `second`'s certificate behind `first`'s, as servers send chains.
    pub fn append(&self, first: &str, second: &str) {
        let text = |name: &str| fs::read_to_string(self.path(&format!("{name}.pem"))).expect("it is there");
        fs::write(self.path(&format!("{first}.pem")), text(first) + &text(second)).expect("it is writable");
    }

    /// Puts the pair `from` in the place of `to`, each file at one stroke.
    pub fn replace(&self, to: &str, from: &str) {
        for suffix in ["pem", "key"] {
            let new = self.path(&format!(".{to}.{suffix}.new"));
            fs::copy(self.path(&format!("{from}.{suffix}")), &new).expect("the pair is there");
            fs::rename(&new, self.path(&format!("{to}.{suffix}"))).expect("the folder is writable");
        }
    }
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The serial number of the certificate in a file, or of the one that `address` shows for `name`.
pub fn serial_of_file(file: &Path) -> String {
    let file = file.to_string_lossy();
    let output = Command::new("openssl").args(["x509", "-noout", "-serial", "-in", &file]).output();
    String::from_utf8_lossy(&output.expect("openssl is installed").stdout).trim().to_owned()
}

pub fn serial_shown(address: SocketAddr, name: &str) -> String {
    let script = format!(
        "openssl s_client -connect {address} -servername {name} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The digest (SHA-256, base64) of a certificate's public key, by which Chromium is told to trust it.
pub fn spki(file: &Path) -> String {
    let script = "openssl x509 -noout -pubkey -in \"$0\" | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64";
    let output = Command::new("sh").args(["-c", script]).arg(file).output().expect("there is a shell");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What curl got.
#[derive(Debug)]
pub struct Got {
    /// curl's exit status: 0, or why there is no answer.
    pub exit: i32,
    pub status: u16,
    pub version: String,
    pub headers: String,
}

/// curl with these arguments, `gateway.test` being at `address`.
pub fn curl(address: SocketAddr, arguments: &[&str]) -> Got {
    let resolve = format!("gateway.test:{}:{}", address.port(), address.ip());
    let output = Command::new("curl")
        .args([
            "-sS",
            "-o",
            "/dev/null",
            "-D",
            "-",
            "-w",
            "%{stderr}%{http_code} %{http_version}",
            "--resolve",
            &resolve,
        ])
        .args(arguments)
        .output()
        .expect("curl is installed");
    let written = String::from_utf8_lossy(&output.stderr);
    let mut words = written.split_whitespace().rev();
    let version = words.next().unwrap_or_default().to_owned();
    let status = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let headers = String::from_utf8_lossy(&output.stdout).into_owned();
    Got { exit: output.status.code().unwrap_or(-1), status, version, headers }
}
