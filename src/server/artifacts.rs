//! The listener for artifacts themselves: one route, and nothing but bytes.

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request};
use tokio::time::Instant;

use super::access::{Reader, Scope};
use super::address::Address;
use super::audit::Deed;
use super::catalogued::why;
use super::instead::instead_of;
use super::links::{Disposition, Signature, parameter};
use super::media::Media;
use super::naming::disposition;
use super::pieces::{OpenError, Opened, Reading};
use super::purpose::Purpose;
use super::range::{Part, lists};
use super::slots::Slot;
use super::{Server, counted};
use crate::catalog::CatalogError;
use crate::peer::Remote;
use crate::storage::StoreError;

/// What the one route is called where requests are counted.
const ROUTE: &str = "/artifacts/{sha256}";

/// What a card asks for a picture with: something else, if it is too large for one.
pub(super) const ON_CARD: &str = "card";

/// What is told of what is not there, and of what may not be seen.
const NOTHING: &str = "there is no such artifact\n";

/// An answer without what was asked for.
pub(super) type Refused = Box<Response>;

/// What answers requests for artifacts.
pub(super) fn routes(server: Arc<Server>) -> Router {
    Router::new().fallback(answer).with_state(server)
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    // Nothing that is read here has a body.
    let (request, _) = request.into_parts();
    let begun = Instant::now();
    let asked = counted::Asked::of(&server.counts, &request.method, ROUTE);
    let origin = request.headers.get(header::ORIGIN).cloned();
    let (mut response, is_looked_for) = match server.artifact(&request).await {
        Ok(response) => (response, true),
        // What may not be seen is not looked for, and is told as if it were not there.
        Err(refused) => (*refused, false),
    };
    let status = response.status();
    if status == StatusCode::NOT_FOUND {
        // Behind all that is done for one of them and not for the other.
        let absence = &server.absences.files;
        absence.until_told(begun, is_looked_for).await;
    }
    let headers = response.headers_mut();
    server.protection.apply(status, headers, origin.as_ref());
    asked.answered(response)
}

/// Who asks for which artifact, and how.
struct Asked<'r> {
    address: Address,
    reader: Reader,
    headers: &'r HeaderMap,
    disposition: Disposition,
    is_picture: bool,
    /// Whether it is one of many on a page of this server.
    is_on_card: bool,
    has_body: bool,
}

impl Server {
    async fn artifact(&self, request: &request::Parts) -> Result<Response, Refused> {
        let headers = &request.headers;
        let has_body = match request.method {
            Method::GET => true,
            Method::HEAD => false,
            _ => {
                let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
                let allow = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(header::ALLOW, allow);
                return Err(response.into());
            }
        };
        self.hosts_allow(&request.uri, headers)?;
        let Some(address) = self.address(request.uri.path()) else {
            return Err(nothing().into());
        };
        let query = request.uri.query().unwrap_or_default();
        let wants = |name| parameter(query, name).is_some();
        let disposition = if wants("download") {
            Disposition::Attachment
        } else {
            Disposition::Inline
        };
        let signature = self.links.check(query, &address, disposition);
        let purpose = Purpose::of(headers);
        let is_visit = purpose == Purpose::Visit && !wants("download") && !wants("raw");
        if is_visit && signature == Signature::None {
            return Err(self.to_the_page(&address).into());
        }
        let peer = Remote::of(&request.extensions);
        let reader = match signature {
            Signature::Good(key) => Reader {
                name: format!("link {key}"),
                scope: Scope::One(address.tenant.clone()),
            },
            Signature::Bad => return Err(nothing().into()),
            Signature::None => self.reader(headers).await?,
        };
        self.rate_allows(&reader, peer)?;
        if !reader.scope.includes(&address.tenant) {
            return Err(nothing().into());
        }
        let asked = Asked {
            address,
            reader,
            headers,
            disposition,
            is_picture: purpose == Purpose::Picture,
            is_on_card: wants(ON_CARD),
            has_body,
        };
        let payer = self.payer(&asked.reader, peer);
        let slot = self.slots.take(&payer).await;
        let slot = slot.map_err(|full| {
            let told = format!(
                "too many artifacts are read at the moment: {full} (max_concurrent_requests)\n"
            );
            Box::new(later(told))
        })?;
        let response = self.give_or_say_why(&asked, &payer, slot).await;
        let told = self
            .audit
            .tell(
                &asked.reader,
                peer,
                Deed::Read,
                &asked.address,
                response.status(),
            )
            .await;
        self.was_told(told)?;
        Ok(response)
    }

