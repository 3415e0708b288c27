//! Requests with the files back in them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use slimspan_artifact::{Digest, restore_within};
use slimspan_proto::Signal;
use slimspan_proto::json::{Limits, read, write};
use tokio::time::timeout;

use super::Asking;
use super::answer::{ApiError, Failure};
use crate::compute;
use crate::server::Server;
use crate::server::address::Address;
use crate::server::artifacts::PATIENCE;
use crate::server::audit::Deed;
use crate::storage::{Store, StoreError};

/// The largest request that is taken.
const LARGEST: usize = 64 << 20;

/// How long one may take to arrive.
const WHOLE: Duration = Duration::from_mins(1);

/// The most that one may become, and the most that is fetched for it.
const RESTORED: u64 = 256 << 20;

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
        (status = 400, description = "It is no OTLP", body = Failure),
        (status = 413, description = "It is, or would become, too large", body = Failure),
        (status = 415, description = "It is neither protobuf nor JSON", body = Failure),
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn restore(
    State(server): State<Arc<Server>>,
    Path(signal): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, body) = Asking::begin(&server, request).await?;
    let signal = match signal.as_str() {
        "traces" => Signal::Traces,
        "logs" => Signal::Logs,
        _ => return Err(ApiError::nothing()),
    };
    let is_json = is_json(&asking.headers)?;
    let tenant = asking.tenant()?;
    let tenant = tenant.unwrap_or_else(|| asking.reader.scope.usual());
    let Ok(Ok(_turn)) = timeout(PATIENCE, server.restores.acquire()).await else {
        return Err(ApiError::later("another request is restored at the moment"));
    };
    // Who has the turn and sends nothing keeps it from all others.
    let body = timeout(WHOLE, Limited::new(body, LARGEST).collect()).await;
    let body = body.map_err(|_| {
        ApiError::Told(
            StatusCode::REQUEST_TIMEOUT,
            format!("the request did not arrive within {WHOLE:?}"),
        )
    })?;
    let body = body.map_err(|_| {
        ApiError::Told(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request did not arrive, or has more than {LARGEST} bytes"),
        )
    })?;
    let body = body.to_bytes();
    let slim = if is_json {
        let converted = work(move || read(signal, &body, Limits::default())).await?;
        let converted = converted.map_err(|error| bad(format!("it is no OTLP/JSON: {error}")))?;
        if let Some(cause) = converted.causes.first() {
            return Err(bad(format!("it is no OTLP/JSON: {cause}")));
        }
        converted.request.into()
    } else {
        body
    };
    let store = server.store.of_tenant(&tenant);
    let location = store.location();
    let (searched, place) = (slim.clone(), location.clone());
    let needed = work(move || {
        let mut needed = BTreeSet::new();
        let found = restore_within(usize::MAX, signal, &searched, &place, |digest| {
            needed.insert(digest);
            None
        });
        found.map(|_| needed)
    });
    let needed = needed.await?.map_err(|error| bad(error.to_string()))?;
    for digest in &needed {
        let address = Address {
            tenant: tenant.clone(),
            digest: *digest,
        };
        let (reader, peer) = (&asking.reader, asking.peer);
        let told = server
            .audit
            .tell(reader, peer, Deed::Restored, &address, StatusCode::OK);
        (told.await).map_err(|error| Box::new(server.not_told(&error)))?;
    }
    let fetched = fetch(&store, needed).await?;
    let restored = work(move || {
        let most = usize::try_from(RESTORED).unwrap_or(usize::MAX);
        restore_within(most, signal, &slim, &location, |digest| {
            fetched.get(&digest).cloned()
        })
    });
    let restored = restored.await?.map_err(|error| bad(error.to_string()))?;
    let left = restored.left.len();
    let (content_type, bytes) = if is_json {
        let written = work(move || write(signal, &restored.request)).await?;
        let written = written.map_err(|error| bad(error.to_string()))?;
        ("application/json", Bytes::from(written.text))
    } else {
        ("application/x-protobuf", restored.request)
    };
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(LEFT, HeaderValue::from(left));
    Ok(response)
}

/// The artifacts that can be had.
async fn fetch(
    store: &Store,
    needed: BTreeSet<Digest>,
) -> Result<HashMap<Digest, Bytes>, ApiError> {
    let (mut fetched, mut size) = (HashMap::new(), 0_u64);
    for digest in needed {
        let of_this = match store.facts(&digest).await {
            Ok(facts) => facts.size,
            // It may wait in the spool.
            Err(StoreError::NotFound { .. }) => 0,
            Err(error) => return Err(error.into()),
        };
        size += of_this;
        if size > RESTORED {
            return Err(ApiError::Told(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "the files of this request have more than {RESTORED} bytes: slimspan restore puts \
                     them back"
                ),
            ));
        }
        match store.get(&digest).await {
            Ok(bytes) => {
                fetched.insert(digest, bytes);
            }
            Err(StoreError::NotFound { .. } | StoreError::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(fetched)
}

fn is_json(headers: &HeaderMap) -> Result<bool, ApiError> {
    let unsupported =
        |told: &str| ApiError::Told(StatusCode::UNSUPPORTED_MEDIA_TYPE, told.to_owned());
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(unsupported("the request is compressed: send it as it is"));
    }
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next());
    match media_type.map(str::trim) {
        Some("application/json") => Ok(true),
        Some("application/x-protobuf") => Ok(false),
        _ => Err(unsupported(
            "the content type is neither application/x-protobuf nor application/json",
        )),
    }
}

/// Does what keeps a core busy beside the work on requests.
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
