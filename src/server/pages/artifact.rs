//! One artifact: what it is, and everything that uses it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tokio::time::Instant;

use super::super::absence::until_step;
use super::super::artifacts::{file_name, refusal};
use super::super::pieces::{OpenError, Opened, Reading};
use super::preview::Preview;
use super::{Address, Disposition, Explained, Server, Site, Visit, unanswered, words};
use crate::catalog::{
    ArtifactFacts, CatalogError, Deleted, Entry, Filter, Page as Places, State as Whereabouts,
    Tenants, Tombstone,
};
use crate::storage::StoreError;

/// References on a page.
const SHOWN: usize = 50;

/// What is said of a store that does not answer.
const UNREAD: &str = "The store cannot be read at the moment. Load this page again.";

/// A place that refers to it.
struct Place {
    time: String,
    moment: String,
    service: String,
    span_name: String,
    span: Option<String>,
    carrier: String,
    /// Which of them, counted from 1, and what it is called.
    number: Option<u64>,
    event: Option<String>,
    attribute: String,
    path: Option<String>,
    shape: String,
    file_name: Option<String>,
    state: Option<&'static str>,
    trace: Option<String>,
}

/// Something to copy.
struct Line {
    id: &'static str,
    label: &'static str,
    text: String,
}

#[derive(Template)]
#[template(path = "artifact.html", config = "src/server/pages/askama.toml")]
struct Artifact<'a> {
    site: &'a Site,
    title: String,
    digest: String,
    short_type: String,
    content_type: String,
    size: String,
    bytes: String,
    tenant: String,
    /// What is to be known of it if it is not simply there.
    state: Option<String>,
    preview: Preview,
    download: Option<String>,
    lines: Vec<Line>,
    references: String,
    seen: Option<(String, String)>,
    places: Vec<Place>,
    has_catalog: bool,
    is_first: bool,
    newest: String,
    older: Option<String>,
}

