//! The macros by which stages declare what they count.

/// Declares metric families, and the struct whose fields count in them.
///
/// ```
/// use portcullis_metrics::{Condition, Registry, Vocabulary, labels, metrics};
///
/// labels! {
///     /// what came of a check
///     pub enum Outcome { Passed = "passed", Refused = "refused" }
/// }
///
/// /// Ends the sentence "exists where".
/// static CHECKS: Condition = Condition("a route has a check");
///
/// metrics! {
///     /// What is counted of checks.
///     pub struct CheckMetrics {
///         /// Requests that were checked.
///         gateway_checks_total: Counter { status: Outcome },
///             when CHECKS, promql "sum by (status) (rate(gateway_checks_total[5m]))";
///         /// Time that checks took.
///         gateway_check_duration_seconds: Histogram {},
///             promql "rate(gateway_check_duration_seconds_sum[5m]) / rate(gateway_check_duration_seconds_count[5m])";
///     }
/// }
///
/// let mut vocabulary = Vocabulary::default();
/// vocabulary.allow(&CHECKS);
/// let mut registry = Registry::new();
/// let metrics = CheckMetrics::build(&mut registry, &vocabulary);
/// metrics.gateway_checks_total.inc(&mut registry, Outcome::Refused);
/// metrics.gateway_check_duration_seconds.observe(&mut registry, (), 250);
/// ```
///
/// - The doc comment is the family's HELP: one sentence.
/// - `Counter`, `Gauge`, or `Histogram`, which has the canonical buckets; `Histogram(BUCKETS)` has others, in microseconds.
/// - In braces, each label with the type that its value has ([`crate::Domain`]). Labels whose values depend on each other are one key:
///   `status/reason: Verdict`.
/// - `field named "{service}_requests_total": ...` gives the family another name than its field, and one of its labels a place in it.
/// - `when` names a [`crate::Condition`]; without one the family always exists.
/// - `promql` is a query for people to begin with. Documents show it, and a test runs it.
#[macro_export]
macro_rules! metrics {
    (
        $(#[$about:meta])*
        $vis:vis struct $group:ident {
            $(
                $(#[doc = $help:literal])+
                $field:ident $(named $name:literal)? : $kind:ident $(($buckets:expr))? {
                    $( $($label:ident)/+ : $domain:ty ),* $(,)?
                }, $(when $when:ident,)? promql $promql:literal;
            )*
        }
    ) => {
        $(#[$about])*
        #[allow(unused_parens, reason = "a family with one key needs none")]
        $vis struct $group {
            $( $(#[doc = $help])+ pub $field: $crate::$kind<($($domain),*)>, )*
        }

        #[allow(unused_parens, reason = "a family with one key needs none")]
        impl $group {
            /// The families, as declared.
            pub const FAMILIES: &'static [$crate::Family] = &[
                $( $crate::Family {
                    name: $crate::metrics!(@name $field $($name)?),
                    help: concat!($($help),+).trim_ascii(),
                    kind: $crate::metrics!(@kind $kind $(($buckets))?),
                    keys: &[ $( $crate::Key {
                        labels: &[$(stringify!($label)),+],
                        about: <$domain as $crate::Domain>::ABOUT,
                        axis: <$domain as $crate::Domain>::axis,
                        admits: <$domain as $crate::Domain>::admits,
                    } ),* ],
                    when: $crate::metrics!(@when $($when)?),
                    promql: $promql,
                } ),*
            ];

            /// Adds the families to a registry, with every series that the vocabulary makes possible.
            #[must_use]
            pub fn build(registry: &mut $crate::Registry, vocabulary: &$crate::Vocabulary) -> Self {
                let mut families = Self::FAMILIES.iter();
                Self { $( $field: <$crate::$kind<($($domain),*)>>::build(registry, families.next(), vocabulary) ),* }
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    (@kind Counter) => { $crate::Kind::Counter };
    (@kind Gauge) => { $crate::Kind::Gauge };
    (@kind Histogram) => { $crate::Kind::Histogram($crate::CANONICAL_BUCKETS) };
    (@kind Histogram ($buckets:expr)) => { $crate::Kind::Histogram($buckets) };
    (@when) => { None };
    (@when $when:ident) => { Some(&$when) };
}

/// Declares a label's values as an enum. The doc comment says, in a phrase, what they mean; documents show it with the values.
#[macro_export]
macro_rules! labels {
    (
        $(#[doc = $about:literal])+
        $vis:vis enum $label:ident { $( $(#[doc = $what:literal])* $variant:ident = $text:literal ),+ $(,)? }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $label { $( #[doc = concat!("`", $text, "`.")] $(#[doc = $what])* $variant ),+ }

        $crate::label_values! {
            $label, concat!($($about),+).trim_ascii(), [$( ($label::$variant, $text) ),+]
        }
    };
}

/// Makes an enum that stands already a label's type: the type, in a phrase what its values mean, and each value with its text.
#[macro_export]
macro_rules! label_values {
    ($label:ty, $about:expr, [$( ($value:expr, $text:expr) ),+ $(,)?]) => {
        impl $label {
            const VALUES: &'static [($label, &'static str)] = &[$( ($value, $text) ),+];
        }

        impl $crate::Domain for $label {
            type Value<'v> = Self;
            const ABOUT: &'static $crate::About = &$crate::About {
                what: $about,
                values: $crate::Values::Fixed(|| {
                    <$label>::VALUES.iter().map(|(_, text)| vec![::std::borrow::Cow::Borrowed(*text)]).collect()
                }),
            };

            fn axis(_: &$crate::Vocabulary) -> $crate::Axis {
                $crate::Axis::of(Self::VALUES.iter().map(|(_, text)| *text))
            }

            fn place(value: &Self, _: &$crate::Axis) -> Option<usize> {
                Self::VALUES.iter().position(|(known, _)| known == value)
            }
        }
    };
}

/// Declares labels whose values the policy defines; they are counted by their place in the order in which the policy's
/// [`crate::Vocabulary`] was given them. The doc comment says, in a phrase, what they mean.
#[macro_export]
macro_rules! policy_labels {
    ($( $(#[doc = $about:literal])+ $vis:vis struct $label:ident; )+) => { $(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis struct $label(pub usize);

        impl $crate::Domain for $label {
            type Value<'v> = Self;
            const ABOUT: &'static $crate::About =
                &$crate::About { what: concat!($($about),+).trim_ascii(), values: $crate::Values::Policy };

            fn axis(vocabulary: &$crate::Vocabulary) -> $crate::Axis {
                vocabulary.axis::<Self>()
            }

            fn place(value: &Self, _: &$crate::Axis) -> Option<usize> {
                Some(value.0)
            }
        }
    )+ };
}
