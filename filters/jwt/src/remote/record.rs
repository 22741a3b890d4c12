//! What workers tell each other about fetched documents, as bytes in shared data: fixed fields, little-endian.

use portcullis_edge_core::Mono;

/// The small record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Of the policy that it was written under; under another it means nothing.
    pub(crate) fingerprint: u64,
    /// Who holds the lease holds it until then.
    pub(crate) lease_until: Mono,
    /// When a fetch was last started; 0 for never.
    pub(crate) attempted: Mono,
    /// When the next one is due.
    pub(crate) next: Mono,
    /// Failures since the last success.
    pub(crate) failures: u32,
    /// Counts the documents.
    pub(crate) generation: u32,
}

const STATUS_BYTES: usize = 40;
const DOCUMENT_HEADER: usize = 16;

impl Status {
    pub(crate) fn new(fingerprint: u64) -> Self {
        let never = Mono(0);
        Self { fingerprint, lease_until: never, attempted: never, next: never, failures: 0, generation: 0 }
    }

    pub(crate) fn tried(&self) -> bool {
        self.attempted != Mono(0)
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(STATUS_BYTES);
        for field in [self.fingerprint, self.lease_until.0, self.attempted.0, self.next.0] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.failures, self.generation] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != STATUS_BYTES {
            return None;
        }
        let u32_at =
            |at: usize| Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
        Some(Self {
            fingerprint: u64_at(bytes, 0)?,
            lease_until: Mono(u64_at(bytes, 8)?),
            attempted: Mono(u64_at(bytes, 16)?),
            next: Mono(u64_at(bytes, 24)?),
            failures: u32_at(32)?,
            generation: u32_at(36)?,
        })
    }
}

/// The record with the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DocumentRecord<'b> {
    pub(crate) fingerprint: u64,
    pub(crate) fetched: Mono,
    /// The document as it came.
    pub(crate) body: &'b [u8],
}

impl<'b> DocumentRecord<'b> {
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(DOCUMENT_HEADER.saturating_add(self.body.len()));
        for field in [self.fingerprint, self.fetched.0] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(self.body);
        out
    }

    pub(crate) fn read(bytes: &'b [u8]) -> Option<Self> {
        Some(Self {
            fingerprint: u64_at(bytes, 0)?,
            fetched: Mono(u64_at(bytes, 8)?),
            body: bytes.get(DOCUMENT_HEADER..)?,
        })
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn records_read_back_and_what_is_cut_is_none() {
        let status = Status {
            fingerprint: 1,
            lease_until: Mono(2),
            attempted: Mono(3),
            next: Mono(4),
            failures: 5,
            generation: 6,
        };
        let bytes = status.write();
        assert_eq!(Status::read(&bytes), Some(status));
        assert!(status.tried() && !Status::new(1).tried());
        for end in 0..bytes.len() {
            assert_eq!(Status::read(&bytes[..end]), None, "cut at {end}");
        }
        let document = DocumentRecord { fingerprint: 1, fetched: Mono(2), body: b"{}" };
        let bytes = document.write();
        assert_eq!(DocumentRecord::read(&bytes), Some(document));
        for end in 0..DOCUMENT_HEADER {
            assert_eq!(DocumentRecord::read(&bytes[..end]), None, "cut at {end}");
        }
    }
}