/// Every path that nothing else is at.
pub(in super::super) async fn artifact(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Response {
    // Programs are told in their own words.
    if request.uri().path().starts_with("/v1/") {
        return refusal(StatusCode::NOT_FOUND, "there is nothing here\n");
    }
    match Visit::begin(&server, request).await {
        Ok(visit) => show(&server, &visit).await.unwrap_or_else(|other| other),
        Err(response) => response,
    }
}

/// What the catalog knows of an artifact.
#[derive(Default)]
struct Known {
    facts: Option<ArtifactFacts>,
    tombstone: Option<Tombstone>,
    places: Places,
}

impl Server {
    async fn known(&self, visit: &Visit, address: &Address) -> Result<Known, Response> {
        let Some(catalog) = &self.catalog else {
            return Ok(Known::default());
        };
        let after = visit.query.cursor();
        let after = after.map_err(|mistake| Explained::bad_question(mistake).page(&visit.site))?;
        let index = catalog.index();
        let tenants = Tenants::one(address.tenant.clone());
        let known = async {
            let filter = Filter {
                tenants: tenants.clone(),
                digest: Some(address.digest),
                ..Filter::default()
            };
            Ok::<_, CatalogError>(Known {
                facts: index.artifact(&tenants, &address.digest).await?,
                tombstone: index.tombstone(&address.tenant, &address.digest).await?,
                places: index.page(&filter, SHOWN, after).await?,
            })
        };
        known.await.map_err(|error| unanswered(&visit.site, &error))
    }
}

async fn show(server: &Server, visit: &Visit) -> Result<Response, Response> {
    let begun = Instant::now();
    let site = &visit.site;
    let path = visit.path.strip_prefix(&site.base).unwrap_or(&visit.path);
    let Some(address) = Address::parse(path) else {
        return Err(Explained::nothing().page(site));
    };
    let scope = &visit.reader.scope;
    let is_looked_for = scope.includes(&address.tenant);
    let found = if is_looked_for {
        found(server, visit, &address).await
    } else {
        Ok(None)
    };
    let Some(told) = found.transpose() else {
        // What may not be seen is not looked for, and takes as long.
        let absence = &server.absences.pages;
        absence.until_told(begun, is_looked_for).await;
        return Err(Explained::no_artifact().page(site));
    };
    // Places of others were passed over.
    until_step(begun, scope).await;
    told
}

/// What is told of an artifact that may be seen; none if there is no such one.
async fn found(
    server: &Server,
    visit: &Visit,
    address: &Address,
) -> Result<Option<Response>, Response> {
    let site = &visit.site;
    let payer = server.payer(&visit.reader, visit.peer);
    let known = server.known(visit, address).await?;
    let kept_back = match server.kept_back(address).await {
        Ok(tombstone) => tombstone.map(|of| (StatusCode::GONE, deleted(&of))),
        Err(error) => {
            tracing::warn!("{error}");
            Some((StatusCode::SERVICE_UNAVAILABLE, UNREAD.to_owned()))
        }
    };
    if let Some((status, state)) = kept_back {
        let page = page(server, visit, address, known, None, Some(state)).await?;
        return Ok(Some(site.page(status, &page)));
    }
    let store = server.store.of_tenant(&address.tenant);
    let facts = |_| Reading::Facts;
    let opened = server.pieces.open(&store, address, &payer, facts);
    let (opened, status, state) = match opened.await {
        // What was deleted may have come again, of which the store knows first.
        Ok(opened) => (Some(opened), StatusCode::OK, None),
        Err(OpenError::Store(StoreError::NotFound { .. })) => {
            let Some((status, state)) = known.why_not_there() else {
                return Ok(None);
            };
            (None, status, Some(state))
        }
        Err(OpenError::Store(error @ StoreError::Corrupt { .. })) => {
            tracing::error!("{error}; its page says so");
            let told = "What is stored of it is damaged: its bytes have another digest. Nobody is given them.";
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            (None, status, Some(told.to_owned()))
        }
        Err(error) => {
            tracing::warn!("{error}");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            (None, status, Some(UNREAD.to_owned()))
        }
    };
    let page = page(server, visit, address, known, opened, state).await?;
    Ok(Some(site.page(status, &page)))
}

impl Known {
    /// Why the bytes are not there although they are known; none if they are not known.
    fn why_not_there(&self) -> Option<(StatusCode, String)> {
        if let Some(tombstone) = &self.tombstone {
            return Some((StatusCode::GONE, deleted(tombstone)));
        }
        let (status, told) = match self.facts.as_ref()?.state {
            Whereabouts::Spooled => (
                StatusCode::OK,
                "It waits on the disk of the slimspan that took it, and is here when that has brought it to the \
                 store.",
            ),
            Whereabouts::Dropped => (
                StatusCode::OK,
                "It was given up and is not stored anywhere: a rule said so, or the store failed and \
                 on_store_failure is drop.",
            ),
            Whereabouts::Truncated => (
                StatusCode::OK,
                "It was cut before it came, and is in the span as it is.",
            ),
            Whereabouts::Referred => (
                StatusCode::OK,
                "A span refers to it, and whoever sent that stores it by itself, which has not come about so far. What \
                 is told of it here is what its sender says.",
            ),
            Whereabouts::Stored => (
                StatusCode::NOT_FOUND,
                "It was stored, and the store does not have it any more. Nothing here deleted it: see whether \
                 a lifecycle rule of the bucket does.",
            ),
        };
        Some((status, told.to_owned()))
    }
}

fn deleted(tombstone: &Tombstone) -> String {
    let time = words::time(tombstone.time);
    let what = match tombstone.deleted {
        Deleted::Artifact { .. } => "It was deleted".to_owned(),
        Deleted::Trace { trace } => format!("It was deleted with trace {trace}"),
        Deleted::Tenant => "It was deleted with all there was of its tenant".to_owned(),
    };
    if tombstone.reason.trim().is_empty() {
        format!("{what} on {time}.")
    } else {
        format!("{what} on {time}. The reason given: {}", tombstone.reason)
    }
}

async fn page<'v>(
    server: &Server,
    visit: &'v Visit,
    address: &Address,
    known: Known,
    opened: Option<Opened>,
    state: Option<String>,
) -> Result<Artifact<'v>, Response> {
    let site = &visit.site;
    let facts = known.facts.as_ref();
    let media = opened.as_ref().map(|opened| opened.media);
    let content_type = match (media, facts) {
        (Some(media), _) => media.shown.to_owned(),
        (None, Some(facts)) => facts.content_type.clone(),
        (None, None) => "application/octet-stream".to_owned(),
    };
    let bytes = opened.as_ref().map(|opened| opened.size);
    let bytes = bytes.or_else(|| facts.map(|facts| facts.size));
    let given = facts.and_then(|facts| facts.file_name.clone());
    let given = given.filter(|name| !name.trim().is_empty());
    let short_type = words::short_type(&content_type);
    let title = given.unwrap_or_else(|| format!("{short_type} file"));
    let (mut download, mut lines) = (None, Vec::new());
    let preview = match opened {
        None => Preview::none(""),
        Some(opened) => {
            let media = opened.media;
            let reference = format!("{}.{}", server.plain_url(address), media.extension);
            let preview = server.preview(visit, address, opened, facts).await?;
            // Who gets this was written down before.
            download = Some(server.artifact_url(address, Disposition::Attachment));
            lines = commands(address, &reference, &file_name(address, media));
            preview
        }
    };
    let own = site.artifact(address);
    let older = known.places.next.map(|next| format!("{own}?after={next}"));
    Ok(Artifact {
        site,
        title,
        digest: address.digest.to_string(),
        short_type,
        content_type,
        size: bytes.map(words::size).unwrap_or_default(),
        bytes: bytes.map(words::grouped).unwrap_or_default(),
        tenant: address.tenant.to_string(),
        state,
        preview,
        download,
        lines,
        references: words::grouped(facts.map(|facts| facts.references).unwrap_or_default()),
        seen: facts.map(|facts| (words::time(facts.first), words::time(facts.last))),
        places: (known.places.entries.iter())
            .map(|entry| Place::of(site, entry))
            .collect(),
        has_catalog: server.catalog.is_some(),
        is_first: visit.query.after.is_empty(),
        newest: own,
        older,
    })
}

