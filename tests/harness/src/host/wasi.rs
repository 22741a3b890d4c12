//! WASI preview 1 as Envoy has it: no arguments, no files, no sleep, stdout and stderr into the log.

use wasmtime::{Caller, Linker};

use super::Guest;
use super::general::write_log;
use crate::LogLevel;
use crate::vm::VmData;

/// Error numbers of WASI.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Errno {
    BadFd = 8,
    Exists = 20,
    Fault = 21,
    Invalid = 28,
    NoEntry = 44,
    NoSystem = 52,
    NotSupported = 58,
}

type WasiResult = Result<(), Errno>;

/// `random_get` gives at most so many bytes.
const MAX_RANDOM: u32 = 64 * 1024;

fn enter(
    caller: Caller<'_, VmData>,
    name: &'static str,
    call: impl FnOnce(&mut Guest<'_>) -> WasiResult,
) -> wasmtime::Result<u32> {
    super::enter(caller, name, true, |guest| match call(guest) {
        Ok(()) => Ok(()),
        Err(errno) => Err(super::Stop::Errno(errno as u32)),
    })
}

macro_rules! define {
    ($linker:ident, $module:ident, $($name:literal => $function:expr, ($($arg:ident: $ty:ty),*);)*) => {
        $($linker.func_wrap($module, $name, |caller: Caller<'_, VmData>, $($arg: $ty),*| {
            enter(caller, $name, |guest| ($function)(guest, $($arg),*))
        })?;)*
    };
}

/// Functions that exist so that modules load, and do nothing but give the error number that Envoy's give.
macro_rules! absent {
    ($linker:ident, $module:ident, $($errno:ident $name:literal ($($arg:ident: $ty:ty),*);)*) => {
        $($linker.func_wrap($module, $name, |caller: Caller<'_, VmData>, $($arg: $ty),*| {
            let _ = ($($arg,)*);
            enter(caller, $name, |_| Err(Errno::$errno))
        })?;)*
    };
}

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
        link_present(linker, module)?;
        link_absent(linker, module)?;
    }
    Ok(())
}

fn link_present(linker: &mut Linker<VmData>, module: &str) -> wasmtime::Result<()> {
    define! { linker, module,
        "args_get" => |_: &mut Guest, _, _| Ok(()), (argv: u32, buf: u32);
        "args_sizes_get" => |guest: &mut Guest, argc, size| sizes(guest, argc, size, 0, 0), (argc: u32, size: u32);
        "environ_get" => environ_get, (list: u32, buf: u32);
        "environ_sizes_get" => environ_sizes, (count: u32, size: u32);
        "clock_time_get" => clock, (id: u32, precision: u64, out: u32);
        "fd_write" => fd_write, (fd: u32, iovs: u32, count: u32, out: u32);
        "fd_fdstat_get" => fdstat, (fd: u32, out: u32);
        "fd_fdstat_set_flags" => |_: &mut Guest, _, _| Err(Errno::NoSystem), (fd: u32, flags: u32);
        "fd_fdstat_set_rights" => |_: &mut Guest, _, _, _| Ok(()), (fd: u32, base: u64, inherit: u64);
        "fd_advise" => |_: &mut Guest, _, _, _, _| Ok(()), (fd: u32, offset: u64, len: u64, advice: u32);
        "fd_sync" => |_: &mut Guest, _| Ok(()), (fd: u32);
        "fd_tell" => |_: &mut Guest, _, _| Ok(()), (fd: u32, out: u32);
        "clock_res_get" => clock_res, (id: u32, out: u32);
        "fd_close" => |_: &mut Guest, _| Ok(()), (fd: u32);
        "fd_seek" => |_: &mut Guest, _, _, _, _| Ok(()), (fd: u32, offset: i64, whence: u32, out: u32);
        "fd_prestat_get" => |_: &mut Guest, _, _| Err(Errno::BadFd), (fd: u32, out: u32);
        "fd_prestat_dir_name" => |_: &mut Guest, _, _, _| Err(Errno::NoSystem), (fd: u32, path: u32, len: u32);
        "path_open" => |_: &mut Guest, _, _, _, _, _, _, _, _, _| Err(Errno::NoEntry),
            (fd: u32, dirflags: u32, path: u32, len: u32, oflags: u32, rights: u64, inherit: u64, flags: u32, out: u32);
        "poll_oneoff" => |guest: &mut Guest, _, _, _, out| put(guest, out, 0), (events: u32, out: u32, n: u32, done: u32);
        "sched_yield" => |_: &mut Guest| Ok(()), ();
        "random_get" => random, (buf: u32, len: u32);
    }
    // Envoy only notes the wish to exit, and returns; most guests then run into an `unreachable`.
    linker.func_wrap(module, "proc_exit", |caller: Caller<'_, VmData>, code: u32| {
        let mut guest = Guest(caller);
        // A line that is too much ends the callback just below.
        let _ = write_log(&mut guest, LogLevel::Trace, format!("proc_exit({code})").as_bytes());
        guest.stop_if_exhausted()
    })?;
    Ok(())
}

