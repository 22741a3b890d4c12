//! WASI, called with arguments that make sense, or none: what counts is the error number. The signatures are Envoy's, which
//! for `path_link` and `path_symlink` are not those of WASI.

macro_rules! wasi {
    ($($name:ident($($arg:ident: $ty:ty = $value:expr),*);)*) => {
        mod preview1 {
            #[link(wasm_import_module = "wasi_snapshot_preview1")]
            unsafe extern "C" { $(pub fn $name($($arg: $ty),*) -> u32;)* }
        }

        /// Calls the function of this name; `_` stands for nothing.
        pub(crate) fn run(name: &str) -> String {
            let scratch = [0u8; 256];
            let at = scratch.as_ptr() as u32;
            let _ = at;
            // SAFETY: whatever pointer is passed points into the scratch buffer, which is larger than any result.
            let errno = match name {
                $(stringify!($name) => { let buffer = at; let _ = buffer; unsafe { preview1::$name($($value(buffer)),*) } })*
                other => return format!("no such function: {other}"),
            };
            format!("{errno} {}", std::hint::black_box(scratch)[..24].iter().map(|b| format!("{b:02x}")).collect::<String>())
        }
    };
}

/// A constant argument.
macro_rules! c {
    ($n:expr) => {
        |_: u32| $n
    };
}
/// A pointer into the scratch buffer, so far from its start.
macro_rules! p {
    ($n:expr) => {
        |at: u32| at + $n
    };
}

wasi! {
    args_get(a: u32 = p!(0), b: u32 = p!(8));
    args_sizes_get(a: u32 = p!(0), b: u32 = p!(4));
    environ_sizes_get(a: u32 = p!(0), b: u32 = p!(4));
    clock_res_get(a: u32 = c!(0), b: u32 = p!(0));
    fd_advise(a: u32 = c!(3), b: u64 = c!(0), c: u64 = c!(0), d: u32 = c!(0));
    fd_allocate(a: u32 = c!(3), b: u64 = c!(0), c: u64 = c!(0));
    fd_close(a: u32 = c!(3));
    fd_datasync(a: u32 = c!(3));
    fd_fdstat_get(a: u32 = c!(1), b: u32 = p!(0));
    fd_fdstat_set_flags(a: u32 = c!(1), b: u32 = c!(0));
    fd_fdstat_set_rights(a: u32 = c!(1), b: u64 = c!(0), c: u64 = c!(0));
    fd_filestat_get(a: u32 = c!(1), b: u32 = p!(0));
    fd_filestat_set_size(a: u32 = c!(3), b: u64 = c!(0));
    fd_filestat_set_times(a: u32 = c!(3), b: u64 = c!(0), c: u64 = c!(0), d: u32 = c!(0));
    fd_pread(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(0), d: u64 = c!(0), e: u32 = p!(8));
    fd_prestat_get(a: u32 = c!(3), b: u32 = p!(0));
    fd_prestat_dir_name(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(8));
    fd_pwrite(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(0), d: u64 = c!(0), e: u32 = p!(8));
    fd_read(a: u32 = c!(0), b: u32 = p!(0), c: u32 = c!(0), d: u32 = p!(8));
    fd_readdir(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(8), d: u64 = c!(0), e: u32 = p!(8));
    fd_renumber(a: u32 = c!(3), b: u32 = c!(4));
    fd_seek(a: u32 = c!(1), b: u64 = c!(0), c: u32 = c!(0), d: u32 = p!(0));
    fd_sync(a: u32 = c!(1));
    fd_tell(a: u32 = c!(1), b: u32 = p!(0));
    path_create_directory(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(1));
    path_filestat_get(a: u32 = c!(3), b: u32 = c!(0), c: u32 = p!(0), d: u32 = c!(1), e: u32 = p!(8));
    path_filestat_set_times(a: u32 = c!(3), b: u32 = c!(0), c: u32 = p!(0), d: u32 = c!(1), e: u64 = c!(0), f: u64 = c!(0), g: u32 = c!(0));
    path_link(a: u32 = c!(3), b: u32 = c!(0), c: u32 = p!(0), d: u32 = c!(1), e: u32 = c!(3), f: u32 = p!(0));
    path_open(a: u32 = c!(3), b: u32 = c!(0), c: u32 = p!(0), d: u32 = c!(1), e: u32 = c!(0), f: u64 = c!(0), g: u64 = c!(0), h: u32 = c!(0), i: u32 = p!(8));
    path_readlink(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(1), d: u32 = p!(8), e: u32 = c!(8), f: u32 = p!(16));
    path_remove_directory(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(1));
    path_rename(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(1), d: u32 = c!(3), e: u32 = p!(0), f: u32 = c!(1));
    path_symlink(a: u32 = p!(0), b: u32 = c!(1), c: u32 = c!(3), d: u32 = p!(0));
    path_unlink_file(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(1));
    poll_oneoff(a: u32 = p!(0), b: u32 = p!(48), c: u32 = c!(1), d: u32 = p!(8));
    random_get(a: u32 = p!(32), b: u32 = c!(16));
    sched_yield();
    sock_accept(a: u32 = c!(3), b: u32 = c!(0), c: u32 = p!(0));
    sock_recv(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(0), d: u32 = c!(0), e: u32 = p!(8), f: u32 = p!(12));
    sock_send(a: u32 = c!(3), b: u32 = p!(0), c: u32 = c!(0), d: u32 = c!(0), e: u32 = p!(8));
    sock_shutdown(a: u32 = c!(3), b: u32 = c!(0));
}
