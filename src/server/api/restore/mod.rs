//! Requests with the files back in them.

mod files;
mod references;
mod room;
mod slim;

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use slimspan_artifact::{Digest, Location, Restoration, Unrestored, restore_within};
use slimspan_proto::Signal;
use slimspan_proto::json::{WriteError, write_charging};
use tokio::time::{Instant, timeout};

use self::files::{Files, Found};
use self::references::References;
use self::room::Room;
pub(in crate::server) use self::room::Rooms;
use self::slim::Slim;
use super::answer::{ApiError, Failure};
use super::responses::{Any, CrossSite, NoSense};
use super::{Asking, Named};
use crate::admission::Lease;
use crate::compute;
use crate::receivers::otlp::Form;
use crate::server::Server;
use crate::server::audit::Deed;
use crate::server::slots::{PATIENCE, Slot, Slots};

/// The most that one may become, and the most that is fetched for it.
const RESTORED: u64 = 256 << 20;

/// How long the store may take for what one asks of it, and how long others wait for their turn meanwhile.
const TIME: Duration = Duration::from_mins(1);

/// What is charged is rounded up, for itself each: what came, its files, and what it becomes.
const ROUNDED: u64 = 4 << 10;

/// What of a restored request has to be taken in a second, beside [`PATIENCE`] in all.
const PACE: usize = 1 << 20;

/// What is sent of one at a time.
const PIECE: usize = 256 << 10;

/// How many references are still there, because their artifacts are not.
const LEFT: HeaderName = HeaderName::from_static("slimspan-references-left");