/// What to do with it elsewhere.
fn commands(address: &Address, reference: &str, name: &str) -> Vec<Line> {
    let tenant = if address.tenant.is_default() {
        String::new()
    } else {
        format!("--tenant {} ", address.tenant)
    };
    vec![
        Line {
            id: "reference",
            label: "Reference",
            text: reference.to_owned(),
        },
        Line {
            id: "digest",
            label: "SHA-256",
            text: address.digest.to_string(),
        },
        Line {
            id: "get",
            label: "Keep it as a file",
            text: format!("slimspan get --config collector.yaml {tenant}-o {name} {reference}"),
        },
        Line {
            id: "restore",
            label: "Put it back into captured spans",
            text: format!(
                "slimspan restore --config collector.yaml {tenant}-o whole.json slim.json"
            ),
        },
    ]
}

impl Place {
    fn of(site: &Site, entry: &Entry) -> Self {
        Self {
            time: words::time(entry.time),
            moment: entry.time.to_string(),
            service: entry.service.clone(),
            span_name: entry.span_name.clone(),
            span: entry.span.map(|span| span.to_string()),
            carrier: entry.carrier.clone(),
            number: entry.carrier_index.map(|index| u64::from(index) + 1),
            event: entry.event_name.clone(),
            attribute: entry.attribute.clone(),
            path: entry.path.clone(),
            shape: entry.shape.clone(),
            file_name: entry.file_name.clone(),
            state: words::state(entry.state),
            trace: entry
                .trace
                .map(|trace| format!("{}/traces/{trace}", site.base)),
        }
    }
}
