//! Builds the time shim (see `time-shim/shim.c`) into a shared library, which `src/clock.rs` carries in itself.

use std::path::PathBuf;

fn main() {
    let source = "time-shim/shim.c";
    println!("cargo::rerun-if-changed={source}");
    let out_dir = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let library = PathBuf::from(out_dir).join("libtimeshim.so");
    let compiler = cc::Build::new().opt_level(2).warnings(true).extra_warnings(true).get_compiler();
    let status = compiler.to_command().args(["-std=c11", "-shared", "-o"]).arg(library).arg(source).status();
    let status = status.expect("a C compiler runs (it is the one that Rust links with)");
    assert!(status.success(), "{source} does not compile: {status}");
}
