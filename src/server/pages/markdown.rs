//! Markdown as text with a form: nothing in it leads anywhere, and nothing is loaded.

use pulldown_cmark::{
    Alignment, CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html::push_html,
};

use super::preview::{escape, seen};

/// A text that makes more of itself is shown as it stands.
const MOST: usize = 50_000;

/// A text; none if it would become too much.
pub(super) fn html(text: &str) -> Option<String> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut events = Vec::new();
    let mut links: Vec<CowStr<'_>> = Vec::new();
    let mut columns = Columns::default();
    for event in Parser::new_ext(text, options) {
        if events.len() >= MOST {
            return None;
        }
        events.push(match event {
            // HTML in it is text.
            Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
            Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
            Event::Html(html) | Event::InlineHtml(html) => Event::Text(shown(html)),
            Event::Text(text) => Event::Text(shown(text)),
            Event::Code(text) => Event::Code(shown(text)),
            // A language is told nowhere.
            Event::Start(Tag::CodeBlock(_)) => {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Indented))
            }
            Event::Start(Tag::Table(alignments)) => {
                columns.alignments = alignments;
                Event::Start(Tag::Table(Vec::new()))
            }
            Event::Start(row @ (Tag::TableHead | Tag::TableRow)) => {
                columns.begin(row == Tag::TableHead);
                Event::Start(row)
            }
            Event::Start(Tag::TableCell) => columns.cell(),
            // Where a link leads is told, and not gone to.
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url);
                Event::InlineHtml("<span class=\"link\">".into())
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                let mut end = String::from(" <span class=\"target\">(");
                if let Some(link) = links.pop() {
                    escape(&link, &mut end);
                }
                end.push_str(")</span></span>");
                Event::InlineHtml(end.into())
            }
            Event::Start(Tag::Heading { level, .. }) => Event::Start(Tag::Heading {
                level,
                id: None,
                classes: Vec::new(),
                attrs: Vec::new(),
            }),
            other => other,
        });
    }
    let mut html = String::from("<div class=\"markdown\" dir=\"auto\">");
    push_html(&mut html, events.into_iter());
    html.push_str("</div>");
    Some(html)
}

/// A text of which all is seen.
fn shown(text: CowStr<'_>) -> CowStr<'_> {
    if text.chars().all(|c| seen(c) == Some(c)) {
        text
    } else {
        text.chars().filter_map(seen).collect::<String>().into()
    }
}

/// The columns of a table. A class says how they stand: a page lets nothing in it have a style of its own.
#[derive(Default)]
struct Columns {
    alignments: Vec<Alignment>,
    is_head: bool,
    next: usize,
}

impl Columns {
    /// A row begins.
    fn begin(&mut self, is_head: bool) {
        self.is_head = is_head;
        self.next = 0;
    }

    /// The next cell of it begins.
    fn cell(&mut self) -> Event<'static> {
        let alignment = self.alignments.get(self.next);
        self.next += 1;
        let class = match alignment {
            Some(Alignment::Left) => "left",
            Some(Alignment::Center) => "center",
            Some(Alignment::Right) => "right",
            Some(Alignment::None) | None => return Event::Start(Tag::TableCell),
        };
        let name = if self.is_head { "th" } else { "td" };
        Event::InlineHtml(format!("<{name} class=\"{class}\">").into())
    }
}
