//! Requests with the files back in them.

mod files;
mod slim;

use std::collections::BTreeMap;
use std::io;
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
use tokio::time::Instant;

use self::files::Files;
use self::slim::Slim;
use super::answer::{ApiError, Failure};
use super::responses::{Any, CrossSite, NoSense};
use super::{Asking, Named};
use crate::admission::{Budget, Lease};
use crate::compute;
use crate::receivers::otlp::Form;
use crate::server::Server;
use crate::server::address::Address;
use crate::server::audit::Deed;
use crate::server::slots::PATIENCE;
use crate::tenant::TenantId;

/// The most that one may become, and the most that is fetched for it.
const RESTORED: u64 = 256 << 20;

/// Of the memory for requests one that becomes whole may have one part in so many: senders need the rest.
const SHARE: u64 = 2;

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
        (status = 413, description = "It is, or would become, too large", body = Failure),
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
    // Only what is there has a turn: who sends slowly keeps it from nobody.
    let slim = Slim::read(&server.budget, signal, how, body).await?;
    let payer = server.payer(&asking.reader, asking.peer);
    let _turn = server.restores.take(&payer).await.map_err(|full| {
        ApiError::later(&format!(
            "other requests are restored at the moment: {full}"
        ))
    })?;
    let store = server.store.of_tenant(&tenant);
    let location = store.location();
    let needed = needed(signal, slim.request.clone(), location.clone()).await?;
    server
        .tell_restored(&asking, &tenant, needed.keys())
        .await?;
    let most = server.budget.limit() / SHARE;
    let files = Files::fetch(&server.budget, &store, &needed, most.min(RESTORED)).await?;
    let whole = Whole {
        signal,
        location,
        budget: server.budget.clone(),
        most: most.saturating_sub(files.size),
    };
    let (restored, lease) = whole.make(slim.request, files).await?;
    let left = restored.left.len();
    server.counts.restored(restored.restored, left);
    let bytes = match how.form {
        Form::Protobuf => lease.hold(restored.request),
        Form::Json => whole.json(lease.hold(restored.request)).await?,
    };
    let len = bytes.len();
    let mut response = Response::new(in_time(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    let content_type = HeaderValue::from_static(how.form.media_type());
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(LEFT, HeaderValue::from(left));
    Ok(response)
}

/// How often a request refers to which artifacts.
async fn needed(
    signal: Signal,
    slim: Bytes,
    location: Location,
) -> Result<BTreeMap<Digest, u64>, ApiError> {
    let found = work(move || {
        let mut needed = BTreeMap::new();
        let found = restore_within(usize::MAX, signal, &slim, &location, |digest| {
            *needed.entry(digest).or_default() += 1;
            None
        });
        found.map(|_| needed)
    });
    found.await?.map_err(|error| bad(error.to_string()))
}

impl Server {
    /// Writes down who is given which artifacts with their request.
    async fn tell_restored(
        &self,
        asking: &Asking,
        tenant: &TenantId,
        digests: impl Iterator<Item = &Digest>,
    ) -> Result<(), ApiError> {
        for digest in digests {
            let address = Address {
                tenant: tenant.clone(),
                digest: *digest,
            };
            let (reader, peer) = (&asking.reader, asking.peer);
            let told = self
                .audit
                .tell(reader, peer, Deed::Restored, &address, StatusCode::OK);
            (told.await).map_err(|error| Box::new(self.not_told(&error)))?;
        }
        Ok(())
    }
}

/// A request that becomes whole.
struct Whole {
    signal: Signal,
    location: Location,
    budget: Budget,
    /// The memory that it may take.
    most: u64,
}

impl Whole {
    /// Puts the files back, in memory that is charged before it is taken.
    async fn make(&self, slim: Bytes, mut files: Files) -> Result<(Restoration, Lease), ApiError> {
        // What it becomes is there twice for a moment: in its parts, and as a whole.
        let most = (self.most / 2).min(RESTORED);
        let mut room = (files.written + slim.len() as u64).min(most);
        let mut lease = self.budget.lease_for_more();
        lease.charge_ahead(size(room)).await?;
        loop {
            let (slim, location, signal) = (slim.clone(), self.location.clone(), self.signal);
            let (files_back, restored) = work(move || {
                let restored = restore_within(size(room), signal, &slim, &location, |digest| {
                    files.of(&digest)
                });
                (files, restored)
            })
            .await?;
            files = files_back;
            let restored = restored.map_err(|error| bad(error.to_string()))?;
            let is_too_large = |left: &Unrestored| matches!(left, Unrestored::TooLarge(_));
            if !restored.left.iter().any(is_too_large) || room >= most {
                return Ok((restored, lease));
            }
            // Its files are written in a longer way than most.
            let more = room.min(most - room);
            lease.charge_ahead(size(more)).await?;
            room += more;
        }
    }

    /// The same as JSON.
    async fn json(&self, whole: Bytes) -> Result<Bytes, ApiError> {
        let (signal, mut lease) = (self.signal, self.budget.lease_for_copy());
        let written = work(move || {
            let mut more = |bytes| lease.try_charge(bytes).is_ok();
            let written = write_charging(signal, &whole, &mut more)?;
            Ok(lease.hold(Bytes::from(written.text)))
        });
        written.await?.map_err(|error: WriteError| match error {
            WriteError::NoMemory(_) => {
                ApiError::later("there is no memory for it as JSON at the moment")
            }
            error => bad(error.to_string()),
        })
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

/// Does what keeps a core busy beside the work on requests. That it fails takes a fault of slimspan, so no
/// description of the API has what is answered then.
async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    compute::run(work).await.map_err(|error| {
        tracing::error!("a request could not be restored: {error}");
        ApiError::Told(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the request could not be restored".to_owned(),
        )
    })
}

fn bad(told: String) -> ApiError {
    ApiError::Told(StatusCode::BAD_REQUEST, told)
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::time::sleep;

    use super::*;

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
}
