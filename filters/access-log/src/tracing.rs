//! The section `tracing`, and the trace that a request belongs to (W3C Trace Context).

use crate::line::Trace;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node, PolicyDuration};
use schemars::JsonSchema;

/// The header of a trace context.
pub const TRACEPARENT: &str = "traceparent";
/// What vendors add to it; nothing without a [`TRACEPARENT`].
pub const TRACESTATE: &str = "tracestate";

/// `tracing`: requests belong to traces (W3C Trace Context), which their log lines name. Left out, trace headers pass as they are.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawTracing {
    /// Whether a client's trace is continued (default true). `false`: every request begins a trace, whatever its client says.
    #[deserr(default = true)]
    #[schemars(default = "yes")]
    pub continues: bool,
    /// The cluster of an OpenTelemetry collector (OTLP over gRPC, port 4317), a name under `clusters`: the proxy sends it
    /// a span for each request. Left out, no spans are sent. Used by `portcullis render`.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "String")]
    pub collector: Option<String>,
    /// Percent of traces whose spans are sent (default 100); the same of a trace in every gateway. Used by `portcullis render`.
    #[deserr(default = 100.0)]
    #[schemars(default = "hundred", range(min = 0, max = 100))]
    pub percent: f64,
    /// How long the collector may take (default `250ms`). Used by `portcullis render`.
    #[deserr(default = quarter_second())]
    #[schemars(default = "quarter_second")]
    pub timeout: PolicyDuration,
}

fn yes() -> bool {
    true
}

fn hundred() -> f64 {
    100.0
}

fn quarter_second() -> PolicyDuration {
    PolicyDuration::millis(250)
}

/// The section, compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// Whether a client's trace is continued.
    pub continues: bool,
    /// The collector's cluster.
    pub collector: Option<String>,
    /// Percent of traces whose spans are sent.
    pub percent: f64,
    /// How long the collector may take.
    pub timeout: core::time::Duration,
}

impl RawTracing {
    /// Checks the section, which stands at `at`; `clusters` are the names that may be one's.
    ///
    /// # Errors
    /// Every mistake.
    pub fn compile(&self, at: &Node, clusters: &[&str]) -> Result<Tracing, Vec<ConfigError>> {
        let mut errors = Vec::new();
        if !(0.0..=100.0).contains(&self.percent) {
            errors.push(at.key("percent").error(format!("`{}`", self.percent), "a number from 0 to 100"));
        }
        let (shortest, longest) = (PolicyDuration::millis(1), PolicyDuration::secs(60));
        errors.extend(self.timeout.outside(shortest, longest, &at.key("timeout")));
        if let Some(name) = self.collector.as_ref().filter(|name| !clusters.contains(&name.as_str())) {
            let error =
                at.key("collector").error(format!("`{}`", name.escape_debug()), "a name from `clusters`");
            errors.push(error.near(name, clusters.iter().copied()));
        }
        let compiled = Tracing {
            continues: self.continues,
            collector: self.collector.clone(),
            percent: self.percent,
            timeout: self.timeout.0,
        };
        if errors.is_empty() { Ok(compiled) } else { Err(errors) }
    }
}

/// The ids of a trace and of the span that is nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 and 16 hexadecimal digits.
    ids: [u8; 48],
    sampled: bool,
}

/// Digits of a trace's id.
const TRACE: usize = 32;

