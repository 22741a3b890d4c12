//! Which route a request belongs to.
//!
//! There is one path: [`normalise`] makes it, and the route table, the policy, the metric labels and the upstream all see
//! that one. What two readers could read differently has no normal form and is refused.

mod host;
mod path;
mod table;
mod template;

pub use host::HostPattern;
pub use path::{EscapedSlashes, NormalPath, PathError, normalise, normalise_with};
pub use table::{HostRoute, RouteSpec, RouteTable, VirtualHost};
pub use template::{Segment, Template};
