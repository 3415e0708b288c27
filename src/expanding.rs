//! What compressed requests expand to: charged while they do, and cut where that is too much.

use bytes::Bytes;

use crate::admission::Lease;
use crate::compression::{Compression, DecompressError};
use crate::compute;
use crate::refusal::Refusal;

/// Expands `message` to at most `limit` bytes, which are charged to `lease`; what `too_large` says where there
/// are more.
pub async fn expand(
    compression: Compression,
    message: Bytes,
    limit: usize,
    mut lease: Lease,
    too_large: impl FnOnce() -> Refusal,
) -> Result<Bytes, Refusal> {
    let expand = move || {
        let expanded = compression.decompress(&message, limit, |bytes| lease.try_charge(bytes));
        expanded.map(|bytes| lease.hold(bytes))
    };
    let expanded = compute::run(expand).await;
    let expanded = expanded
        .map_err(|error| Refusal::fault(format!("decompression failed: {error}"), false))?;
    expanded.map_err(|error| match error {
        DecompressError::Malformed(error) => {
            Refusal::malformed(format!("the message is not sound {compression}: {error}"))
        }
        DecompressError::TooLarge => too_large(),
        DecompressError::WindowTooLarge => Refusal::too_costly(format!(
            "the message is {compression} with a window of more than 8 MiB; compress it with a smaller one"
        )),
        DecompressError::Refused(refusal) => refusal,
    })
}