    async fn give_or_say_why(&self, asked: &Asked<'_>, payer: &str, slot: Slot) -> Response {
        match self.kept_back(&asked.address).await {
            Ok(None) => {}
            Ok(Some(tombstone)) => return gone(&why(&tombstone)),
            Err(CatalogError::Bucket(error)) => return unread(&*error),
            Err(error) => return untold(&asked.address, &error),
        }
        match self.give(asked, payer, slot).await {
            Ok(response) => response,
            Err(busy @ (OpenError::Busy(_) | OpenError::Slow)) => later(format!("{busy}\n")),
            // What was deleted may have come again, of which the store knows first.
            Err(OpenError::Store(StoreError::NotFound { .. })) => {
                match self.tombstone(&asked.address).await {
                    Ok(Some(reason)) => gone(&reason),
                    Ok(None) => nothing(),
                    Err(error) => untold(&asked.address, &error),
                }
            }
            Err(OpenError::Store(error)) => not_read(&error),
        }
    }

    async fn give(
        &self,
        asked: &Asked<'_>,
        payer: &str,
        slot: Slot,
    ) -> Result<Response, OpenError> {
        let (address, headers) = (&asked.address, asked.headers);
        let store = self.store.of_tenant(&address.tenant);
        let etag = format!("\"sha256-{}\"", address.digest);
        let is_known = lists(headers, header::IF_NONE_MATCH, &etag) == Some(true);
        let is_other = lists(headers, header::IF_MATCH, &etag) == Some(false);
        let has_body = asked.has_body && !is_known && !is_other;
        // Parts are only given, and not told of (RFC 9110, 14.2).
        let part = |size| {
            if asked.has_body {
                Part::of(headers, size, &etag)
            } else {
                Part::Whole
            }
        };
        let opened = self
            .pieces
            .open(&store, address, payer, |size| match part(size) {
                _ if !has_body => Reading::Facts,
                Part::Unsatisfiable => Reading::Facts,
                Part::Whole => Reading::Whole,
                Part::Bytes(range) if range == (0..size) => Reading::Whole,
                Part::Bytes(_) => Reading::Part,
            })
            .await?;
        let (size, media) = (opened.size, opened.media);
        if asked.is_on_card
            && asked.disposition == Disposition::Inline
            && media.shown.starts_with("image/")
            && let Some(instead) = instead_of(media)
        {
            return Ok(instead);
        }
        let given = match asked.disposition {
            Disposition::Attachment => self.given_name(address).await,
            Disposition::Inline => None,
        };
        let mut response = if is_other {
            refusal(
                StatusCode::PRECONDITION_FAILED,
                "this artifact has another tag\n",
            )
        } else if is_known {
            only(StatusCode::NOT_MODIFIED)
        } else {
            match part(size) {
                Part::Whole => {
                    let status = StatusCode::OK;
                    Self::bytes(status, opened, 0..size, asked, slot)
                }
                Part::Bytes(range) => {
                    let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                    let status = StatusCode::PARTIAL_CONTENT;
                    let mut response = Self::bytes(status, opened, range, asked, slot);
                    insert(response.headers_mut(), header::CONTENT_RANGE, &told);
                    response
                }
                Part::Unsatisfiable => {
                    let status = StatusCode::RANGE_NOT_SATISFIABLE;
                    let mut response = refusal(status, "the artifact has no such bytes\n");
                    let told = format!("bytes */{size}");
                    insert(response.headers_mut(), header::CONTENT_RANGE, &told);
                    response
                }
            }
        };
        let is_told = response.status().is_success() || is_known;
        let headers = response.headers_mut();
        let accepts = HeaderValue::from_static("bytes");
        headers.insert(header::ACCEPT_RANGES, accepts);
        if is_told {
            insert(headers, header::ETAG, &etag);
            if !is_known {
                Self::describe(headers, media, asked, given.as_deref());
            }
        }
        Ok(response)
    }

