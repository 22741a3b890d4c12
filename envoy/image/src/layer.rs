//! The one layer of an image.

use flate2::{Compression, GzBuilder};
use std::io::{self, Write as _};
use tar::{Builder, Header};

/// The only file name that Istio and Envoy Gateway look for.
const FILE: &str = "plugin.wasm";
/// "Unknown" in RFC 1952: the writing system must not show in the bytes.
const NO_SYSTEM: u8 = 255;

/// A tar with the module in it, and the same compressed.
pub struct Layer {
    pub tar: Vec<u8>,
    pub gzip: Vec<u8>,
}

impl Layer {
    pub fn of(module: &[u8]) -> io::Result<Self> {
        let tar = archive(module)?;
        let gzip = compress(&tar)?;
        Ok(Self { tar, gzip })
    }
}

fn archive(module: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = Header::new_ustar();
    header.set_path(FILE)?;
    header.set_size(u64::try_from(module.len()).map_err(io::Error::other)?);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    let mut archive = Builder::new(Vec::new());
    archive.append(&header, module)?;
    archive.into_inner()
}

fn compress(tar: &[u8]) -> io::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).operating_system(NO_SYSTEM);
    let mut gzip = gzip.write(Vec::new(), Compression::best());
    gzip.write_all(tar)?;
    gzip.finish()
}
