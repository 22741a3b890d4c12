//! The steps of docs/deploy.md, run as they stand there.

use crate::{JWT_SECRET, Kubernetes, Output, Registry, command, root, run, tool};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// The commands of the numbered steps of a page's section, in a folder of their own.
pub struct Steps {
    page: String,
    commands: Vec<String>,
    folder: PathBuf,
    kubeconfig: PathBuf,
    image: String,
    /// Variables beyond the usual, or in their place.
    others: Vec<(&'static str, String)>,
}

/// Stands for `kubectl`: all but `exec` is the real one's. There is no kubelet here to run a command in the pod's container, which is
/// this machine, or for the pod `FAR_POD` the one that `ENTER_FAR` leads to.
const KUBECTL: &str = r#"#!/usr/bin/env bash
if [ "$1" = exec ]; then
  enter=
  case " $* " in *" ${FAR_POD:-none} "*) enter=$ENTER_FAR ;; esac
  while [ "$1" != -- ]; do shift; done
  shift
  exec $enter "$@"
fi
exec "$REAL_KUBECTL" "$@"
"#;
/// Stands for Helm, which is not here: says with which values istiod was to be upgraded.
const HELM: &str = r#"#!/usr/bin/env bash
set -eu
[ "$1 $2 $3 $4 $5" = "upgrade istiod istio/istiod --namespace istio-system" ]
[ "$6 $7" = "--reuse-values --values" ]
cp "$8" istiod-values.yaml
"#;

impl Steps {
    /// Reads them, and makes the folder that they run in: a checkout with its tools on the path.
    ///
    /// # Panics
    /// If the page is not there, or the folder cannot be made.
    #[must_use]
    pub fn of(page: &Path, section: &str, folder: &Path, kubernetes: &Kubernetes) -> Self {
        let page = fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).expect("a folder");
        symlink(root().join("envoy"), folder.join("envoy")).expect("a link");
        symlink(root().join("target"), folder.join("target")).expect("a link");
        for name in ["crane/crane", "istio/istioctl", "istio/pilot-agent"] {
            symlink(tool(name), bin.join(Path::new(name).file_name().expect("a name"))).expect("a link");
        }
        symlink(root().join("target/debug/portcullis"), bin.join("portcullis")).expect("a link");
        for (name, script) in [("kubectl", KUBECTL), ("helm", HELM)] {
            fs::write(bin.join(name), script).expect("it can be written");
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).expect("they can be set");
        }
        let (kubeconfig, commands) = (kubernetes.config(), commands(self::section(&page, section)));
        Self {
            page,
            commands,
            folder: folder.to_owned(),
            kubeconfig,
            image: String::new(),
            others: Vec::new(),
        }
    }

    /// The steps of another section of the page, in the same folder and with the same image.
    #[must_use]
    pub fn turn_to(&self, section: &str) -> Self {
        Self {
            page: self.page.clone(),
            commands: commands(self::section(&self.page, section)),
            folder: self.folder.clone(),
            kubeconfig: self.kubeconfig.clone(),
            image: self.image.clone(),
            others: Vec::new(),
        }
    }

    /// With a variable that the steps' commands name.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.others.push((name, value.into()));
        self
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.commands.len()
    }

    /// The image that was pushed, by digest.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Runs the step of this number, from 1, and keeps `IMAGE` for those after it.
    ///
    /// # Panics
    /// If there is no such step.
    #[track_caller]
    pub fn try_step(&mut self, number: usize) -> Output {
        let script = self.commands.get(number - 1).unwrap_or_else(|| panic!("a step {number}"));
        // A checkout is built where it is.
        let at = if script.starts_with("make ") { root() } else { self.folder.clone() };
        let keep = self.folder.join("image.txt");
        let whole = format!("{script}\nprintf %s \"${{IMAGE-}}\" > \"$KEEP\"");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut bash = command("bash");
        bash.current_dir(at).args(["-euo", "pipefail", "-c", &whole]).env("KEEP", &keep);
        bash.env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        bash.env("REAL_KUBECTL", tool("kubernetes/kubectl")).env("KUBECONFIG", &self.kubeconfig);
        bash.envs([
            ("REGISTRY", Registry::ADDRESS),
            ("JWT_SECRET", JWT_SECRET),
            ("GATEWAY", "http://127.0.0.1:8080"),
            ("POD", "gateway-0"),
            ("IMAGE", &self.image),
        ]);
        bash.envs(self.others.iter().map(|(name, value)| (*name, value)));
        let output = run(bash);
        self.image = fs::read_to_string(keep).unwrap_or_default();
        output
    }

    /// The same; what it printed.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn step(&mut self, number: usize) -> String {
        let output = self.try_step(number);
        assert_eq!(output.status, Some(0), "step {number}: {}{}", output.stdout, output.stderr);
        output.stdout
    }
}

/// What stands between a heading and the next.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, rest) =
        page.split_once(&format!("## {heading}\n")).unwrap_or_else(|| panic!("no `## {heading}`"));
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

/// The block of commands of each numbered step.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<Vec<&str>> = None;
    for line in text.lines() {
        match (&mut block, line.trim()) {
            (None, "```sh") if line.starts_with(' ') => block = Some(Vec::new()),
            (Some(lines), "```") => {
                found.push(lines.join("\n"));
                block = None;
            }
            (Some(lines), command) => lines.push(command),
            (None, _) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_of_numbered_steps_are_commands_and_other_blocks_are_not() {
        let page =
            "1. One\n   ```sh\n   a \\\n     b\n   ```\n2. Two\n   ```sh\n   c\n   ```\n\n```sh\nd\n```\n";
        assert_eq!(commands(page), ["a \\\nb", "c"]);
    }

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let page = "# Page\n## One\na\n### More\nb\n## Two\nc\n";
        assert_eq!((section(page, "One"), section(page, "Two")), ("a\n### More\nb", "c\n"));
    }
}
