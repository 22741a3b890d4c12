//! A circuit breaker per service.
//!
//! Closed, calls pass and are counted. It opens after failures in a row, or when too large a share of a window's calls fails or is
//! slow; then none passes for a while. After that trials pass, so many at once; one that fails opens it again, enough that succeed
//! close it. The state is one for all workers of the process. A call that was let through is a value ([`Call`]) that is given back with
//! its outcome, whatever becomes of its stream; a trial that is never given back (its worker died) counts as lost after a time.
//!
//! A worker believes for a millisecond that a breaker is closed, without asking: that is what makes it cheap, and the longest time for
//! which a breaker opened by another worker is not seen. Trials are always asked for.
//!
//! Envoy's own outlier detection ejects single hosts of a service from load balancing; a breaker here stops calling the service as a
//! whole. Use the first where a service has several hosts of which one may be ill, this one for what all its hosts have in common (its
//! database, a bad release), and both together: outlier detection first takes out the host, and only what is left counts here.

mod breaker;
mod definition;
mod judge;
pub mod metrics;
mod section;
mod state;

pub use breaker::{
    Admitted, BREAKER_OPEN, BreakerState, Breakers, Call, Outcome, STALE, State, Transition, Why,
};
pub use section::{RawBreaker, RawShare, RawSlow};
