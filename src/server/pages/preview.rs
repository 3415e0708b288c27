//! What is shown of an artifact on its page.

use axum::response::Response;
use futures::TryStreamExt as _;
use http::StatusCode;

use super::super::audit::Deed;
use super::super::pieces::{OpenError, Opened, PIECE, Reading};
use super::super::pixels::Pixels;
use super::super::slots::{Full, Slot};
use super::cards::group;
use super::{Address, Disposition, Server, Visit, json, markdown, pdf, words};
use crate::catalog::ArtifactFacts;
use crate::compute;

/// What is shown of a text.
const SHOWN: u64 = 256 << 10;

/// What is read of a JSON document, of which a browser gets no more for that.
const READ: u64 = 8 << 20;

/// Of a longer text nothing is shown: all of it would have to be read to know that it is right.
const LONGEST: u64 = 32 << 20;

/// A larger picture is not loaded into a page by itself.
const LARGEST: u64 = 32 << 20;

/// Nor one of more pixels: of each a browser makes four bytes, however few there are in the file.
const MOST_PIXELS: u64 = 50_000_000;

/// What is shown of an artifact; at most one of these.
#[derive(Debug, Default)]
pub(super) struct Preview {
    pub(super) image: Option<String>,
    /// Where that is seen by itself.
    pub(super) alone: String,
    pub(super) audio: Option<String>,
    pub(super) video: Option<String>,
    /// HTML that this server made of a text.
    pub(super) text: Option<String>,
    /// What is to be said of it.
    pub(super) note: String,
    /// Why some of it is not shown, which is said before the rest.
    pub(super) cut: String,
}

/// As what a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Markdown,
    Json,
}

impl Preview {
    pub(super) fn none(note: impl Into<String>) -> Self {
        Self {
            note: note.into(),
            ..Self::default()
        }
    }
}

impl Server {
    /// Shows an artifact, as far as that is safe and not too much.
    pub(super) async fn preview(
        &self,
        visit: &Visit,
        address: &Address,
        opened: Opened,
        facts: Option<&ArtifactFacts>,
    ) -> Result<Preview, Response> {
        let (media, size) = (opened.media, opened.size);
        let url = self.shown(visit, address, Disposition::Inline).await?;
        let mut preview = Preview::default();
        match group(media.shown) {
            "image" if size > LARGEST => {
                let largest = words::size(LARGEST);
                preview.note = format!(
                    "Pictures of more than {largest} are not shown here. Download it to see it."
                );
            }
            "image" if !media.has_at_most(MOST_PIXELS) => preview.note = too_large(media.pixels),
            "image" => {
                preview.alone = asking(&url, "raw");
                preview.image = Some(url);
            }
            // What is given as nothing but a download is not played.
            "audio" if media.is_inline => preview.audio = Some(url),
            "video" if media.is_inline => preview.video = Some(url),
            "text" if media.is_inline => {
                return self
                    .text(visit, address, opened, form(media.shown, facts))
                    .await;
            }
            _ if media.shown == "application/pdf" => {
                let facts = self.pdf(visit, address, opened).await?;
                preview.note = format!(
                    "{facts}PDFs are not shown here, because they can do things of their own. Download it to \
                     read it."
                );
            }
            _ => {
                let name = words::short_type(media.shown);
                preview.note = format!("There is no preview of {name}: download it to open it.");
            }
        }
        Ok(preview)
    }

    /// What a PDF says of itself, and a space; nothing where that is too much work.
    async fn pdf(
        &self,
        visit: &Visit,
        address: &Address,
        opened: Opened,
    ) -> Result<String, Response> {
        let size = opened.size;
        if size > pdf::LONGEST {
            return Ok(String::new());
        }
        let Ok(place) = self.place_to_look(visit, size).await else {
            return Ok(String::new());
        };
        let Some(bytes) = self.beginning(visit, address, opened, size).await? else {
            return Ok(String::new());
        };
        let work = move || {
            let facts = pdf::facts(&bytes);
            drop((bytes, place));
            facts
        };
        let facts = compute::run(work).await;
        Ok(facts.map(|facts| format!("{facts} ")).unwrap_or_default())
    }

    async fn text(
        &self,
        visit: &Visit,
        address: &Address,
        opened: Opened,
        form: Form,
    ) -> Result<Preview, Response> {
        let size = opened.size;
        if size > LONGEST {
            let longest = words::size(LONGEST);
            return Ok(Preview::none(format!(
                "Texts of more than {longest} are not shown here. Download it to read it."
            )));
        }
        let most = match form {
            Form::Json => READ,
            Form::Plain | Form::Markdown => SHOWN,
        };
        let place = match self.place_to_look(visit, size.min(most)).await {
            Ok(place) => place,
            Err(full) => {
                return Ok(Preview::none(format!(
                    "Too much is shown at the moment: {full}. Load the page again."
                )));
            }
        };
        let Some(bytes) = self.beginning(visit, address, opened, most).await? else {
            return Ok(Preview::none("It cannot be read at the moment."));
        };
        let work = move || {
            let preview = render(&bytes, size, form);
            drop((bytes, place));
            preview
        };
        let rendered = compute::run(work).await;
        Ok(rendered.unwrap_or_else(|_| Preview::none("It cannot be shown.")))
    }

