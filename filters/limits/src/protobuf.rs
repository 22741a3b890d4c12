//! As much of protobuf's wire format as one request and its answer take.

/// A message being written.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub fn number(mut self, field: u32, value: u64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    pub fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(u64::try_from(value.len()).unwrap_or(0));
        self.0.extend_from_slice(value);
        self
    }

    pub fn message(self, field: u32, value: &Message) -> Self {
        self.bytes(field, &value.0)
    }

    pub fn done(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            if value == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }
}

/// A field of a message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a type that is not looked at.
    Other,
}

/// The fields of a message, by number; `None` if it is none.
pub(crate) fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => take(&mut bytes, 8).map(|_| Value::Other)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Value::Bytes(take(&mut bytes, length)?)
            }
            5 => take(&mut bytes, 4).map(|_| Value::Other)?,
            _ => return None,
        };
        fields.push((key >> 3, value));
    }
    Some(fields)
}

/// The last number of a field, which is the one that counts; 0 if there is none.
pub(crate) fn number(fields: &[(u64, Value<'_>)], field: u64) -> u64 {
    let of_field = fields.iter().rev().find(|(number, _)| *number == field);
    of_field.map_or(0, |(_, value)| if let Value::Number(number) = value { *number } else { 0 })
}

/// The messages of a field.
pub(crate) fn messages<'a>(fields: &[(u64, Value<'a>)], field: u64) -> impl Iterator<Item = &'a [u8]> {
    let of_field = fields.iter().filter(move |(number, _)| *number == field);
    of_field.filter_map(|(_, value)| if let Value::Bytes(bytes) = value { Some(*bytes) } else { None })
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(length)?;
    *bytes = tail;
    Some(head)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::default().number(1, u64::MAX).number(2, 0);
        let bytes = Message::default().bytes(1, b"ab").message(2, &inner).number(300, 300).done();
        let read = fields(&bytes).unwrap();
        assert_eq!((number(&read, 300), messages(&read, 1).next()), (300, Some(&b"ab"[..])));
        let inner = fields(messages(&read, 2).next().unwrap()).unwrap();
        assert_eq!((number(&inner, 1), number(&inner, 2), number(&inner, 9)), (u64::MAX, 0, 0));
    }

    #[test]
    fn bytes_as_protoc_writes_them() {
        // domain: "d", descriptors: [{ entries: [{ key: "k", value: "v" }] }]
        let entry = Message::default().bytes(1, b"k").bytes(2, b"v");
        let descriptor = Message::default().message(1, &entry);
        let bytes = Message::default().bytes(1, b"d").message(2, &descriptor).done();
        assert_eq!(bytes, b"\x0a\x01d\x12\x08\x0a\x06\x0a\x01k\x12\x01v");
    }

    #[test]
    fn what_is_no_message_is_none() {
        for bad in
            [&b"\x08"[..], b"\x0a\x05ab", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0b", b"\x09ab"]
        {
            assert_eq!(fields(bad), None, "{bad:?}");
        }
        assert_eq!(fields(b"\x09abcdefgh\x0dabcd").map(|fields| fields.len()), Some(2));
    }
}
