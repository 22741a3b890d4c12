//! Chromium as a client, by its DevTools protocol over pipes: what pages may do, and what a browser makes of the answers.

use crate::process::{OwnedChild, spawn};
use crate::{PATIENCE, workspace};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;
use tempfile::TempDir;

/// Chromium: `$PORTCULLIS_CHROMIUM`, else the one that `tests/tools.sh chromium` fetched into the checkout.
///
/// # Panics
/// If there is none, saying how to get it.
#[track_caller]
pub fn chromium() -> PathBuf {
    let named = std::env::var_os("PORTCULLIS_CHROMIUM").filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = named.unwrap_or_else(|| workspace().join(".tools/chromium/chromium"));
    assert!(path.is_file(), "{} is missing: run tests/tools.sh chromium", path.display());
    path
}

/// A browser with a profile of its own. It ends with this value.
pub struct Browser {
    channel: RefCell<Channel>,
    _process: OwnedChild,
    _profile: TempDir,
}

/// A tab.
pub struct Page<'a> {
    browser: &'a Browser,
    session: String,
}

struct Channel {
    commands: ChildStdin,
    messages: Receiver<Value>,
    last: u64,
}

impl Browser {
    /// Starts one with further command-line switches.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start(switches: &[String]) -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        // The protocol's pipes are the descriptors 3 and 4.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(chromium())
            .args(["--remote-debugging-pipe", "--headless", "--no-sandbox", "--disable-gpu"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(switches)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = spawn(command).expect("there is a shell");
        let (commands, answers) = process.take_pipes().expect("they were piped");
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in BufReader::new(answers).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("Chromium sends JSON");
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let channel = RefCell::new(Channel { commands, messages, last: 0 });
        Self { channel, _process: process, _profile: profile }
    }

    /// Opens `url` in a tab of its own, and waits until it is loaded.
    ///
    /// # Panics
    /// If it cannot be loaded.
    #[track_caller]
    pub fn open(&self, url: &str) -> Page<'_> {
        let target = self.ask(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.ask(None, "Target.attachToTarget", attach);
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Page { browser: self, session };
        page.ask("Page.enable", json!({}));
        page.go(url);
        page
    }

    #[track_caller]
    fn ask(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        let mut channel = self.channel.borrow_mut();
        channel.last += 1;
        let id = channel.last;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = json!(session);
        }
        write!(channel.commands, "{command}\0").expect("Chromium runs");
        let mut answer = channel.wait(method, |message| message["id"] == id);
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].take()
    }
}

impl Channel {
    /// The next message that is the one; what comes before it is dropped.
    #[track_caller]
    fn wait(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left);
            let message = message.unwrap_or_else(|error| panic!("Chromium does not answer {what}: {error}"));
            if is_it(&message) {
                return message;
            }
        }
    }
}

impl Page<'_> {
    /// Sends a command of the DevTools protocol for this tab; its result.
    ///
    /// # Panics
    /// If Chromium refuses it, or does not answer.
    #[track_caller]
    pub fn ask(&self, method: &str, params: Value) -> Value {
        self.browser.ask(Some(&self.session), method, params)
    }

    /// What a script says: the body of an `async` function, which returns JSON.
    ///
    /// # Panics
    /// If it throws.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        let expression = format!("(async () => {{ {script} }})()");
        let evaluate = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.ask("Runtime.evaluate", evaluate);
        assert!(result["exceptionDetails"].is_null(), "{script}: {}", result["exceptionDetails"]);
        result["result"]["value"].take()
    }

    /// Goes to `url`, and waits until it is loaded.
    ///
    /// # Panics
    /// If it cannot be loaded.
    #[track_caller]
    pub fn go(&self, url: &str) {
        let gone = self.ask("Page.navigate", json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        self.loaded();
    }

    /// Waits until the page that is being loaded is there.
    ///
    /// # Panics
    /// If it does not come.
    #[track_caller]
    pub fn loaded(&self) {
        let is_loaded = |message: &Value| {
            message["method"] == "Page.loadEventFired" && message["sessionId"] == *self.session
        };
        self.browser.channel.borrow().wait("the page's load event", is_loaded);
    }

    /// The browser's cookies for `url` by name, those that scripts do not see included.
    pub fn cookie(&self, url: &str, name: &str) -> Option<String> {
        let jar = self.ask("Network.getCookies", json!({ "urls": [url] }));
        let cookies = jar["cookies"].as_array()?;
        let cookie = cookies.iter().find(|cookie| cookie["name"] == name)?;
        cookie["value"].as_str().map(str::to_owned)
    }
}
