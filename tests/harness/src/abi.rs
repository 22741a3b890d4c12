//! The numbers of the proxy-wasm ABI: statuses, maps, buffers, streams, metrics, levels, actions.

use std::fmt;

/// ABI version that a module declares by exporting `proxy_abi_version_0_x_y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AbiVersion {
    /// 0.1.0
    V0_1_0,
    /// 0.2.0
    V0_2_0,
    /// 0.2.1
    V0_2_1,
}

impl AbiVersion {
    /// Every version that the harness serves, oldest first.
    pub const ALL: [AbiVersion; 3] = [AbiVersion::V0_1_0, AbiVersion::V0_2_0, AbiVersion::V0_2_1];

    /// The name of the export which declares the version.
    pub fn marker(self) -> &'static str {
        match self {
            AbiVersion::V0_1_0 => "proxy_abi_version_0_1_0",
            AbiVersion::V0_2_0 => "proxy_abi_version_0_2_0",
            AbiVersion::V0_2_1 => "proxy_abi_version_0_2_1",
        }
    }
}

impl fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AbiVersion::V0_1_0 => "0.1.0",
            AbiVersion::V0_2_0 => "0.2.0",
            AbiVersion::V0_2_1 => "0.2.1",
        })
    }
}

macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name { $($(#[$vdoc])* $variant = $value,)* }

        impl $name {
            /// The variant with this number, if there is one.
            pub fn from_u32(number: u32) -> Option<Self> {
                match number { $($value => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

numbers! {
    /// What a host call returns.
    Status {
        /// Done.
        Ok = 0,
        /// No such key, id or function.
        NotFound = 1,
        /// An argument that makes no sense here.
        BadArgument = 2,
        /// The value has no serialized form.
        SerializationFailure = 3,
        /// The value could not be parsed.
        ParseFailure = 4,
        /// A pointer or length outside the guest's memory.
        InvalidMemoryAccess = 6,
        /// The queue is empty.
        Empty = 7,
        /// The compare-and-swap number is stale.
        CasMismatch = 8,
        /// The host could not do it.
        InternalFailure = 10,
        /// The connection broke.
        BrokenConnection = 11,
        /// Envoy has no such thing.
        Unimplemented = 12,
    }
}

numbers! {
    /// Header and trailer maps.
    MapType {
        /// Request headers.
        RequestHeaders = 0,
        /// Request trailers.
        RequestTrailers = 1,
        /// Response headers.
        ResponseHeaders = 2,
        /// Response trailers.
        ResponseTrailers = 3,
        /// Initial metadata of a gRPC callout.
        GrpcInitialMetadata = 4,
        /// Trailing metadata of a gRPC callout.
        GrpcTrailingMetadata = 5,
        /// Headers of an HTTP callout's response.
        CalloutHeaders = 6,
        /// Trailers of an HTTP callout's response.
        CalloutTrailers = 7,
    }
}

numbers! {
    /// Buffers.
    BufferType {
        /// Request body.
        RequestBody = 0,
        /// Response body.
        ResponseBody = 1,
        /// Bytes from a TCP client.
        DownstreamData = 2,
        /// Bytes from a TCP upstream.
        UpstreamData = 3,
        /// Body of an HTTP callout's response.
        CalloutBody = 4,
        /// Message of a gRPC callout.
        GrpcMessage = 5,
        /// VM configuration.
        VmConfiguration = 6,
        /// Plugin configuration.
        PluginConfiguration = 7,
        /// Arguments of `proxy_on_foreign_function`.
        CallData = 8,
    }
}

numbers! {
    /// Streams of `proxy_continue_stream` and `proxy_close_stream`.
    StreamType {
        /// HTTP request.
        Request = 0,
        /// HTTP response.
        Response = 1,
        /// TCP client.
        Downstream = 2,
        /// TCP upstream.
        Upstream = 3,
    }
}

numbers! {
    /// Metric types.
    MetricType {
        /// Only ever grows.
        Counter = 0,
        /// Goes up and down.
        Gauge = 1,
        /// Takes samples.
        Histogram = 2,
    }
}

numbers! {
    /// Log levels.
    LogLevel {
        /// Trace.
        Trace = 0,
        /// Debug.
        Debug = 1,
        /// Info.
        Info = 2,
        /// Warn.
        Warn = 3,
        /// Error.
        Error = 4,
        /// Critical.
        Critical = 5,
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::Critical => "critical",
        })
    }
}
