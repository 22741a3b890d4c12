//! The rows of a block of places in shared data, as bytes.

/// Bytes of a row.
pub(crate) const ROW: usize = 16;

/// How many requests of one key one worker has under way.
pub(crate) struct Row {
    pub print: u64,
    pub worker: u32,
    pub count: u32,
}

/// The rows of a block.
pub(crate) fn rows(block: &[u8]) -> Vec<Row> {
    let row = |bytes: &[u8]| {
        let (print, rest) = bytes.split_first_chunk()?;
        let (worker, count) = rest.split_first_chunk()?;
        let count = u32::from_le_bytes(count.try_into().ok()?);
        Some(Row { print: u64::from_le_bytes(*print), worker: u32::from_le_bytes(*worker), count })
    };
    block.chunks_exact(ROW).filter_map(row).collect()
}

/// A block of rows.
pub(crate) fn written(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len().saturating_mul(ROW));
    for row in rows {
        bytes.extend(row.print.to_le_bytes());
        bytes.extend(row.worker.to_le_bytes());
        bytes.extend(row.count.to_le_bytes());
    }
    bytes
}
