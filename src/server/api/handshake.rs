//! How a program puts an artifact: it says what it has, sends the bytes if they are wanted, and says that it
//! is done. What it says is checked against what it sends, and against nothing else.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use slimspan_artifact::{Artifact, Digest};
use tokio::time::{Instant, timeout, timeout_at};
use url::form_urlencoded;
use utoipa::ToSchema;

use super::Asking;
use super::answer::{ApiError, Failure, json};
use crate::server::Server;
use crate::server::address::Address;
use crate::server::audit::Deed;
use crate::server::media::Media;
use crate::server::pieces::Reading;
use crate::storage::{Incoming, Store, StoreError};

/// The most that is read of what somebody says it has.
const CLAIM: usize = 16 << 10;

/// What has to come of an upload in each [`WINDOW`].
const PACE: u64 = 64 << 10;

/// See [`PACE`].
const WINDOW: Duration = Duration::from_secs(30);

/// How long an upload waits for others to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a program has.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Claim {
    /// The SHA-256 of its bytes, in 64 lower-case hexadecimal digits
    sha256: String,
    /// How many bytes there are
    size_bytes: u64,
    /// What its sender takes it for; what it is shows in its bytes
    #[serde(default)]
    content_type: Option<String>,
    /// What its sender calls it
    #[serde(default)]
    filename: Option<String>,
}

/// What is to be done with it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Registered {
    /// As it was given
    sha256: String,
    /// `upload`: the bytes are wanted; `exists`: they are here
    status: &'static str,
    /// How to send the bytes, if they are wanted
    upload: Option<UploadTarget>,
}

/// How to send the bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadTarget {
    /// `PUT`
    method: &'static str,
    /// Where to
    url: String,
    /// Whether the credential is to be sent there, too
    requires_auth: bool,
}

/// An artifact that is here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Finalized {
    /// The SHA-256 of its bytes
    sha256: String,
    /// How many bytes there are
    size_bytes: u64,
    /// What they show to be
    content_type: &'static str,
    /// Where they are read
    uri: String,
}

