//! Which span refers to which artifact.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Asking;
use super::answer::{ApiError, json};
use super::responses::{Any, NoCatalog, NoSense};
use crate::catalog::{Cursor, Entry, Filter, MAX_PAGE, TypePattern};
use crate::server::Server;
use crate::server::absence::until_step;
use crate::server::address::Address;

/// The entries of a page, unless another number is asked for.
const USUAL: usize = 100;

/// A place that refers to an artifact.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reference {
    /// When the span began, or the time of the log record
    time: String,
    /// When the reference was written down
    recorded: String,
    /// Whose it is
    tenant: String,
    /// `traces` or `logs`; none for an artifact that was put by itself
    signal: Option<String>,
    /// The `service.name` of the resource
    service: String,
    /// The trace, in hexadecimal digits
    trace_id: Option<String>,
    /// The span, in hexadecimal digits
    span_id: Option<String>,
    /// What the span is called
    span_name: String,
    /// What the attribute belongs to: `resource`, `scope`, `span`, `event`, `link` or `log`
    carrier: String,
    /// Which of the events or links of its span it is on, from 0
    carrier_index: Option<u32>,
    /// The name of the event that it is on
    event_name: Option<String>,
    /// The key of the attribute, or `(body)`
    attribute: String,
    /// Where it stands in the value of that, such as `[0].parts[2].data`; none where it is all of it
    path: Option<String>,
    /// How the file stood there
    shape: String,
    /// The digest of the artifact; none for what was cut before it came
    sha256: Option<String>,
    /// What the bytes show to be; of what is `referred`, what its sender says
    content_type: String,
    /// How many bytes there are
    size_bytes: u64,
    /// What the payload called the file
    filename: Option<String>,
    /// `stored`, `spooled`, `dropped`, `truncated`, or `referred` where its sender stores it itself and has not done so
    state: &'static str,
    /// Where the artifact is read; none of what was given up, waits on another replica, or never came
    uri: Option<String>,
}

/// Some of the places that were asked for, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct References {
    /// The places
    references: Vec<Reference>,
    /// The `cursor` of the next page of `GET /v1/artifacts`, if there is one
    pub(super) next: Option<String>,
}

/// List the places that refer to artifacts, newest first
#[utoipa::path(
    get, path = "/v1/artifacts", tag = "read", operation_id = "listArtifacts",
    params(
        ("trace_id" = Option<String>, Query, description = "Of this trace"),
        ("span_id" = Option<String>, Query, description = "Of this span"),
        ("service" = Option<String>, Query, description = "Of this service"),
        ("content_type" = Option<String>, Query, description = "Of this type, or of these: `image/png`, `image/*`"),
        ("since" = Option<String>, Query, description = "From this time on (RFC 3339)"),
        ("until" = Option<String>, Query, description = "Before this time (RFC 3339)"),
        ("min_size" = Option<u64>, Query, description = "Of at least so many bytes"),
        ("max_size" = Option<u64>, Query, description = "Of at most so many bytes"),
        ("sha256" = Option<String>, Query, description = "That lead to this artifact"),
        ("signal" = Option<String>, Query, description = "`traces` or `logs`"),
        ("name" = Option<String>, Query, description = "With this in the name of the span or file"),
        ("state" = Option<String>, Query, description = "`stored`, `spooled`, `dropped`, `truncated`, or `referred`: those to files that their senders store themselves, whether or not they have done so"),
        ("tenant" = Option<String>, Query, description = "Of this tenant"),
        ("limit" = Option<usize>, Query, description = "At most so many, up to 1000"),
        ("cursor" = Option<String>, Query, description = "Behind the page that ended with it"),
    ),
    responses(
        (status = 200, description = "The places", body = References),
        Any,
        NoSense,
        NoCatalog,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn list(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, _) = Asking::begin(&server, request).await?;
    let filter = filter(&asking)?;
    let limit = asking.read::<usize>("limit")?.unwrap_or(USUAL);
    let after = asking.read::<Cursor>("cursor")?;
    let begun = Instant::now();
    let references = server.references(&filter, limit, after).await;
    // Those of others were passed over.
    until_step(begun, &asking.reader.scope).await;
    Ok(json(StatusCode::OK, &references?))
}

fn filter(asking: &Asking) -> Result<Filter, ApiError> {
    let time = |name| {
        let time = asking.parameter(name);
        let time = time.map(|time| {
            // What the parser says repeats what it was given.
            time.parse::<Timestamp>().map_err(|_| {
                let told = format!("{name}: a time is written as 2026-11-21T19:30:00Z (RFC 3339)");
                ApiError::bad(told)
            })
        });
        time.transpose()
    };
    Ok(Filter {
        tenants: asking.tenants()?,
        trace: asking.read("trace_id")?,
        span: asking.read("span_id")?,
        service: asking.parameter("service"),
        content_type: asking
            .parameter("content_type")
            .map(|text| TypePattern::new(&text)),
        since: time("since")?,
        until: time("until")?,
        min_size: asking.read("min_size")?,
        max_size: asking.read("max_size")?,
        digest: asking.read("sha256")?,
        signal: asking.parameter("signal"),
        name: asking.parameter("name"),
        state: asking.read("state")?,
    })
}

impl Server {
    /// A page of the catalog.
    pub(super) async fn references(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<References, ApiError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let page = self.index()?.page(filter, limit, after).await?;
        let mut references = Vec::with_capacity(page.entries.len());
        for entry in &page.entries {
            references.push(self.reference(entry).await);
        }
        Ok(References {
            references,
            next: page.next.map(|next| next.to_string()),
        })
    }

    async fn reference(&self, entry: &Entry) -> Reference {
        let address = entry.digest.map(|digest| Address {
            tenant: entry.tenant.clone(),
            digest,
        });
        let uri = match &address {
            Some(address) if self.is_here(address, entry.state).await => {
                Some(self.plain_url(address))
            }
            _ => None,
        };
        Reference {
            time: entry.time.to_string(),
            recorded: entry.recorded.to_string(),
            tenant: entry.tenant.to_string(),
            signal: entry.signal.clone(),
            service: entry.service.clone(),
            trace_id: entry.trace.map(|trace| trace.to_string()),
            span_id: entry.span.map(|span| span.to_string()),
            span_name: entry.span_name.clone(),
            carrier: entry.carrier.clone(),
            carrier_index: entry.carrier_index,
            event_name: entry.event_name.clone(),
            attribute: entry.attribute.clone(),
            path: entry.path.clone(),
            shape: entry.shape.clone(),
            sha256: entry.digest.map(|digest| digest.to_string()),
            content_type: entry.content_type.clone(),
            size_bytes: entry.size,
            filename: entry.file_name.clone(),
            state: entry.state.name(),
            uri,
        }
    }
}
