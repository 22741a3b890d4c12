//! The few protobuf messages that the ABI hides in its byte strings: reading and writing of single fields.

/// A field: its number, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Varint(u64, u64),
    Bytes(u64, &'a [u8]),
    Other,
}

/// All fields of a message; `None` if it is not one.
pub(crate) fn fields(mut message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let number = tag >> 3;
        if number == 0 {
            return None;
        }
        fields.push(match tag & 7 {
            0 => Field::Varint(number, varint(&mut message)?),
            1 => take(&mut message, 8).map(|_| Field::Other)?,
            2 => {
                let len = usize::try_from(varint(&mut message)?).ok()?;
                Field::Bytes(number, take(&mut message, len)?)
            }
            5 => take(&mut message, 4).map(|_| Field::Other)?,
            _ => return None,
        });
    }
    Some(fields)
}

/// The last bytes under a number, empty if there are none.
pub(crate) fn bytes<'a>(fields: &[Field<'a>], number: u64) -> &'a [u8] {
    let found = fields.iter().rev().find_map(|field| match field {
        Field::Bytes(n, bytes) if *n == number => Some(*bytes),
        _ => None,
    });
    found.unwrap_or_default()
}

/// The last integer under a number, zero if there is none.
pub(crate) fn integer(fields: &[Field<'_>], number: u64) -> u64 {
    let found = fields.iter().rev().find_map(|field| match field {
        Field::Varint(n, value) if *n == number => Some(*value),
        _ => None,
    });
    found.unwrap_or(0)
}

/// Appends bytes, unless there are none.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_varint(out, number << 3 | 2);
        put_varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

/// Appends an integer, unless it is zero.
pub(crate) fn put_integer(out: &mut Vec<u8>, number: u64, value: u64) {
    if value != 0 {
        put_varint(out, number << 3);
        put_varint(out, value);
    }
}

/// Appends a message or a text, an empty one too.
pub(crate) fn put_message(out: &mut Vec<u8>, number: u64, message: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, message.len() as u64);
    out.extend_from_slice(message);
}

/// Appends an integer, zero too.
pub(crate) fn put_varint_field(out: &mut Vec<u8>, number: u64, value: u64) {
    put_varint(out, number << 3);
    put_varint(out, value);
}

/// Appends a flag.
pub(crate) fn put_bool(out: &mut Vec<u8>, number: u64, flag: bool) {
    put_varint_field(out, number, u64::from(flag));
}

/// Appends a number of 64 bits.
pub(crate) fn put_double(out: &mut Vec<u8>, number: u64, value: f64) {
    put_varint(out, number << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// `envoy_grpc.cluster_name` of an `envoy.config.core.v3.GrpcService`.
pub(crate) fn envoy_grpc_cluster(service: &[u8]) -> Option<String> {
    let outer = fields(service)?;
    let inner = fields(bytes(&outer, 1))?;
    let name = bytes(&inner, 1);
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(message: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, rest) = message.split_at_checked(len)?;
    *message = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_again() {
        let mut message = Vec::new();
        put_integer(&mut message, 1, 300);
        put_bytes(&mut message, 2, b"hello");
        let fields = fields(&message).unwrap();
        assert_eq!((integer(&fields, 1), bytes(&fields, 2)), (300, &b"hello"[..]));
    }

    #[test]
    fn a_truncated_message_is_none() {
        assert_eq!(fields(b"\x12\x05hell"), None);
        assert_eq!(fields(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn a_plain_cluster_name_is_not_taken_for_a_message() {
        assert_eq!(envoy_grpc_cluster(b"grpc-backend"), None);
        assert_eq!(envoy_grpc_cluster(b"\x0a\x03\x0a\x01x"), Some("x".into()));
    }
}
