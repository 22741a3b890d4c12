//! Properties of the process itself.

use super::Value;
use crate::{Node, Status};

/// `xds.node`, which root contexts can read, too.
pub(crate) fn of_node(node: &Node, path: &[&[u8]]) -> Result<Value, Status> {
    let (first, rest) = match path {
        [] => return Ok(Value::Bytes(node.message())),
        [first, rest @ ..] => (*first, rest),
    };
    let value = match first {
        b"id" => Value::text(&node.id),
        b"cluster" => Value::text(&node.cluster),
        b"metadata" => match &node.metadata {
            serde_json::Value::Null => Value::Map(Vec::new()),
            metadata => Value::Json(metadata.clone()),
        },
        b"locality" => return node_locality(node, rest),
        b"user_agent_name" => Value::text("envoy"),
        b"user_agent_version" => Value::text(""),
        b"client_features" | b"listening_addresses" | b"dynamic_parameters" => Value::Map(Vec::new()),
        _ => return Err(Status::NotFound),
    };
    value.descend(rest)
}

fn node_locality(node: &Node, path: &[&[u8]]) -> Result<Value, Status> {
    let [region, zone, sub_zone] = &node.locality;
    match path {
        [] => Ok(Value::Bytes(node.locality())),
        [b"region"] => Ok(Value::text(region)),
        [b"zone"] => Ok(Value::text(zone)),
        [b"sub_zone"] => Ok(Value::text(sub_zone)),
        _ => Err(Status::NotFound),
    }
}
