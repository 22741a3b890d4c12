//! The parts of a message, as the wire delivers them.

use crate::HeaderMap;
use crate::codec::Refusal;

/// One part of a message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Headers {
        headers: HeaderMap,
        end: bool,
    },
    Data {
        bytes: Vec<u8>,
        end: bool,
    },
    Trailers(HeaderMap),
    Reset,
    /// Envoy does not take what the client has sent.
    Refused(Box<Refusal>),
}

/// Takes the end off a message.
pub(crate) fn open_ended(mut parts: Vec<Part>) -> Vec<Part> {
    match parts.last_mut() {
        Some(Part::Headers { end, .. }) => *end = false,
        Some(Part::Data { bytes, .. }) if bytes.is_empty() => drop(parts.pop()),
        Some(Part::Data { end, .. }) => *end = false,
        _ => {}
    }
    parts
}

/// Cuts a message into the parts that the wire would deliver.
pub(crate) fn parts(
    headers: HeaderMap,
    chunks: Vec<Vec<u8>>,
    trailers: Option<HeaderMap>,
    ends_with_data: bool,
) -> Vec<Part> {
    let last = chunks.len();
    let no_more = trailers.is_none();
    let mut parts = vec![Part::Headers { headers, end: last == 0 && no_more }];
    for (i, bytes) in chunks.into_iter().enumerate() {
        parts.push(Part::Data { bytes, end: no_more && ends_with_data && i + 1 == last });
    }
    match trailers {
        Some(trailers) => parts.push(Part::Trailers(trailers)),
        None if last > 0 && !ends_with_data => parts.push(Part::Data { bytes: Vec::new(), end: true }),
        None => {}
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(ends_with_data: bool, trailers: Option<HeaderMap>) -> Vec<(usize, bool)> {
        parts(HeaderMap::new(), vec![b"ab".to_vec(), b"c".to_vec()], trailers, ends_with_data)
            .into_iter()
            .filter_map(|part| match part {
                Part::Data { bytes, end } => Some((bytes.len(), end)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn http1_ends_a_body_separately_and_http2_with_the_last_chunk() {
        assert_eq!(ends(false, None), [(2, false), (1, false), (0, true)]);
        assert_eq!(ends(true, None), [(2, false), (1, true)]);
    }

    #[test]
    fn with_trailers_no_chunk_ends_the_stream() {
        assert_eq!(ends(true, Some(HeaderMap::new())), [(2, false), (1, false)]);
    }
}
