//! CEL: `expr_create`, `expr_evaluate`, `expr_delete`. Expressions belong to the root context of whoever was called, and are
//! evaluated for the context that was called.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use cel::objects::Key;
use cel::{Context, Program, Value};

use crate::host::{Guest, HostResult};
use crate::property::{self, Typed};
use crate::vm::VmData;
use crate::{Status, pairs};

/// Expressions of a root context, by token. Tokens count from 0.
#[derive(Debug, Default)]
pub(crate) struct Expressions {
    next: u32,
    programs: BTreeMap<u32, Rc<Program>>,
}

/// Brackets within brackets, at most. Envoy takes 250; the parser here needs the longer for each, the more there are.
const MOST_NESTED: usize = 32;

/// What an expression may call beside operators and macros, as Envoy's parser and its built-in functions have it.
const FUNCTIONS: [&str; 30] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "dyn",
    "type",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDayOfYear",
    "getDayOfMonth",
    "getDate",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "has",
    "all",
    "exists",
    "map",
    "filter",
];

pub(super) fn create(guest: &mut Guest, source: &[u8]) -> HostResult<Vec<u8>> {
    let source = std::str::from_utf8(source).map_err(|_| Status::BadArgument)?;
    if nesting(source) > MOST_NESTED {
        return Err(Status::BadArgument.into());
    }
    let program = Program::compile(source).map_err(|_| Status::BadArgument)?;
    if !program.references().functions().iter().all(|name| is_function(name)) {
        return Err(Status::BadArgument.into());
    }
    let own = of_root(guest.data_mut());
    let token = own.next;
    own.next += 1;
    own.programs.insert(token, Rc::new(program));
    Ok(token.to_le_bytes().to_vec())
}

/// How deep brackets stand in each other.
fn nesting(source: &str) -> usize {
    let (mut depth, mut most) = (0_usize, 0);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// Operators have names that no expression can call.
fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name) || !name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

pub(super) fn evaluate(guest: &mut Guest, token: &[u8]) -> HostResult<Vec<u8>> {
    let token = number(token)?;
    let data = guest.data_mut();
    let program = of_root(data).programs.get(&token).cloned().ok_or(Status::NotFound)?;
    let mut context = Context::default();
    for name in program.references().variables() {
        if let Some(value) = variable(data, name) {
            context.add_variable_from_value(name, value);
        }
    }
    let value = program.execute(&context).map_err(|_| Status::InternalFailure)?;
    Ok(serialize(&value)?)
}

/// An expression that is not there is deleted, too.
pub(super) fn delete(guest: &mut Guest, token: &[u8]) -> HostResult<Vec<u8>> {
    let token = number(token)?;
    of_root(guest.data_mut()).programs.remove(&token);
    Ok(Vec::new())
}

/// Expressions are known by a number of four bytes.
fn number(token: &[u8]) -> Result<u32, Status> {
    token.try_into().map(u32::from_le_bytes).map_err(|_| Status::BadArgument)
}

/// Whichever context is the effective one, that of the root that was called counts.
fn of_root(data: &mut VmData) -> &mut Expressions {
    let root = data.contexts.get(&data.current).map_or(0, |context| context.parent);
    let root = if root == 0 { data.current } else { root };
    data.expressions.entry(root).or_default()
}

/// What an expression finds under a name; `None` if there is nothing, which makes it fail.
fn variable(data: &mut VmData, name: &str) -> Option<Value> {
    let now = data.process.clock.get().mono;
    let vm_id = data.settings.vm_id.clone();
    let context = data.contexts.get(&data.current)?;
    match name {
        "plugin_name" => return Some(context.plugin.name.clone().into()),
        "plugin_root_id" => return Some(context.plugin.root_id.clone().into()),
        "plugin_vm_id" => return Some(vm_id.into()),
        _ => {}
    }
    let stream = context.stream.as_ref()?.borrow();
    if let Some(fields) = property::fields(&stream, context.view, now, name) {
        return Some(map(fields.into_iter().map(|(name, value)| (name.to_owned(), typed(value)))));
    }
    let found = property::of_stream(&stream, context.view, now, &[name.as_bytes()]).ok()?;
    Some(typed(Typed::Plain(found)))
}

fn map(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let entries: HashMap<Key, Value> = entries.map(|(name, value)| (Key::from(name), value)).collect();
    Value::Map(entries.into())
}

fn typed(value: Typed) -> Value {
    match value {
        Typed::Duration(nanos) => Value::Duration(chrono::Duration::nanoseconds(nanos)),
        Typed::Timestamp(nanos) => Value::Timestamp(chrono::DateTime::from_timestamp_nanos(nanos).into()),
        Typed::Text(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        Typed::Plain(property::Value::Bytes(bytes)) => bytes.into(),
        Typed::Plain(property::Value::Integer(number)) => number.into(),
        Typed::Plain(property::Value::Bool(flag)) => flag.into(),
        Typed::Plain(property::Value::Map(pairs)) => {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            map(pairs.into_iter().map(|(name, value)| (text(name), text(value).into())))
        }
        Typed::Plain(_) => map(std::iter::empty()),
    }
}

/// As properties are serialized: integers in eight bytes, maps and lists as pairs.
fn serialize(value: &Value) -> Result<Vec<u8>, Status> {
    Ok(match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Bytes(bytes) => bytes.to_vec(),
        Value::Int(number) => number.to_le_bytes().to_vec(),
        Value::UInt(number) => number.to_le_bytes().to_vec(),
        Value::Float(number) => number.to_le_bytes().to_vec(),
        Value::Bool(flag) => vec![u8::from(*flag)],
        Value::Duration(duration) => nanos(duration.num_nanoseconds())?,
        Value::Timestamp(instant) => nanos(instant.timestamp_nanos_opt())?,
        Value::Map(entries) => {
            let pair = |(key, value): (&Key, &Value)| Ok((serialize(&Value::from(key))?, serialize(value)?));
            let mut all = entries.map.iter().map(pair).collect::<Result<Vec<_>, Status>>()?;
            all.sort();
            pairs::serialize(all.iter().map(|(name, value)| (name.as_slice(), value.as_slice())))
        }
        Value::List(values) => {
            let all = values.iter().map(serialize).collect::<Result<Vec<_>, Status>>()?;
            pairs::serialize(all.iter().map(|value| (value.as_slice(), &[][..])))
        }
        _ => return Err(Status::SerializationFailure),
    })
}

fn nanos(number: Option<i64>) -> Result<Vec<u8>, Status> {
    number.map(|number| number.to_le_bytes().to_vec()).ok_or(Status::SerializationFailure)
}
