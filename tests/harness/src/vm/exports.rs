//! The callbacks that a module may export, with the signatures that the host calls.

use wasmtime::{FuncType, Instance, Module, Store, TypedFunc, ValType};

use super::VmData;
use crate::{AbiVersion, LoadError};

type F1<R> = Option<TypedFunc<u32, R>>;
type F2<R> = Option<TypedFunc<(u32, u32), R>>;
type F3<R> = Option<TypedFunc<(u32, u32, u32), R>>;
type F5<R> = Option<TypedFunc<(u32, u32, u32, u32, u32), R>>;

macro_rules! exports {
    ($($field:ident: $kind:ident<$result:ty> = $name:literal $params:literal $results:literal;)*) => {
        /// Callbacks of an instance; `None` where the module does not export one.
        #[derive(Default)]
        pub(crate) struct Exports { $(pub $field: $kind<$result>,)* }

        impl Exports {
            pub fn of(instance: &Instance, store: &mut Store<VmData>) -> Self {
                Self { $($field: instance.get_typed_func(&mut *store, $name).ok(),)* }
            }
        }

        /// Name, number of parameters and number of results of each callback; all are `i32`.
        const SIGNATURES: &[(&str, usize, usize)] = &[$(($name, $params, $results),)*];
    };
}

exports! {
    context_create: F2<()> = "proxy_on_context_create" 2 0;
    vm_start: F2<u32> = "proxy_on_vm_start" 2 1;
    configure: F2<u32> = "proxy_on_configure" 2 1;
    tick: F1<()> = "proxy_on_tick" 1 0;
    queue_ready: F2<()> = "proxy_on_queue_ready" 2 0;
    request_headers: F3<u32> = "proxy_on_request_headers" 3 1;
    request_body: F3<u32> = "proxy_on_request_body" 3 1;
    request_trailers: F2<u32> = "proxy_on_request_trailers" 2 1;
    response_headers: F3<u32> = "proxy_on_response_headers" 3 1;
    response_body: F3<u32> = "proxy_on_response_body" 3 1;
    response_trailers: F2<u32> = "proxy_on_response_trailers" 2 1;
    new_connection: F1<u32> = "proxy_on_new_connection" 1 1;
    downstream_data: F3<u32> = "proxy_on_downstream_data" 3 1;
    upstream_data: F3<u32> = "proxy_on_upstream_data" 3 1;
    downstream_close: F2<()> = "proxy_on_downstream_connection_close" 2 0;
    upstream_close: F2<()> = "proxy_on_upstream_connection_close" 2 0;
    foreign_function: F3<()> = "proxy_on_foreign_function" 3 0;
    resolve_dns: F3<()> = "envoy_on_resolve_dns" 3 0;
    http_call_response: F5<()> = "proxy_on_http_call_response" 5 0;
    grpc_initial: F3<()> = "proxy_on_grpc_receive_initial_metadata" 3 0;
    grpc_receive: F3<()> = "proxy_on_grpc_receive" 3 0;
    grpc_trailing: F3<()> = "proxy_on_grpc_receive_trailing_metadata" 3 0;
    grpc_close: F3<()> = "proxy_on_grpc_close" 3 0;
    done: F1<u32> = "proxy_on_done" 1 1;
    log: F1<()> = "proxy_on_log" 1 0;
    delete: F1<()> = "proxy_on_delete" 1 0;
}

/// The two callbacks that had no end-of-stream flag in 0.1.0.
#[derive(Default)]
pub(crate) struct OldExports {
    pub request_headers: F2<u32>,
    pub response_headers: F2<u32>,
}

impl OldExports {
    pub fn of(instance: &Instance, store: &mut Store<VmData>) -> Self {
        Self {
            request_headers: instance.get_typed_func(&mut *store, "proxy_on_request_headers").ok(),
            response_headers: instance.get_typed_func(&mut *store, "proxy_on_response_headers").ok(),
        }
    }
}

/// Names every callback that is exported with another signature than the host would call.
pub(crate) fn check(module: &Module, abi: AbiVersion) -> Result<(), LoadError> {
    let names: Vec<String> = SIGNATURES.iter().filter_map(|wanted| mismatch(module, abi, *wanted)).collect();
    if names.is_empty() { Ok(()) } else { Err(LoadError::WrongExports { names }) }
}

fn mismatch(
    module: &Module,
    abi: AbiVersion,
    (name, params, results): (&str, usize, usize),
) -> Option<String> {
    let old = abi == AbiVersion::V0_1_0 && name.ends_with("_headers");
    let params = if old { params - 1 } else { params };
    let export = module.get_export(name)?;
    match export.func() {
        Some(func) if all_i32(func, params, results) => None,
        Some(func) => Some(format!("{name}: is {}, the host calls {}", show(func), wanted(params, results))),
        None => Some(format!("{name}: is not a function")),
    }
}

fn all_i32(func: &FuncType, params: usize, results: usize) -> bool {
    let i32s = |mut types: Box<dyn Iterator<Item = ValType> + '_>| types.all(|ty| matches!(ty, ValType::I32));
    func.params().len() == params
        && func.results().len() == results
        && i32s(Box::new(func.params()))
        && i32s(Box::new(func.results()))
}

fn wanted(params: usize, results: usize) -> String {
    format!("({}) -> ({})", vec!["i32"; params].join(", "), vec!["i32"; results].join(", "))
}

/// A signature as messages print it.
pub(crate) fn show(func: &FuncType) -> String {
    let list = |types: Vec<String>| types.join(", ");
    let params = list(func.params().map(|ty| ty.to_string()).collect());
    let results = list(func.results().map(|ty| ty.to_string()).collect());
    format!("({params}) -> ({results})")
}
