//! Gives a running Envoy a new policy, and waits for its word.
//!
//! Envoy watches a folder (see [`crate::render::dynamic`]). Its files are replaced one after the other, each by renaming a whole new
//! one over it, and after each Envoy's stats say whether it took what it read. A file that it refuses is put back, and those that went
//! before it too, so that what serves on is one policy and not parts of two.
//!
//! Between two files a request may be judged by one policy and routed by the other. What the old policy routes stays as it is until
//! Envoy has taken the new filter, which is what it may refuse; what only the new one routes comes behind it. So a policy that is refused
//! has disturbed nobody, and one that is taken loses no request.

mod admin;
mod folder;

pub use admin::{Admin, Word};
pub use folder::Folder;

use crate::render::dynamic::{self, File, Kind};
use serde_json::Value;
use std::io;
use std::time::Duration;

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Envoy has taken every file that differed; their names.
    Accepted(Vec<String>),
    /// Envoy refused this file; everything is as it was.
    Rejected(String),
    /// Envoy said nothing about this file in time; the new files are in place.
    Silent(String),
}

/// Puts `files` into the folder, those that differ, and waits for Envoy's word on each.
///
/// # Errors
/// When the folder cannot be written, or Envoy's admin interface does not answer; nothing has been changed then.
pub fn apply(folder: &Folder, files: &[File], admin: &Admin, patience: Duration) -> io::Result<Outcome> {
    let _one_at_a_time = folder.lock()?;
    admin.check()?;
    let steps = steps(folder, files)?;
    let mut done: Vec<(File, Option<String>)> = Vec::new();
    for step in steps {
        let before = folder.read(&step.path)?;
        let word = replace(folder, &step, admin, patience)?;
        done.push((step.clone(), before));
        match word {
            Word::Accepted => {}
            Word::Rejected => {
                put_back(folder, &done, admin, patience)?;
                return Ok(Outcome::Rejected(step.path));
            }
            Word::None => return Ok(Outcome::Silent(step.path)),
        }
    }
    let mut paths: Vec<String> = done.into_iter().map(|(file, _)| file.path).collect();
    paths.dedup();
    Ok(Outcome::Accepted(paths))
}

/// The files that differ from what the folder has, in the order in which Envoy is to be given them.
fn steps(folder: &Folder, files: &[File]) -> io::Result<Vec<File>> {
    let mut wanted: Vec<File> = files.to_vec();
    wanted.sort_by_key(|file| file.kind);
    let (mut steps, mut at_the_end) = (Vec::new(), Vec::new());
    for file in wanted {
        let before = folder.read(&file.path)?;
        if before.as_deref() == Some(file.text.as_str()) {
            continue;
        }
        match before.and_then(|old| with_old(&old, &file)) {
            Some(both) => {
                // Routes go before the clusters that they lead to.
                at_the_end.insert(0, file);
                steps.push(both);
            }
            None => steps.push(file),
        }
    }
    steps.extend(at_the_end);
    Ok(steps)
}

/// What the old file and the new one have, together; nothing where that is no more than the new one has, or makes no sense.
fn with_old(old: &str, new: &File) -> Option<File> {
    match new.kind {
        Kind::Clusters => clusters_of_both(&resources(old)?, &resources(&new.text)?),
        Kind::Routes => routes_of_both(&resources(old)?, &resources(&new.text)?),
        Kind::Bootstrap | Kind::Secret | Kind::Filter | Kind::Listeners => None,
    }
}

fn resources(text: &str) -> Option<Vec<Value>> {
    let document: Value = serde_saphyr::from_str(text).ok()?;
    document.get("resources")?.as_array().cloned()
}

/// The new clusters, and the old ones that are not among them.
fn clusters_of_both(old: &[Value], new: &[Value]) -> Option<File> {
    let is_new = |cluster: &Value| new.iter().any(|own| own["name"] == cluster["name"]);
    let gone: Vec<Value> = old.iter().filter(|cluster| !is_new(cluster)).cloned().collect();
    let all = [new, gone.as_slice()].concat();
    (!gone.is_empty()).then(|| dynamic::file(Kind::Clusters, "clusters", &all))
}

/// The old routes, and behind them the new ones, for Envoy takes the first that matches. Where the hosts differ there is no such list.
fn routes_of_both(old: &[Value], new: &[Value]) -> Option<File> {
    let ([old], [new]) = (old, new) else { return None };
    let mut both = old.clone();
    let (all, added) = (both["virtual_hosts"].as_array_mut()?, new["virtual_hosts"].as_array()?);
    if all.len() != added.len() {
        return None;
    }
    for host in all {
        let more = added.iter().find(|own| own["domains"] == host["domains"])?["routes"].as_array()?;
        let routes = host["routes"].as_array_mut()?;
        let unknown: Vec<Value> = more.iter().filter(|route| !routes.contains(route)).cloned().collect();
        routes.extend(unknown);
    }
    Some(dynamic::file(Kind::Routes, "routes", &[both]))
}

fn replace(folder: &Folder, file: &File, admin: &Admin, patience: Duration) -> io::Result<Word> {
    let Some(subscription) = admin.subscription(file)? else {
        folder.write(&file.path, &file.text)?;
        return Ok(Word::Accepted);
    };
    let before = admin.counts(&subscription)?;
    folder.write(&file.path, &file.text)?;
    admin.wait(&subscription, before, &file.version, patience)
}

/// Puts everything back, the last first, and waits for Envoy's word on each: the old policy serves on, whole.
fn put_back(
    folder: &Folder,
    done: &[(File, Option<String>)],
    admin: &Admin,
    patience: Duration,
) -> io::Result<()> {
    for (file, before) in done.iter().rev() {
        match before {
            Some(text) => {
                let old = File { version: version(text), text: text.clone(), ..file.clone() };
                replace(folder, &old, admin, patience)?;
            }
            None => folder.remove(&file.path)?,
        }
    }
    Ok(())
}

fn version(text: &str) -> String {
    let document: Value = serde_saphyr::from_str(text).unwrap_or_default();
    document["version_info"].as_str().unwrap_or_default().to_owned()
}