/// Say that an artifact is there to be stored
#[utoipa::path(
    post, path = "/v1/artifacts", tag = "store", operation_id = "registerArtifact",
    params(("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's")),
    request_body = Claim,
    responses(
        (status = 200, description = "It is here already", body = Registered),
        (status = 201, description = "Its bytes are wanted", body = Registered),
        (status = 400, description = "What was said makes no sense", body = Failure),
        (status = 409, description = "It is here, and has another size", body = Failure),
        (status = 413, description = "It is too large", body = Failure),
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn register(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, body) = Asking::begin(&server, request).await?;
    let told = Limited::new(body, CLAIM).collect().await;
    let told = told.map_err(|_| bad("the body is longer than a description may be"))?;
    let claim: Claim = serde_json::from_slice(&told.to_bytes()).map_err(|error| {
        bad(format!(
            "the body is no description of an artifact: {error}"
        ))
    })?;
    let digest: Digest = (claim.sha256.parse()).map_err(|error| bad(format!("sha256: {error}")))?;
    let address = asking.address(&claim.sha256)?;
    server.fits(claim.size_bytes)?;
    let store = server.store.of_tenant(&address.tenant);
    let exists = |status| {
        let registered = Registered {
            sha256: claim.sha256.clone(),
            status: "exists",
            upload: None,
        };
        json(status, &registered)
    };
    let size = match server.stored(&store, &digest).await? {
        Some((size, is_fresh)) if is_fresh || size != claim.size_bytes => Some(size),
        _ => None,
    };
    if let Some(size) = size {
        if size != claim.size_bytes {
            let told = format!(
                "this artifact has {size} bytes, not the {} that size_bytes says",
                claim.size_bytes
            );
            return Err(ApiError::Told(StatusCode::CONFLICT, told));
        }
        return Ok(exists(StatusCode::OK));
    }
    // What was said goes with the upload: it may come to another replica.
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("size_bytes", &claim.size_bytes.to_string());
    for (name, value) in [
        ("content_type", &claim.content_type),
        ("filename", &claim.filename),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    if address.tenant != asking.reader.scope.usual() {
        query.append_pair("tenant", address.tenant.as_str());
    }
    let here = server.site_url(&asking.headers);
    let upload = UploadTarget {
        method: "PUT",
        url: format!("{here}/v1/artifacts/{digest}/blob?{}", query.finish()),
        requires_auth: true,
    };
    let registered = Registered {
        sha256: claim.sha256,
        status: "upload",
        upload: Some(upload),
    };
    Ok(json(StatusCode::CREATED, &registered))
}

/// Send the bytes of an artifact
///
/// Their size and digest are computed here; where they are not what was said, nothing is stored.
#[utoipa::path(
    put, path = "/v1/artifacts/{sha256}/blob", tag = "store", operation_id = "uploadArtifact",
    params(
        ("sha256" = String, Path, description = "The digest that the bytes have"),
        ("size_bytes" = Option<u64>, Query, description = "How many bytes there are"),
        ("filename" = Option<String>, Query, description = "What its sender calls it"),
        ("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "It is stored", body = Finalized),
        (status = 413, description = "It is too large", body = Failure),
        (status = 422, description = "The bytes are not what was said", body = Failure),
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn upload(
    State(server): State<Arc<Server>>,
    Path(sha256): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, body) = Asking::begin(&server, request).await?;
    let address = asking.address(&sha256)?;
    let said = asking.parameter("size_bytes").map(|size| {
        size.parse::<u64>()
            .map_err(|_| bad("size_bytes is no number"))
    });
    let said = said.transpose()?;
    let announced = said.or_else(|| body.size_hint().exact());
    server.fits(announced.unwrap_or_default())?;
    let turn = timeout(PATIENCE, Arc::clone(&server.uploads).acquire_owned()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(ApiError::later("too many artifacts are sent at the moment"));
    };
    let store = server.store.of_tenant(&address.tenant);
    let status = StatusCode::CREATED;
    let (reader, peer) = (&asking.reader, asking.peer);
    let told = server
        .audit
        .tell(reader, peer, Deed::Stored, &address, status);
    (told.await).map_err(|error| Box::new(server.not_told(&error)))?;
    let limit = said.unwrap_or(server.max_upload_size);
    let (size, media) = receive(&store, address.digest, body, limit, said).await?;
    server.pieces.forget(&address);
    let file_name = asking.parameter("filename");
    server.record(&address, size, media, file_name).await;
    Ok(json(status, &server.finalized(&address, size, media)))
}

/// Say that all bytes of an artifact were sent
#[utoipa::path(
    post, path = "/v1/artifacts/{sha256}/finalize", tag = "store", operation_id = "finalizeArtifact",
    params(
        ("sha256" = String, Path, description = "Its digest"),
        ("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's"),
    ),
    responses(
        (status = 200, description = "It is stored", body = Finalized),
        (status = 404, description = "It is not", body = Failure),
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn finalize(
    State(server): State<Arc<Server>>,
    Path(sha256): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, _) = Asking::begin(&server, request).await?;
    let address = asking.address(&sha256)?;
    let store = server.store.of_tenant(&address.tenant);
    let facts = |_| Reading::Facts;
    let opened = server.pieces.open(&store, &address, facts).await?;
    let finalized = server.finalized(&address, opened.size, opened.media);
    Ok(json(StatusCode::OK, &finalized))
}

impl Server {
    /// How large an artifact is that is here, and whether it was put here lately enough to count.
    async fn stored(
        &self,
        store: &Store,
        digest: &Digest,
    ) -> Result<Option<(u64, bool)>, StoreError> {
        if let Some(spooled) = store.spooled(digest).await? {
            return Ok(Some((spooled.len() as u64, true)));
        }
        match store.facts(digest).await {
            Ok(facts) => {
                let age = Timestamp::now().duration_since(facts.stored_at);
                let age = Duration::try_from(age).unwrap_or_default();
                Ok(Some((facts.size, age < store.refresh())))
            }
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn fits(&self, size: u64) -> Result<(), ApiError> {
        if size <= self.max_upload_size {
            return Ok(());
        }
        let told = format!(
            "{size} bytes are more than the {} of extensions.{}.max_upload_size",
            self.max_upload_size, self.id
        );
        Err(ApiError::Told(StatusCode::PAYLOAD_TOO_LARGE, told))
    }

    fn finalized(&self, address: &Address, size: u64, media: Media) -> Finalized {
        Finalized {
            sha256: address.digest.to_string(),
            size_bytes: size,
            content_type: media.shown,
            uri: format!("{}.{}", self.plain_url(address), media.extension),
        }
    }

    /// Where this server is for who asks it: as it was asked, unless it is told.
    fn site_url(&self, headers: &http::HeaderMap) -> String {
        let host = headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok());
        match (self.urls.pages_are_public, host) {
            (false, Some(host)) => format!("{}://{host}", self.urls.scheme),
            _ => self.urls.pages.clone(),
        }
    }
}

/// Stores what arrives, if it is what was said.
async fn receive(
    store: &Store,
    digest: Digest,
    mut body: Body,
    limit: u64,
    said: Option<u64>,
) -> Result<(u64, Media), ApiError> {
    let (mut hasher, mut size) = (Sha256::new(), 0_u64);
    let (mut waiting, mut incoming) = (BytesMut::new(), None::<Incoming>);
    let mut media = None;
    let mut window = (Instant::now(), 0_u64);
    loop {
        let until = window.0 + WINDOW;
        let Ok(frame) = timeout_at(until, body.frame()).await else {
            if window.1 < PACE {
                let told = "the bytes come too slowly".to_owned();
                return Err(ApiError::Told(StatusCode::REQUEST_TIMEOUT, told));
            }
            window = (Instant::now(), 0);
            continue;
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| bad(format!("the bytes did not arrive: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        size += data.len() as u64;
        window.1 += data.len() as u64;
        if size > limit {
            let told = format!("there are more than {limit} bytes");
            let status = match said {
                Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
                None => StatusCode::PAYLOAD_TOO_LARGE,
            };
            return Err(ApiError::Told(status, told));
        }
        hasher.update(&data);
        waiting.extend_from_slice(&data);
        if waiting.len() >= Store::PART {
            let part = waiting.split().freeze();
            let media = media.get_or_insert_with(|| Media::of(&part));
            let upload = match &mut incoming {
                Some(upload) => upload,
                None => incoming.insert(store.incoming(digest, media.shown).await?),
            };
            upload.add(part).await?;
        }
    }
    let found = Digest::from(<[u8; 32]>::from(hasher.finalize()));
    if let Some(said) = said
        && said != size
    {
        return Err(not_as_said(format!(
            "there are {size} bytes, not the {said} that size_bytes says"
        )));
    }
    if found != digest {
        return Err(not_as_said(format!(
            "the SHA-256 of the bytes is {found}, not {digest}"
        )));
    }
    let last: Bytes = waiting.freeze();
    let media = media.unwrap_or_else(|| Media::of(&last));
    if let Some(mut upload) = incoming {
        if !last.is_empty() {
            upload.add(last).await?;
        }
        upload.finish().await?;
    } else {
        let artifact = Artifact {
            digest,
            media_type: media.shown.to_owned(),
            bytes: last,
        };
        store.put_all(&[artifact]).await?;
    }
    Ok((size, media))
}

fn bad(told: impl Into<String>) -> ApiError {
    ApiError::Told(StatusCode::BAD_REQUEST, told.into())
}

fn not_as_said(told: String) -> ApiError {
    ApiError::Told(StatusCode::UNPROCESSABLE_ENTITY, told)
}
