//! The imports, as they are.

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    pub fn proxy_log(level: u32, ptr: *const u8, len: usize) -> u32;
    pub fn proxy_get_log_level(level: *mut u32) -> u32;
    pub fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    pub fn proxy_set_tick_period_milliseconds(ms: u32) -> u32;
    pub fn proxy_set_effective_context(context: u32) -> u32;
    pub fn proxy_done() -> u32;
    pub fn proxy_get_property(path: *const u8, len: usize, ptr: *mut *mut u8, n: *mut usize) -> u32;
    pub fn proxy_set_property(path: *const u8, len: usize, value: *const u8, n: usize) -> u32;
    pub fn proxy_get_header_map_pairs(map: u32, ptr: *mut *mut u8, n: *mut usize) -> u32;
    pub fn proxy_set_header_map_pairs(map: u32, ptr: *const u8, n: usize) -> u32;
    pub fn proxy_get_header_map_value(
        map: u32,
        k: *const u8,
        kn: usize,
        ptr: *mut *mut u8,
        n: *mut usize,
    ) -> u32;
    pub fn proxy_add_header_map_value(map: u32, k: *const u8, kn: usize, v: *const u8, n: usize) -> u32;
    pub fn proxy_replace_header_map_value(map: u32, k: *const u8, kn: usize, v: *const u8, n: usize) -> u32;
    pub fn proxy_remove_header_map_value(map: u32, k: *const u8, kn: usize) -> u32;
    pub fn proxy_get_header_map_size(map: u32, n: *mut usize) -> u32;
    pub fn proxy_get_buffer_bytes(buffer: u32, start: u32, max: u32, ptr: *mut *mut u8, n: *mut usize)
    -> u32;
    pub fn proxy_set_buffer_bytes(buffer: u32, start: u32, size: u32, ptr: *const u8, n: usize) -> u32;
    pub fn proxy_get_buffer_status(buffer: u32, n: *mut usize, flags: *mut u32) -> u32;
    pub fn proxy_continue_stream(stream: u32) -> u32;
    pub fn proxy_close_stream(stream: u32) -> u32;
    pub fn proxy_send_local_response(
        code: u32,
        details: *const u8,
        dn: usize,
        body: *const u8,
        bn: usize,
        headers: *const u8,
        hn: usize,
        grpc: i32,
    ) -> u32;
    pub fn proxy_http_call(
        upstream: *const u8,
        un: usize,
        headers: *const u8,
        hn: usize,
        body: *const u8,
        bn: usize,
        trailers: *const u8,
        tn: usize,
        ms: u32,
        token: *mut u32,
    ) -> u32;
    pub fn proxy_grpc_call(
        upstream: *const u8,
        un: usize,
        service: *const u8,
        sn: usize,
        method: *const u8,
        mn: usize,
        metadata: *const u8,
        dn: usize,
        message: *const u8,
        n: usize,
        ms: u32,
        token: *mut u32,
    ) -> u32;
    pub fn proxy_grpc_stream(
        upstream: *const u8,
        un: usize,
        service: *const u8,
        sn: usize,
        method: *const u8,
        mn: usize,
        metadata: *const u8,
        dn: usize,
        token: *mut u32,
    ) -> u32;
    pub fn proxy_grpc_send(token: u32, message: *const u8, n: usize, eos: u32) -> u32;
    pub fn proxy_grpc_cancel(token: u32) -> u32;
    pub fn proxy_grpc_close(token: u32) -> u32;
    pub fn proxy_get_status(code: *mut u32, ptr: *mut *mut u8, n: *mut usize) -> u32;
    pub fn proxy_get_shared_data(
        k: *const u8,
        kn: usize,
        ptr: *mut *mut u8,
        n: *mut usize,
        cas: *mut u32,
    ) -> u32;
    pub fn proxy_set_shared_data(k: *const u8, kn: usize, v: *const u8, n: usize, cas: u32) -> u32;
    pub fn proxy_register_shared_queue(name: *const u8, n: usize, queue: *mut u32) -> u32;
    pub fn proxy_resolve_shared_queue(
        vm: *const u8,
        vn: usize,
        name: *const u8,
        n: usize,
        queue: *mut u32,
    ) -> u32;
    pub fn proxy_enqueue_shared_queue(queue: u32, ptr: *const u8, n: usize) -> u32;
    pub fn proxy_dequeue_shared_queue(queue: u32, ptr: *mut *mut u8, n: *mut usize) -> u32;
    pub fn proxy_define_metric(kind: u32, name: *const u8, n: usize, id: *mut u32) -> u32;
    pub fn proxy_increment_metric(id: u32, by: i64) -> u32;
    pub fn proxy_record_metric(id: u32, value: u64) -> u32;
    pub fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    pub fn proxy_call_foreign_function(
        name: *const u8,
        nn: usize,
        args: *const u8,
        an: usize,
        ptr: *mut *mut u8,
        n: *mut usize,
    ) -> u32;
    pub fn envoy_resolve_dns(name: *const u8, n: usize, token: *mut u32) -> u32;
}
