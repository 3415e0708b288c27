//! A reference in a gallery.

use std::collections::HashMap;

use axum::response::Response;

use super::super::artifacts::ON_CARD;
use super::super::media::Media;
use super::preview::asking;
use super::{Disposition, Server, Visit, address, words};
use crate::catalog::{Entry, State};

/// A larger picture is not loaded into a gallery: there are no smaller ones of it.
const LARGEST_THUMB: u64 = 4 << 20;

/// What one artifact shows of itself among others.
#[derive(Debug)]
pub(super) struct Card {
    /// Its page; none of what was cut before it came.
    pub(super) page: Option<String>,
    /// Where it is as a picture.
    pub(super) thumb: Option<String>,
    /// `image`, `audio`, `video`, `text` or `file`.
    pub(super) kind: &'static str,
    /// Its type in a few letters.
    pub(super) short_type: String,
    pub(super) content_type: String,
    /// What a payload calls it, or where it stands.
    pub(super) title: String,
    /// The picture in words.
    pub(super) alt: String,
    pub(super) size: String,
    pub(super) time: String,
    /// For programs.
    pub(super) moment: String,
    pub(super) service: String,
    pub(super) span_name: String,
    pub(super) attribute: String,
    /// The page of its trace.
    pub(super) trace: Option<String>,
    /// Where it stands, for who has no page of a trace to go to, or is there.
    pub(super) place: String,
    pub(super) tenant: String,
    /// What is to be known of it if it is not simply there.
    pub(super) state: Option<&'static str>,
    /// How often it is on this page.
    pub(super) times: usize,
}

/// A card for each artifact among `entries`, in their order: of what came several times, the first.
pub(super) async fn cards(
    server: &Server,
    visit: &Visit,
    entries: &[Entry],
) -> Result<Vec<Card>, Response> {
    let mut cards: Vec<Card> = Vec::new();
    let mut places = HashMap::new();
    for entry in entries {
        if let Some(digest) = entry.digest {
            let place = places.entry((&entry.tenant, digest)).or_insert(cards.len());
            if let Some(card) = cards.get_mut(*place) {
                card.times += 1;
                continue;
            }
        }
        let mut card = Card::of(visit, entry);
        if let Some(digest) = entry.digest {
            let address = address(&entry.tenant, digest);
            if !server.is_here(&address, entry.state).await {
                card.is_not_here(entry.state);
            } else if is_thumb(entry) {
                let thumb = server.shown(visit, &address, Disposition::Inline).await?;
                card.thumb = Some(asking(&thumb, ON_CARD));
            }
        }
        cards.push(card);
    }
    Ok(cards)
}

impl Card {
    pub(super) fn of(visit: &Visit, entry: &Entry) -> Self {
        let base = &visit.site.base;
        let page = entry
            .digest
            .map(|digest| visit.site.artifact(&address(&entry.tenant, digest)));
        let short_type = words::short_type(&entry.content_type);
        let named = entry.file_name.as_deref();
        let named = named.filter(|name| !name.trim().is_empty());
        let title = match named {
            Some(name) => name.to_owned(),
            None if !entry.attribute.is_empty() => entry.attribute.clone(),
            None => format!("{short_type} file"),
        };
        let mut alt = if entry.attribute.is_empty() {
            title.clone()
        } else if entry.span_name.is_empty() {
            format!("{short_type} in {}", entry.attribute)
        } else {
            format!("{short_type} in {} of {}", entry.attribute, entry.span_name)
        };
        // Several may stand in one attribute of one span.
        if let Some(name) = named.filter(|name| *name != alt) {
            alt = format!("{name}: {alt}");
        }
        Self {
            page,
            thumb: None,
            kind: kind(&entry.content_type),
            short_type,
            content_type: entry.content_type.clone(),
            title,
            alt,
            size: words::size(entry.size),
            time: words::time(entry.time),
            moment: entry.time.to_string(),
            service: entry.service.clone(),
            span_name: entry.span_name.clone(),
            attribute: entry.attribute.clone(),
            trace: entry.trace.map(|trace| format!("{base}/traces/{trace}")),
            place: entry.span_name.clone(),
            tenant: entry.tenant.to_string(),
            state: words::state(entry.state),
            times: 1,
        }
    }

    /// Its bytes cannot be had here, at least for now.
    fn is_not_here(&mut self, state: State) {
        if state == State::Spooled {
            self.state = Some("on its way, not here yet");
        }
    }

    /// The same below the head of its span, on the page of its trace: what is said there is not said again.
    #[must_use]
    pub(super) fn below_its_span(self) -> Self {
        let place = if self.title == self.attribute {
            String::new()
        } else {
            self.attribute.clone()
        };
        Self {
            place,
            trace: None,
            service: String::new(),
            ..self
        }
    }
}

fn is_thumb(entry: &Entry) -> bool {
    kind(&entry.content_type) == "image" && entry.size <= LARGEST_THUMB
}

/// As what a file is shown among others that is said to be of this type.
pub(super) fn kind(said: &str) -> &'static str {
    match group(said) {
        // Nothing plays the others: they are files to download.
        "audio" | "video" if !Media::is_shown(said) => "file",
        of => of,
    }
}

/// To what a type belongs, whether or not browsers show it.
pub(super) fn group(content_type: &str) -> &'static str {
    match content_type {
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "image/avif" | "image/bmp"
        | "image/svg+xml" => "image",
        "application/json" => "text",
        other if other.starts_with("audio/") => "audio",
        other if other.starts_with("video/") => "video",
        other if other.starts_with("text/") => "text",
        _ => "file",
    }
}