    /// A place for a preview of so many bytes: what is short has one always.
    async fn place_to_look(&self, visit: &Visit, size: u64) -> Result<Option<Slot>, Full> {
        if size <= SHOWN {
            return Ok(None);
        }
        let payer = self.payer(&visit.reader, visit.peer);
        self.previews.take(&payer).await.map(Some)
    }

    /// The first bytes of an artifact, up to so many, of which all was found to be right; none where it cannot
    /// be read.
    async fn beginning(
        &self,
        visit: &Visit,
        address: &Address,
        opened: Opened,
        most: u64,
    ) -> Result<Option<Vec<u8>>, Response> {
        self.tell(visit, Deed::Read, address, StatusCode::OK)
            .await?;
        let read = async {
            let opened = if opened.size > PIECE {
                let store = self.store.of_tenant(&address.tenant);
                let payer = self.payer(&visit.reader, visit.peer);
                let part = |_| Reading::Part;
                self.pieces.open(&store, address, &payer, part).await?
            } else {
                opened
            };
            let end = most.min(opened.size);
            let room = Vec::with_capacity(end.try_into().unwrap_or_default());
            let all = opened
                .bytes(0..end)
                .try_fold(room, |mut all: Vec<u8>, piece| async move {
                    all.extend_from_slice(&piece);
                    Ok(all)
                });
            let all = all.await.map_err(|error| error.0)?;
            Ok::<_, OpenError>(all)
        };
        let read = read.await;
        Ok(read.inspect_err(|error| tracing::warn!("{error}")).ok())
    }
}

fn form(shown: &str, facts: Option<&ArtifactFacts>) -> Form {
    if shown == "application/json" {
        return Form::Json;
    }
    let is_markdown = facts.is_some_and(|facts| {
        let name = facts.file_name.as_deref().unwrap_or_default();
        let name = name.to_ascii_lowercase();
        facts.content_type == "text/markdown"
            || [".md", ".markdown"].iter().any(|end| name.ends_with(end))
    });
    if is_markdown {
        Form::Markdown
    } else {
        Form::Plain
    }
}

/// An address with one more question: `raw`, say, for a picture by itself, for who goes to the place from which a page
/// loads it comes back to that page.
pub(super) fn asking(url: &str, question: &str) -> String {
    let join = if url.contains('?') { '&' } else { '?' };
    format!("{url}{join}{question}")
}

/// Why a picture is not shown that would take too much of a browser.
fn too_large(pixels: Option<Pixels>) -> String {
    match pixels {
        Some(Pixels { width, height }) => format!(
            "This picture has {width} × {height} pixels, and those of more than {} million are not shown here. \
             Download it to see it.",
            MOST_PIXELS / 1_000_000
        ),
        None => "How many pixels this picture has does not show at its beginning, so it is not shown here. Download \
                 it to see it."
            .to_owned(),
    }
}

/// The beginning of a text of `size` bytes.
pub(super) fn render(bytes: &[u8], size: u64, form: Form) -> Preview {
    let is_whole = bytes.len() as u64 == size;
    let text = String::from_utf8_lossy(bytes);
    // A character that was cut is none.
    let text = if is_whole {
        &*text
    } else {
        text.trim_end_matches('\u{fffd}')
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if form == Form::Json
        && let Some(shown) = json::shown(text, is_whole)
    {
        return Preview {
            text: Some(shown.html),
            cut: shown.cut,
            ..Preview::default()
        };
    }
    // Of what is no JSON after all more was read than is shown.
    let shown = &text[..text.floor_char_boundary(SHOWN.try_into().unwrap_or(usize::MAX))];
    let mut cut = String::new();
    if !is_whole || shown.len() < text.len() {
        cut = format!(
            "Only the first {} of {} are shown.",
            words::size(SHOWN),
            words::size(size)
        );
    }
    let html = match form {
        Form::Markdown => markdown::html(shown),
        Form::Plain | Form::Json => None,
    };
    let html = html.unwrap_or_else(|| {
        let mut html = String::from("<pre class=\"text\" dir=\"auto\" tabindex=\"0\">");
        escape(shown, &mut html);
        html.push_str("</pre>");
        html
    });
    Preview {
        text: Some(html),
        cut,
        ..Preview::default()
    }
}

/// Adds a text that is nothing but text, and all of which is seen.
pub(super) fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.extend(seen(c)),
        }
    }
}

/// What is shown for a character, so that it is seen; nothing for the half of a line's end.
pub(super) fn seen(c: char) -> Option<char> {
    Some(match c {
        '\t' | '\n' => c,
        '\r' => return None,
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        // What turns the direction of what follows can make a text seem to be another.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    })
}
