//! Which route a request belongs to.
//!
//! There is one path: [`normalise`] makes it, and the route table, the policy, the metric labels and the upstream all see
//! that one. What two readers could read differently has no normal form and is refused.

mod path;
mod table;
mod template;

pub use path::{NormalPath, PathError, normalise};
pub use table::{RouteSpec, RouteTable};
pub use template::{Segment, Template};