impl TraceContext {
    /// Reads a `traceparent`: version, trace, span and flags, each with a `-` behind it (W3C Trace Context, section 3.2). Versions to
    /// come may have more behind the flags.
    #[must_use]
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (version, rest) = header.split_first_chunk::<3>()?;
        let (trace, rest) = rest.split_first_chunk::<33>()?;
        let (span, flags) = rest.split_first_chunk::<17>()?;
        let (flags, more) = flags.split_first_chunk::<2>()?;
        let (trace, span) = (trace.strip_suffix(b"-")?, span.strip_suffix(b"-")?);
        let version = version.strip_suffix(b"-")?;
        let is_whole = more.is_empty() || (version != b"00" && more.starts_with(b"-"));
        let is_hex = |digits: &[u8]| digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_id = |digits: &[u8]| is_hex(digits) && digits.iter().any(|b| *b != b'0');
        let is_good = is_whole && version != b"ff" && is_hex(version) && is_hex(flags);
        (is_good && is_id(trace) && is_id(span)).then_some(())?;
        let mut ids = [0_u8; 48];
        let (own_trace, own_span) = ids.split_at_mut(TRACE);
        own_trace.copy_from_slice(trace);
        own_span.copy_from_slice(span);
        let low = flags.last().copied().unwrap_or(b'0');
        Some(Self { ids, sampled: !matches!(low, b'0' | b'2' | b'4' | b'6' | b'8' | b'a' | b'c' | b'e') })
    }

    /// A new trace, from random bytes.
    #[must_use]
    pub fn begin(trace: [u8; 16], span: [u8; 8]) -> Self {
        // All zeros is no id; random bytes are zeros once in 2^64 spans, and then this bit is set.
        let trace = u128::from_be_bytes(trace) | u128::from(trace == [0; 16]);
        let span = u64::from_be_bytes(span) | u64::from(span == [0; 8]);
        let text = format!("{trace:032x}{span:016x}");
        let mut ids = [b'0'; 48];
        ids.iter_mut().zip(text.bytes()).for_each(|(place, digit)| *place = digit);
        Self { ids, sampled: true }
    }

    /// The ids, as lines show them.
    #[must_use]
    pub fn shown(&self) -> Trace<'_> {
        let (trace, span) = self.ids.split_at(TRACE);
        let text = |digits| core::str::from_utf8(digits).unwrap_or_default();
        Trace { trace_id: text(trace), span_id: text(span) }
    }

    /// Whether whoever began it wants its spans kept.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The header's value.
    #[must_use]
    pub fn header(&self) -> String {
        let Trace { trace_id, span_id } = self.shown();
        let flags = if self.sampled { "01" } else { "00" };
        ["00-", trace_id, "-", span_id, "-", flags].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_is_read_and_written_as_the_specification_says() {
        let context = TraceContext::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(context.header(), GOOD);
        assert_eq!(
            context.shown(),
            Trace { trace_id: "0af7651916cd43dd8448eb211c80319c", span_id: "b7ad6b7169203331" }
        );
        let unsampled = GOOD.replace("-01", "-00");
        assert_eq!(TraceContext::parse(unsampled.as_bytes()).unwrap().header(), unsampled);
        // A version to come, with a field more; flags that nobody knows.
        assert!(TraceContext::parse(GOOD.replace("00-", "cc-").as_bytes()).is_some());
        assert!(
            TraceContext::parse(GOOD.replace("00-0", "cc-0").replace("-01", "-01-what").as_bytes()).is_some()
        );
        assert_eq!(TraceContext::parse(GOOD.replace("-01", "-ff").as_bytes()).unwrap().header(), GOOD);
    }

    #[test]
    fn whether_spans_are_wanted_is_the_lowest_bit_of_the_flags() {
        for (flags, expected) in [("-00", false), ("-01", true), ("-02", false), ("-0b", true)] {
            let context = TraceContext::parse(GOOD.replace("-01", flags).as_bytes()).unwrap();
            assert_eq!(context.is_sampled(), expected, "{flags}");
        }
        assert!(TraceContext::begin([1; 16], [1; 8]).is_sampled());
    }

    fn compile(section: serde_json::Value) -> Result<Tracing, Vec<String>> {
        let raw: RawTracing = deserr::deserialize::<_, _, ConfigErrors>(section).unwrap();
        raw.compile(&Node::top().key("tracing"), &["spans"])
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_collector_is_one_of_the_clusters_and_a_share_is_at_most_all() {
        assert_eq!(
            compile(serde_json::json!({ "collector": "spans" })).unwrap().collector.as_deref(),
            Some("spans")
        );
        assert_eq!(
            compile(serde_json::json!({ "collector": "span", "percent": 101 })).unwrap_err(),
            [
                "tracing.percent: found `101`, expected a number from 0 to 100",
                "tracing.collector: found `span`, expected a name from `clusters`; did you mean `spans`?",
            ]
        );
    }

    #[test]
    fn what_is_no_context_is_none() {
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        ] {
            assert_eq!(TraceContext::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(TraceContext::parse(&[0xff; 55]), None);
    }

    #[test]
    fn a_trace_that_begins_here_has_ids_that_are_no_zeros() {
        for random in [0_u8, 7, 0xff] {
            let context = TraceContext::begin([random; 16], [random; 8]);
            assert_eq!(TraceContext::parse(context.header().as_bytes()), Some(context));
        }
        // Odd numbers stay as they are.
        let context = TraceContext::begin([1; 16], [1; 8]);
        assert_eq!(context.shown(), Trace { trace_id: &"01".repeat(16), span_id: &"01".repeat(8) });
    }
}
