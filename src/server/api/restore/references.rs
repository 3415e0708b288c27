//! The references of a request, and the memory that they take.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use slimspan_artifact::{Digest, Location, memory_of_references, references};
use slimspan_proto::Signal;

use super::room::Room;
use super::{ROUNDED, size, work};
use crate::admission::Lease;
use crate::server::api::ApiError;

/// The most files that one may refer to. Each of them is looked for, also those that are not there.
const FILES: usize = 10_000;

/// What is kept of each file while it is looked for, and while the request waits for its turn.
const KEPT: usize = 256;

/// Those of a request, which may be there any number of times: each takes several times its length while it is
/// looked for, and again while it is put back.
pub(super) struct References {
    /// How often it refers to which artifacts.
    pub(super) files: BTreeMap<Digest, u64>,
    /// What they take again when they are put back.
    pub(super) memory: u64,
    /// What the files take until then.
    kept: Lease,
}

impl References {
    /// Finds them. Their memory is charged before, to who asks: this needs no turn.
    pub(super) async fn of(
        room: &Room,
        signal: Signal,
        slim: Bytes,
        location: Location,
    ) -> Result<Self, ApiError> {
        let (again, at) = (slim.clone(), location.clone());
        let memory = work((), move || memory_of_references(&again, &at)).await?;
        let taken = (slim.len() as u64).saturating_add(ROUNDED);
        if taken.saturating_add(memory as u64) > room.of_one {
            return Err(ApiError::Told(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "the references of the request take {memory} bytes of memory beside the {} bytes that it has, \
                     which is more than the {} bytes that one may have while it comes, a quarter of what \
                     memory_limiter.limit_mib leaves for requests: send fewer spans or records at once, or use \
                     slimspan restore",
                    slim.len(),
                    room.of_one
                ),
            ));
        }
        let mut lease = room.read();
        lease.charge_ahead(memory).await?;
        let found = work((), move || {
            let mut files = BTreeMap::new();
            let found = references(signal, &slim, &location, |digest| {
                // One more than may be shows that there are too many, however many there are.
                if files.len() <= FILES {
                    *files.entry(digest).or_default() += 1;
                }
            });
            // Who goes away meanwhile leaves work behind, which has its memory to the end.
            found.map(|()| (files, lease))
        });
        let (files, mut kept) = found
            .await?
            .map_err(|error| ApiError::bad(error.to_string()))?;
        if files.len() > FILES {
            return Err(ApiError::Told(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "the request refers to more than {FILES} files, of which each is looked for: send fewer spans or \
                     records at once, or use slimspan restore"
                ),
            ));
        }
        kept.settle(files.len().saturating_mul(KEPT));
        Ok(Self {
            files,
            memory: memory as u64,
            kept,
        })
    }

    /// What they take while they are put back, for who has the turn.
    pub(super) async fn charge(self, room: &Room) -> Result<Lease, ApiError> {
        drop(self.kept);
        let mut lease = room.fetched();
        lease.charge_ahead(size(self.memory)).await?;
        Ok(lease)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;
    use slimspan_proto::json::{Limits as OfJson, read};

    use super::super::Rooms;
    use super::*;
    use crate::admission::{Budget, Limits};

    const MIB: usize = 1 << 20;

    fn location() -> Location {
        Location::Public("https://files.example.com".to_owned())
    }

    /// A request that refers to one file so often.
    fn slim(times: usize) -> Bytes {
        let digest = Digest::of(b"file");
        let text = format!("https://files.example.com/artifacts/{digest}.png ").repeat(times);
        let slim = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{ "attributes": [{
            "key": "picture",
            "value": { "stringValue": text },
        }] }] }] }] });
        let slim = slim.to_string();
        let slim = read(Signal::Traces, slim.as_bytes(), OfJson::default()).unwrap();
        slim.request.into()
    }

    fn budget() -> Budget {
        Budget::new(Limits {
            limit_mib: 64,
            spike_mib: 0,
        })
    }

    #[tokio::test]
    async fn one_file_can_be_referred_to_so_often_that_it_takes_too_much() {
        let budget = budget();
        let room = Rooms::of(budget.clone()).one("a");
        let found = References::of(&room, Signal::Traces, slim(5_000), location()).await;
        let found = found.ok().unwrap();
        assert_eq!(found.files, [(Digest::of(b"file"), 5_000)].into());
        // One file is not much, and putting it back so often is.
        assert!(budget.in_flight() < 1 << 20, "{}", budget.in_flight());
        let lease = found.charge(&room).await.ok().unwrap();
        assert!(budget.in_flight() > 3 << 20, "{}", budget.in_flight());
        drop(lease);
        assert_eq!(budget.in_flight(), 0);

        // Of 16 MiB that one has this is a fifth.
        let many = slim(30_000);
        assert!(many.len() < 4 * MIB);
        let found = References::of(&room, Signal::Traces, many, location()).await;
        let refused = found.err().unwrap();
        let too_large = StatusCode::PAYLOAD_TOO_LARGE;
        let is_told = matches!(&refused, ApiError::Told(status, told) if *status == too_large
            && told.contains("memory_limiter.limit_mib") && told.contains("slimspan restore"));
        assert!(is_told, "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn while_there_is_no_memory_nothing_is_looked_for() {
        let budget = budget();
        let rooms = Rooms::of(budget.clone());
        let room = rooms.one("a");
        let mut other = rooms.one("a").read();
        other.charge_ahead(9 * MIB).await.unwrap();
        let found = References::of(&room, Signal::Traces, slim(5_000), location()).await;
        let refused = found.err().unwrap();
        let later = StatusCode::SERVICE_UNAVAILABLE;
        let is_told = matches!(&refused, ApiError::Told(status, _) if *status == later);
        assert!(is_told, "{refused:?}");
        drop(other);
        let found = References::of(&room, Signal::Traces, slim(5_000), location()).await;
        assert_eq!(found.ok().unwrap().files.len(), 1);
    }
}
