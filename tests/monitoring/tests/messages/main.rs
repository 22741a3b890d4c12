//! From an attack to the message that says so, and from a security event to its line in the log store: a real gateway, everything that
//! watches it as rendered, and servers that stand for Slack and for the mail. Time passes faster ([`portcullis_monitoring_tests::stack`]).

mod attacks;
mod audit;
mod lines;
#[path = "../../../../envoy/monitoring/tests/alertmanager/receivers.rs"]
mod receivers;
mod traces;
mod world;
