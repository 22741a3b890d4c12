// The guest modules, built once by whatever test wants them first. A file that test crates include by its path.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The folder of the built guests.
fn guests() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guests");
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../modules/Cargo.toml");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--release", "--target", "wasm32-wasip1", "--quiet", "--manifest-path", manifest])
            .arg("--target-dir")
            .arg(&target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the guest modules must build");
        target.join("wasm32-wasip1/release")
    })
}

/// The file of a guest module.
pub fn guest_file(name: &str) -> PathBuf {
    guests().join(format!("{name}.wasm"))
}
