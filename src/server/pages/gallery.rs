//! The newest artifacts.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use tokio::time::Instant;

use super::super::absence::until_step;
use super::cards::{Card, cards};
use super::{Explained, Server, Site, Visit, unanswered};
use crate::catalog::{Count, Menus, Page};

/// References on a page.
const SHOWN: usize = 60;

/// So many services are offered; others are found by their name.
const MOST_SERVICES: usize = 500;

const KINDS: [(&str, &str); 4] = [
    ("image/*", "Images"),
    ("audio/*", "Audio"),
    ("video/*", "Video"),
    ("text/*", "Text"),
];

const STATES: [(&str, &str); 5] = [
    ("stored", "Stored"),
    ("spooled", "On its way"),
    ("dropped", "Given up"),
    ("truncated", "Cut before it came"),
    ("referred", "Stored by its sender"),
];

/// Something to choose.
struct Choice {
    value: String,
    label: String,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "gallery.html", config = "src/server/pages/askama.toml")]
struct Gallery<'a> {
    site: &'a Site,
    visit: &'a Visit,
    cards: Vec<Card>,
    services: Vec<Choice>,
    types: Vec<Choice>,
    states: Vec<Choice>,
    /// None where there is one alone.
    tenants: Vec<Choice>,
    /// All references that may be seen.
    entries: String,
    is_empty: bool,
    /// What is wrong with the filter.
    mistake: Option<String>,
    is_read: bool,
    is_first: bool,
    newest: String,
    older: Option<String>,
}

pub(super) async fn gallery(State(server): State<Arc<Server>>, request: Request) -> Response {
    match Visit::begin(&server, request).await {
        Ok(visit) => show(&server, &visit).await.unwrap_or_else(|other| other),
        Err(response) => response,
    }
}

async fn show(server: &Server, visit: &Visit) -> Result<Response, Response> {
    let (site, query) = (&visit.site, &visit.query);
    let catalog = server.catalog.as_ref();
    let catalog = catalog.ok_or_else(|| Explained::no_catalog().page(site))?;
    let index = catalog.index();
    let menus = match index.menus(&visit.everybody()).await {
        Ok(menus) => menus,
        Err(error) => return Err(unanswered(site, &error)),
    };
    let filter = query.filter(visit.tenants());
    let asked = filter.and_then(|filter| Ok((filter, query.cursor()?)));
    let (page, mistake) = match asked {
        Ok((filter, after)) => {
            let begun = Instant::now();
            let page = index.page(&filter, SHOWN, after).await;
            // What others have was passed over.
            until_step(begun, &visit.reader.scope).await;
            (page.map_err(|error| unanswered(site, &error))?, None)
        }
        Err(mistake) => (Page::default(), Some(mistake)),
    };
    let status = if mistake.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    let gallery = Gallery {
        site,
        visit,
        cards: cards(server, visit, &page.entries).await?,
        services: offered(&menus.services, &query.service, MOST_SERVICES),
        types: types(&menus, &query.content_type),
        states: fixed(&STATES, &query.state),
        tenants: if menus.tenants.len() > 1 {
            offered(&menus.tenants, &query.tenant, usize::MAX)
        } else {
            Vec::new()
        },
        entries: super::words::grouped(menus.entries),
        is_empty: menus.entries == 0,
        mistake,
        is_read: server.is_catalog_read(),
        is_first: query.after.is_empty(),
        newest: link(site, &query.with_after(None)),
        older: page
            .next
            .map(|next| link(site, &query.with_after(Some(next)))),
    };
    Ok(site.page(status, &gallery))
}

fn link(site: &Site, query: &str) -> String {
    if query.is_empty() {
        return format!("{}/", site.base);
    }
    format!("{}/?{query}", site.base)
}

fn types(menus: &Menus, chosen: &str) -> Vec<Choice> {
    let kinds = KINDS.iter().filter(|(value, _)| {
        let kind = value.trim_end_matches('*');
        let mut types = menus.content_types.iter();
        types.any(|count| count.value.starts_with(kind)) || *value == chosen
    });
    let kinds: Vec<_> = kinds.copied().collect();
    let is_kind = kinds.iter().any(|(value, _)| *value == chosen);
    let mut types = fixed(&kinds, chosen);
    let chosen = if is_kind { "" } else { chosen };
    types.extend(offered(&menus.content_types, chosen, usize::MAX));
    types
}

fn fixed(choices: &[(&str, &str)], chosen: &str) -> Vec<Choice> {
    let choices = choices.iter().map(|(value, label)| Choice {
        value: (*value).to_owned(),
        label: (*label).to_owned(),
        is_chosen: *value == chosen,
    });
    choices.collect()
}

/// What there is, with how often; what is chosen is among it even where there is nothing of it any more.
fn offered(counts: &[Count], chosen: &str, most: usize) -> Vec<Choice> {
    let counts = counts.iter().take(most);
    let mut choices: Vec<Choice> = counts
        .filter(|count| !count.value.is_empty())
        .map(|count| Choice {
            value: count.value.clone(),
            label: format!("{} ({})", count.value, super::words::grouped(count.entries)),
            is_chosen: count.value == chosen,
        })
        .collect();
    if !chosen.is_empty() && !choices.iter().any(|choice| choice.is_chosen) {
        choices.push(Choice {
            value: chosen.to_owned(),
            label: chosen.to_owned(),
            is_chosen: true,
        });
    }
    choices
}