/// Put the files back into a slim request
///
/// Takes an OTLP export request, and gives it back as it was before it was made slim. References whose
/// artifacts cannot be had stay, and the header `slimspan-references-left` says how many.
#[utoipa::path(
    post, path = "/v1/restore/{signal}", tag = "restore", operation_id = "restoreRequest",
    params(
        ("signal" = String, Path, description = "`traces` or `logs`"),
        ("tenant" = Option<String>, Query, description = "Whose artifacts they are, if the credential is not a tenant's"),
    ),
    request_body(content(
        (Vec<u8> = "application/x-protobuf"),
        (serde_json::Value = "application/json"),
    )),
    responses(
        (status = 200, description = "The request with its files", content(
            (Vec<u8> = "application/x-protobuf"),
            (serde_json::Value = "application/json"),
        )),
        (status = 408, description = "The request stopped arriving", body = Failure),
        (status = 413, description = "It is, or would become, too large, or refers to too many files", body = Failure),
        (status = 415, description = "It is neither protobuf nor JSON, or compressed in an unknown way", body = Failure),
        Any,
        NoSense,
        CrossSite,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn restore(
    State(server): State<Arc<Server>>,
    Named(signal): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, body) = Asking::begin(&server, request).await?;
    let signal = match signal.as_str() {
        "traces" => Signal::Traces,
        "logs" => Signal::Logs,
        _ => return Err(ApiError::nothing()),
    };
    let tenant = asking.tenant()?;
    let tenant = tenant.unwrap_or_else(|| asking.reader.scope.usual());
    let how = Slim::how(&asking.headers)?;
    let payer = server.payer(&asking.reader, asking.peer);
    let room = server.rooms.one(&payer);
    let slim = Slim::read(&room, signal, how, body).await?;
    let store = server.store.of_tenant(&tenant);
    let location = store.location();
    let mut references =
        References::of(&room, signal, slim.request.clone(), location.clone()).await?;
    let beside = slim.request.len() as u64 + references.memory + ROUNDED;
    let most = room.limit.saturating_sub(beside);
    let mut files = mem::take(&mut references.files);
    // What was deleted stays a reference, as what is gone does.
    let digests = files.keys().copied().collect();
    let found = {
        let _place = place(
            &server.lookups,
            &payer,
            "the files of other requests are looked for",
        )
        .await?;
        for (digest, _) in told_in_time(server.all_kept_back(&tenant, digests)).await? {
            files.remove(&digest);
        }
        Found::look_for(&store, files, most).await?
    };
    // Only what is there has a turn, with files that are: who sends slowly keeps it from nobody, and neither does a
    // store that looks for long.
    let place = place(&server.restores, &payer, "other requests are restored").await?;
    let turn = Arc::new(Turn {
        _references: references.charge(&room).await?,
        _place: place,
    });
    let files = Files::fetch(&room, &store, found).await?;
    for _ in 0..files.damaged {
        server.counts.damaged();
    }
    let given = files.digests();
    let whole = Whole {
        signal,
        location,
        most: most.saturating_sub(files.size),
        room,
        turn,
    };
    let written = files.written;
    let fetch = move |digest| files.of(&digest);
    let (restored, lease) = whole.make(slim.request, written, fetch).await?;
    let left = restored.left.len();
    drop(restored.left);
    server.counts.restored(restored.restored, left);
    let (bytes, mut lease) = match how.form {
        Form::Protobuf => (restored.request, lease),
        Form::Json => whole.json(lease.hold(restored.request)).await?,
    };
    let Whole { room, turn, .. } = whole;
    // Who takes it slowly keeps the turn from nobody, either.
    drop(turn);
    lease.enter(&room.own).await?;
    let (reader, peer) = (&asking.reader, asking.peer);
    let told = server
        .audit
        .tell_all(reader, peer, Deed::Restored, &tenant, &given);
    server.was_told(told.await)?;
    let bytes = lease.hold(bytes);
    let len = bytes.len();
    let mut response = Response::new(in_time(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    let content_type = HeaderValue::from_static(how.form.media_type());
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(LEFT, HeaderValue::from(left));
    Ok(response)
}

/// What is known of files that were deleted. While that is not known nothing is made whole: they would be in it.
async fn told_in_time<T>(
    asking: impl Future<Output = Result<Vec<T>, ApiError>>,
) -> Result<Vec<T>, ApiError> {
    match timeout(TIME, asking).await {
        Ok(told) => told,
        Err(_) => Err(ApiError::later(
            "it was not said in time which of the files were deleted",
        )),
    }
}

/// The turn of a request.
struct Turn {
    /// What its references take while they are put back.
    _references: Lease,
    _place: Slot,
}

/// Waits for one of these places, as long as another may take for its files. They are taken because of `others`.
async fn place(places: &Slots, payer: &str, others: &str) -> Result<Slot, ApiError> {
    let taken = places.take_until(Instant::now() + TIME, payer).await;
    taken.map_err(|full| ApiError::later(&format!("{others} at the moment: {full}")))
}

/// A request that becomes whole.
struct Whole {
    signal: Signal,
    location: Location,
    room: Room,
    /// The memory that it may take.
    most: u64,
    /// Its turn, which is over when nothing is done any more for it, also where nobody waits for it.
    turn: Arc<Turn>,
}

impl Whole {
    /// Puts the files back that `fetch` gives, which have `written` bytes where they stand. The memory is charged
    /// before it is taken, and as long as something is done there.
    async fn make<F>(
        &self,
        slim: Bytes,
        written: u64,
        mut fetch: F,
    ) -> Result<(Restoration, Lease), ApiError>
    where
        F: FnMut(Digest) -> Option<Bytes> + Send + 'static,
    {
        // What it becomes is there twice for a moment: in its parts, and as a whole.
        let most = (self.most / 2).min(RESTORED);
        let mut room = written.saturating_add(slim.len() as u64).min(most);
        let mut lease = self.room.made();
        lease.charge_ahead(size(room)).await?;
        loop {
            let (slim_again, location, signal) = (slim.clone(), self.location.clone(), self.signal);
            let (fetch_back, lease_back, restored) = work(Arc::clone(&self.turn), move || {
                let largest = size(room);
                let restored = restore_within(largest, signal, &slim_again, &location, &mut fetch);
                (fetch, lease, restored)
            })
            .await?;
            (fetch, lease) = (fetch_back, lease_back);
            let restored = restored.map_err(|error| ApiError::bad(error.to_string()))?;
            let has_no_room = |left: &Unrestored| matches!(left, Unrestored::NoRoom(_));
            if !restored.left.iter().any(has_no_room) {
                // What nothing was put back into has its memory already.
                let is_slim = restored.request.as_ptr() == slim.as_ptr();
                let kept = if is_slim { 0 } else { restored.request.len() };
                // One that is large itself may be larger than what was left for what is put back.
                let missing = kept.saturating_sub(size(room).saturating_mul(2));
                lease.charge_ahead(missing).await?;
                lease.settle(kept);
                return Ok((restored, lease));
            }
            if room >= most {
                return Err(ApiError::Told(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!(
                        "with its files the request would have more than the {most} bytes that there is room for \
                         beside them, which is 256 MiB at most, and a quarter of what memory_limiter leaves for \
                         requests: send fewer spans or records at once, or put them back with slimspan restore"
                    ),
                ));
            }
            // Its files are written in a longer way than most.
            let more = room.min(most - room);
            lease.charge_ahead(size(more)).await?;
            room += more;
        }
    }

    /// The same as JSON.
    async fn json(&self, whole: Bytes) -> Result<(Bytes, Lease), ApiError> {
        let (signal, mut lease, limit) = (self.signal, self.room.fetched(), self.room.limit);
        let written = work(Arc::clone(&self.turn), move || {
            let mut refused = None;
            let mut needed = whole.len() as u64 + ROUNDED;
            let mut more = |bytes| {
                needed = needed.saturating_add(bytes as u64);
                refused = lease.try_charge(bytes).err();
                refused.is_none()
            };
            let written = write_charging(signal, &whole, &mut more);
            let written = written.map_err(|error| match (error, refused) {
                (WriteError::NoMemory(_), Some(_)) if needed > limit => ApiError::Told(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!(
                        "as JSON the request takes more than the {limit} bytes that there is room for, which is half \
                         of what memory_limiter leaves for requests: ask for protobuf, or use slimspan restore"
                    ),
                ),
                (WriteError::NoMemory(_), Some(refused)) => refused.into(),
                (error, _) => ApiError::bad(error.to_string()),
            })?;
            let mut text = written.text;
            text.shrink_to_fit();
            lease.settle(text.len());
            Ok((Bytes::from(text), lease))
        });
        written.await?
    }
}

/// A body of bytes that take memory which senders need: who does not take them in time is cut.
fn in_time(bytes: Bytes) -> Body {
    let seconds = (bytes.len() / PACE) as u64;
    let until = Instant::now() + PATIENCE + Duration::from_secs(seconds);
    let pieces = stream::try_unfold(bytes, move |mut left| async move {
        if left.is_empty() {
            return Ok(None);
        }
        if Instant::now() > until {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "a restored request was taken too slowly",
            ));
        }
        let piece = left.split_to(left.len().min(PIECE));
        Ok(Some((piece, left)))
    });
    Body::from_stream(pieces)
}

