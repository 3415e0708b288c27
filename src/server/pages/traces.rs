//! A trace: its spans in their order, with their artifacts.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tokio::time::Instant;

use super::super::absence::until_step;
use super::cards::{Card, cards};
use super::{Explained, Server, Site, Visit, unanswered, words};
use crate::catalog::TraceId;

struct Span {
    name: String,
    /// None for log records without a span.
    id: Option<String>,
    service: String,
    time: String,
    moment: String,
    /// How long after the first.
    later: String,
    cards: Vec<Card>,
}

#[derive(Template)]
#[template(path = "trace.html", config = "src/server/pages/askama.toml")]
struct Trace<'a> {
    site: &'a Site,
    id: String,
    spans: Vec<Span>,
    artifacts: usize,
    began: String,
    is_cut: bool,
}

pub(super) async fn trace(State(server): State<Arc<Server>>, request: Request) -> Response {
    match Visit::begin(&server, request).await {
        Ok(visit) => show(&server, &visit).await.unwrap_or_else(|other| other),
        Err(response) => response,
    }
}

async fn show(server: &Server, visit: &Visit) -> Result<Response, Response> {
    let site = &visit.site;
    let id = visit.path.rsplit('/').next().unwrap_or_default();
    let id: TraceId = id.parse().map_err(|error| {
        Explained::bad_question(format!("This is no trace: {error}.")).page(site)
    })?;
    let catalog = server.catalog.as_ref();
    let catalog = catalog.ok_or_else(|| Explained::no_catalog().page(site))?;
    let index = catalog.index();
    let begun = Instant::now();
    let trace = index.trace(&visit.tenants(), id).await;
    // What others have in it was passed over.
    until_step(begun, &visit.reader.scope).await;
    let trace = trace.map_err(|error| unanswered(site, &error))?;
    let trace = trace.ok_or_else(|| Explained::no_trace().page(site))?;
    let first = trace.spans.first().map(|span| span.time);
    let mut spans = Vec::new();
    for span in &trace.spans {
        let name = match (span.name.is_empty(), span.span) {
            (false, _) => span.name.clone(),
            (true, Some(_)) => "A span without a name".to_owned(),
            (true, None) => "Log records without a span".to_owned(),
        };
        let shown = cards(server, visit, &span.entries).await?;
        spans.push(Span {
            name,
            id: span.span.map(|id| id.to_string()),
            service: span.service.clone(),
            time: words::time(span.time),
            moment: span.time.to_string(),
            later: words::later(first.unwrap_or(span.time), span.time),
            cards: shown.into_iter().map(Card::below_its_span).collect(),
        });
    }
    let page = Trace {
        site,
        id: id.to_string(),
        artifacts: spans.iter().map(|span| span.cards.len()).sum(),
        began: first.map(words::time).unwrap_or_default(),
        spans,
        is_cut: trace.is_cut,
    };
    Ok(site.page(StatusCode::OK, &page))
}