    /// Says what the bytes are, and how they are to be used.
    fn describe(headers: &mut HeaderMap, media: Media, asked: &Asked<'_>, given: Option<&str>) {
        let media = if asked.is_picture {
            media.as_picture()
        } else {
            media
        };
        insert(headers, header::CONTENT_TYPE, media.content_type);
        let use_as = match asked.disposition {
            Disposition::Inline if media.is_inline => "inline",
            _ => "attachment",
        };
        let name = file_name(&asked.address, media);
        let disposition = disposition(use_as, &name, given, media.extension);
        insert(headers, header::CONTENT_DISPOSITION, &disposition);
    }

    fn bytes(
        status: StatusCode,
        opened: Opened,
        range: Range<u64>,
        asked: &Asked<'_>,
        slot: Slot,
    ) -> Response {
        let len = range.end - range.start;
        let body = if asked.has_body {
            let address = asked.address.clone();
            let pieces = opened.bytes(range).inspect(move |piece| {
                if let Err(error) = piece {
                    tracing::warn!("{address} was cut while it was sent: {error}");
                }
            });
            // Its place is taken until the last piece is sent.
            let end = stream::once(async move {
                drop(slot);
                None
            });
            let pieces = pieces.map(Some).chain(end);
            Body::from_stream(pieces.filter_map(std::future::ready))
        } else {
            Body::empty()
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        insert(
            response.headers_mut(),
            header::CONTENT_LENGTH,
            &len.to_string(),
        );
        response
    }

    /// What a path names here, also where what is in front of this server leaves its own path there.
    fn address(&self, path: &str) -> Option<Address> {
        let own = path.strip_prefix(self.urls.artifacts_path.as_str());
        Address::parse(own.unwrap_or(path))
    }

    fn to_the_page(&self, address: &Address) -> Response {
        let mut response = only(StatusCode::FOUND);
        let page = self.page_url(address);
        insert(response.headers_mut(), header::LOCATION, &page);
        response
    }
}

/// What a file with these bytes is called.
pub(super) fn file_name(address: &Address, media: Media) -> String {
    let digest = address.digest.to_string();
    let short = digest.get(..12).unwrap_or_default();
    format!("sha256-{short}.{}", media.extension)
}

/// There is nothing, or nothing that may be seen.
fn nothing() -> Response {
    refusal(StatusCode::NOT_FOUND, NOTHING)
}

/// Says why there is nothing any more.
fn gone(reason: &str) -> Response {
    refusal(StatusCode::GONE, format!("{reason}\n"))
}

/// What became of a store that did not give an artifact, or not the right one.
fn not_read(error: &StoreError) -> Response {
    if matches!(error, StoreError::Corrupt { .. }) {
        tracing::error!("{error}; it is not given to anybody");
        let told = "what is stored of this artifact is damaged\n";
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, told);
    }
    unread(error)
}

/// What became of a store that said nothing.
fn unread(error: &dyn Error) -> Response {
    tracing::warn!("{error}");
    later("the store cannot be read at the moment\n")
}

/// The index of the catalog does not say whether it was deleted.
fn untold(address: &Address, error: &CatalogError) -> Response {
    tracing::warn!("whether {address} was deleted is not known: {error}");
    later("whether it was deleted is not known at the moment\n")
}

/// An answer that says when to ask again.
pub(super) fn later(told: impl Into<Body>) -> Response {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, told);
    let soon = HeaderValue::from_static("1");
    response.headers_mut().insert(header::RETRY_AFTER, soon);
    response
}

pub(super) fn refusal(status: StatusCode, told: impl Into<Body>) -> Response {
    let mut response = Response::new(told.into());
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

fn only(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Sets a header to what cannot be but a good value.
pub(super) fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
