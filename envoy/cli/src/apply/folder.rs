//! The folder that an Envoy watches.

use crate::render::Options;
use crate::render::dynamic::File;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The folder that an Envoy watches.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// What the folder was rendered with besides the policy.
const OPTIONS: &str = "options.json";

impl Folder {
    /// The folder at `path`, which is created if it is not there.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self { path: fs::canonicalize(path)? })
    }

    /// A folder that was rendered before.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let folder = Self { path: fs::canonicalize(path)? };
        match folder.read(OPTIONS)? {
            Some(_) => Ok(folder),
            None => {
                Err(io::Error::new(ErrorKind::NotFound, "no folder of `portcullis render envoy --dynamic`"))
            }
        }
    }

    /// Its whole path, as Envoy opens it.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// Writes everything anew.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn fill(&self, files: &[File], options: &Options) -> io::Result<()> {
        files.iter().try_for_each(|file| self.write(&file.path, &file.text))?;
        let services =
            options.services.iter().map(|(name, (host, port))| (name.clone(), json!([host, port])));
        let services: Value = services.collect::<serde_json::Map<_, _>>().into();
        let options = json!({
            "module": options.module,
            "listen": options.listen,
            "admin": options.admin,
            "offload": options.offload,
            "services": services,
        });
        self.write(OPTIONS, &format!("{options:#}\n"))
    }

    /// What it was rendered with.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn options(&self) -> io::Result<Options> {
        let text = self.read(OPTIONS)?.unwrap_or_default();
        let given: Value = serde_json::from_str(&text)?;
        let text = |key: &str| given.get(key).and_then(Value::as_str).map(str::to_owned);
        let service = |(name, at): (&String, &Value)| {
            let host = at.get(0)?.as_str()?.to_owned();
            Some((name.clone(), (host, u16::try_from(at.get(1)?.as_u64()?).ok()?)))
        };
        let services = given.get("services").and_then(Value::as_object).into_iter().flatten();
        let usual = Options::default();
        Ok(Options {
            module: text("module").unwrap_or(usual.module),
            listen: text("listen"),
            admin: text("admin"),
            services: services.filter_map(service).collect(),
            offload: given.get("offload").and_then(Value::as_bool).unwrap_or(true),
            ..Options::default()
        })
    }

    /// What is in a file of the folder; nothing if there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, path: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.path.join(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Replaces a file at one stroke.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let target = self.path.join(path);
        let folder = target.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let new = folder.join(format!(".{name}.new"));
        fs::write(&new, text)?;
        fs::rename(&new, &target)
    }

    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(path))
    }

    /// Held by whoever changes the folder; let go when the file is closed, however its process ends.
    pub(super) fn lock(&self) -> io::Result<fs::File> {
        let file = fs::File::create(self.path.join(".lock"))?;
        file.lock()?;
        Ok(file)
    }
}