fn link_absent(linker: &mut Linker<VmData>, module: &str) -> wasmtime::Result<()> {
    absent! { linker, module,
        BadFd "fd_allocate" (fd: u32, offset: u64, len: u64);
        BadFd "fd_datasync" (fd: u32);
        BadFd "fd_filestat_get" (fd: u32, out: u32);
        BadFd "fd_filestat_set_size" (fd: u32, size: u64);
        BadFd "fd_filestat_set_times" (fd: u32, atim: u64, mtim: u64, flags: u32);
        NoSystem "fd_pread" (fd: u32, iovs: u32, count: u32, offset: u64, out: u32);
        BadFd "fd_pwrite" (fd: u32, iovs: u32, count: u32, offset: u64, out: u32);
        NoSystem "fd_read" (fd: u32, iovs: u32, count: u32, out: u32);
        Exists "fd_readdir" (fd: u32, buf: u32, len: u32, cookie: u64, out: u32);
        BadFd "fd_renumber" (fd: u32, to: u32);
        NotSupported "path_create_directory" (fd: u32, path: u32, len: u32);
        NotSupported "path_filestat_get" (fd: u32, flags: u32, path: u32, len: u32, out: u32);
        NotSupported "path_filestat_set_times" (fd: u32, lookup: u32, path: u32, len: u32, atim: u64, mtim: u64, flags: u32);
        // Envoy declares this one and `path_symlink` with a parameter less than WASI: modules that import them fail there.
        NotSupported "path_link" (fd: u32, flags: u32, path: u32, len: u32, to_fd: u32, to: u32);
        NotSupported "path_readlink" (fd: u32, path: u32, len: u32, buf: u32, buf_len: u32, out: u32);
        NotSupported "path_remove_directory" (fd: u32, path: u32, len: u32);
        NotSupported "path_rename" (fd: u32, path: u32, len: u32, to_fd: u32, to: u32, to_len: u32);
        NotSupported "path_symlink" (path: u32, len: u32, fd: u32, to: u32);
        NotSupported "path_unlink_file" (fd: u32, path: u32, len: u32);
        NotSupported "sock_accept" (fd: u32, flags: u32, out: u32);
        NotSupported "sock_recv" (fd: u32, iovs: u32, count: u32, flags: u32, len: u32, out_flags: u32);
        NotSupported "sock_send" (fd: u32, iovs: u32, count: u32, flags: u32, out: u32);
        NotSupported "sock_shutdown" (fd: u32, how: u32);
    }
    Ok(())
}

fn put(guest: &mut Guest, out: u32, value: u32) -> WasiResult {
    guest.write_u32(out, value).map_err(|_| Errno::Fault)
}

fn sizes(guest: &mut Guest, count_out: u32, size_out: u32, count: usize, size: usize) -> WasiResult {
    put(guest, count_out, count as u32)?;
    put(guest, size_out, size as u32)
}

fn environ_sizes(guest: &mut Guest, count_out: u32, size_out: u32) -> WasiResult {
    let settings = guest.data().settings.clone();
    let size = settings.environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    sizes(guest, count_out, size_out, settings.environment.len(), size)
}

fn environ_get(guest: &mut Guest, mut list: u32, mut buf: u32) -> WasiResult {
    let settings = guest.data().settings.clone();
    for (name, value) in &settings.environment {
        let entry = format!("{name}={value}\0");
        put(guest, list, buf)?;
        guest.write(buf, entry.as_bytes()).map_err(|_| Errno::Fault)?;
        list = list.wrapping_add(4);
        buf = buf.wrapping_add(entry.len() as u32);
    }
    Ok(())
}

fn clock(guest: &mut Guest, id: u32, _precision: u64, out: u32) -> WasiResult {
    let clock = guest.data().process.clock.get();
    let time = match id {
        0 => clock.wall,
        1 => clock.mono,
        _ => return Err(Errno::NotSupported),
    };
    guest.write_u64(out, time).map_err(|_| Errno::Fault)
}

/// A nanosecond, whatever the clock.
fn clock_res(guest: &mut Guest, id: u32, out: u32) -> WasiResult {
    if id > 1 {
        return Err(Errno::NotSupported);
    }
    guest.write_u64(out, 1).map_err(|_| Errno::Fault)
}

fn random(guest: &mut Guest, buf: u32, len: u32) -> WasiResult {
    if len > MAX_RANDOM {
        return Err(Errno::Invalid);
    }
    let mut bytes = vec![0; len as usize];
    guest.data().process.rng.borrow_mut().fill(&mut bytes);
    guest.write(buf, &bytes).map_err(|_| Errno::Fault)
}

/// Only stdout and stderr exist.
fn std_fd(fd: u32) -> Result<LogLevel, Errno> {
    match fd {
        1 => Ok(LogLevel::Info),
        2 => Ok(LogLevel::Error),
        _ => Err(Errno::BadFd),
    }
}

fn fdstat(guest: &mut Guest, fd: u32, out: u32) -> WasiResult {
    std_fd(fd)?;
    // 24 bytes, all zero but for the right to write.
    let mut stat = [0; 24];
    stat[8] = 64;
    guest.write(out, &stat).map_err(|_| Errno::Fault)
}

/// A line of the log is no longer than this, however often a guest lists the same buffer.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// What is written becomes one line of the log, without its newline.
fn fd_write(guest: &mut Guest, fd: u32, iovs: u32, count: u32, out: u32) -> WasiResult {
    let level = std_fd(fd)?;
    let mut text = Vec::new();
    for i in 0..count {
        let at = i.checked_mul(8).and_then(|offset| iovs.checked_add(offset)).ok_or(Errno::Fault)?;
        let buf = guest.read_u32(at).map_err(|_| Errno::Fault)?;
        let len = guest.read_u32(at.wrapping_add(4)).map_err(|_| Errno::Fault)?;
        text.extend_from_slice(guest.read(buf, len).map_err(|_| Errno::Fault)?);
        if text.len() > MAX_LINE {
            return Err(Errno::Invalid);
        }
    }
    put(guest, out, text.len() as u32)?;
    if !text.is_empty() {
        return write_log(guest, level, text.strip_suffix(b"\n").unwrap_or(&text)).map_err(|_| Errno::Fault);
    }
    Ok(())
}
