//! Metrics.

use wasmtime::Linker;

use super::{Guest, HostResult, define};
use crate::process::metrics::kind_of;
use crate::snapshot::Effect;
use crate::vm::VmData;
use crate::{MetricType, Status};

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_define_metric" => define_metric, (kind: u32, name: u32, name_len: u32, out: u32);
        "proxy_increment_metric" => increment, (id: u32, by: i64);
        "proxy_record_metric" => record, (id: u32, value: u64);
        "proxy_get_metric" => get, (id: u32, out: u32);
    }
    Ok(())
}

fn define_metric(guest: &mut Guest, kind: u32, name: u32, name_len: u32, out: u32) -> HostResult {
    guest.keep()?;
    let name = guest.copy(name, name_len)?;
    let kind = MetricType::from_u32(kind).ok_or(Status::BadArgument)?;
    let data = guest.data_mut();
    let key = data.process.metrics.borrow_mut().define(kind, &name);
    let id = data.metrics.define(key);
    data.record(|| Effect::Define { kind, name });
    Ok(guest.write_u32(out, id)?)
}

/// Histograms have no value to add to or to read, whether or not the id is known.
fn not_histogram(id: u32) -> Result<(), Status> {
    match kind_of(id) {
        Some(MetricType::Counter | MetricType::Gauge) => Ok(()),
        _ => Err(Status::BadArgument),
    }
}

fn increment(guest: &mut Guest, id: u32, by: i64) -> HostResult {
    not_histogram(id)?;
    let data = guest.data_mut();
    let key = data.metrics.get(id)?;
    data.process.metrics.borrow_mut().increment(key, by)?;
    data.record(|| Effect::Increment { id, by });
    Ok(())
}

fn record(guest: &mut Guest, id: u32, value: u64) -> HostResult {
    let data = guest.data_mut();
    let key = data.metrics.get(id).map_err(|_| Status::NotFound)?;
    data.process.metrics.borrow_mut().record(key, value)?;
    data.record(|| Effect::Record { id, value });
    Ok(())
}

fn get(guest: &mut Guest, id: u32, out: u32) -> HostResult {
    not_histogram(id)?;
    let data = guest.data();
    let value = data.process.metrics.borrow().get(data.metrics.get(id)?)?;
    Ok(guest.write_u64(out, value)?)
}