/// What is too large for this machine is too large for any limit, too.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Does what keeps a core busy beside the work on requests, and lets go of `turn` when it is done, also where
/// nobody waits for it any more. That it fails takes a fault of slimspan, so no description of the API has what is
/// answered then.
async fn work<T: Send + 'static>(
    turn: impl Send + 'static,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let work = move || {
        let done = work();
        drop(turn);
        done
    };
    compute::run(work).await.map_err(|error| {
        tracing::error!("a request could not be restored: {error}");
        ApiError::Told(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the request could not be restored".to_owned(),
        )
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::future::{pending, ready};
    use std::sync::mpsc;

    use axum::response::IntoResponse as _;
    use futures::{StreamExt as _, poll};
    use serde_json::json;
    use slimspan_proto::json::{Limits as OfJson, read};
    use tokio::sync::oneshot;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::admission::{Budget, Limits};
    use crate::catalog::CatalogError;

    const SIZE: usize = 3 * PACE;

    /// It takes memory that senders need.
    #[tokio::test(start_paused = true)]
    async fn who_takes_a_restored_request_too_slowly_is_cut() {
        let allowed = PATIENCE + Duration::from_secs(3);
        for (pause, is_cut) in [
            (allowed / 15, false),
            (allowed / 9, true),
            (2 * allowed, true),
        ] {
            let mut body = in_time(Bytes::from(vec![7; SIZE])).into_data_stream();
            let (mut taken, mut error) = (0, None);
            while let Some(piece) = body.next().await {
                match piece {
                    Ok(piece) => taken += piece.len(),
                    Err(cut) => error = Some(cut),
                }
                sleep(pause).await;
            }
            assert_eq!(error.is_some(), is_cut, "{pause:?}: {error:?}");
            assert_eq!(taken == SIZE, !is_cut, "{pause:?}: {taken}");
        }
    }

    /// The store may be slow for one.
    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_as_long_as_another_may_take_for_its_files() {
        let turns = Slots::new(1);
        let place = |payer| place(&turns, payer, "others are restored");
        let first = place("a").await.unwrap();
        let mut next = Box::pin(place("b"));
        let soon = TIME * 9 / 10;
        assert!(timeout(soon, &mut next).await.is_err());
        drop(first);
        let _second = next.await.unwrap();
        let refused = place("a").await.unwrap_err();
        let later = StatusCode::SERVICE_UNAVAILABLE;
        let is_told = matches!(&refused, ApiError::Told(status, _) if *status == later);
        assert!(is_told, "{refused:?}");
    }

    /// A file that was deleted is not put back because nobody could say so.
    #[tokio::test(start_paused = true)]
    async fn while_it_is_not_known_what_was_deleted_nothing_is_made_whole() {
        let begun = Instant::now();
        let silent = pending::<Result<Vec<usize>, ApiError>>();
        let cannot = ready(Err(ApiError::from(CatalogError::Ending)));
        for refused in [told_in_time(silent).await, told_in_time(cannot).await] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
            let headers = refused.into_response().headers().clone();
            assert!(headers.contains_key(header::RETRY_AFTER));
        }
        assert_eq!(begun.elapsed().as_secs(), TIME.as_secs());
        let known = ready(Ok::<_, ApiError>(vec![7]));
        assert_eq!(told_in_time(known).await.unwrap(), [7]);
    }

    /// Who goes away while it becomes whole leaves work behind, which has its memory and its turn to the end.
    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_charged_until_it_is_done() {
        let budget = Budget::new(Limits {
            limit_mib: 64,
            spike_mib: 0,
        });
        let turns = Slots::new(1);
        let location = Location::Public("https://files.example.com".to_owned());
        let digest = Digest::of(b"file");
        let slim = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{ "attributes": [{
            "key": "picture",
            "value": { "stringValue": format!("https://files.example.com/artifacts/{digest}.png") },
        }] }] }] }] });
        let slim = slim.to_string();
        let slim = read(Signal::Traces, slim.as_bytes(), OfJson::default()).unwrap();
        let whole = Whole {
            signal: Signal::Traces,
            location,
            room: Rooms::of(budget.clone()).one("a"),
            most: 8 << 20,
            turn: Arc::new(Turn {
                _references: budget.lease_for_copy(),
                _place: turns.take("a").await.unwrap(),
            }),
        };
        let (begun, has_begun) = oneshot::channel();
        let (goes_on, may_go_on) = mpsc::channel::<()>();
        let mut begun = Some(begun);
        let fetch = move |_| {
            if let Some(begun) = begun.take() {
                let _ = begun.send(());
                let _ = may_go_on.recv();
            }
            None
        };
        let begun = tokio::select! {
            _ = whole.make(slim.request.into(), 1 << 20, fetch) => None,
            begun = has_begun => begun.ok(),
        };
        assert!(begun.is_some(), "the file was asked for");
        drop(whole);
        assert!(budget.in_flight() >= 2 << 20, "{}", budget.in_flight());
        let mut next = Box::pin(turns.take("b"));
        assert!(poll!(&mut next).is_pending());
        drop(goes_on);
        next.await.unwrap();
        let given_back = async {
            while budget.in_flight() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(30), given_back).await.unwrap();
    }
}
