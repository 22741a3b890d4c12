//! Builds what Envoy preloads (see `time-shim/`) into a shared library, which `src/clock.rs` carries in itself.

use std::path::PathBuf;

fn main() {
    let sources = ["time-shim/shim.c", "time-shim/names.c"];
    sources.iter().for_each(|source| println!("cargo::rerun-if-changed={source}"));
    let out_dir = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let library = PathBuf::from(out_dir).join("libtimeshim.so");
    let compiler = cc::Build::new().opt_level(2).warnings(true).extra_warnings(true).get_compiler();
    let mut command = compiler.to_command();
    let status = command.args(["-std=c11", "-shared", "-o"]).arg(library).args(sources).arg("-ldl").status();
    let status = status.expect("a C compiler runs (it is the one that Rust links with)");
    assert!(status.success(), "{sources:?} do not compile: {status}");
}
