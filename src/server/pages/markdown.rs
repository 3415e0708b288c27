//! Markdown as text with a form: nothing in it leads anywhere, and nothing is loaded.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html::push_html};

use super::preview::escape;

/// A text that makes more of itself is shown as it stands.
const MOST: usize = 50_000;

/// A text; none if it would become too much.
pub(super) fn html(text: &str) -> Option<String> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut events = Vec::new();
    let mut links: Vec<CowStr<'_>> = Vec::new();
    for event in Parser::new_ext(text, options) {
        if events.len() >= MOST {
            return None;
        }
        events.push(match event {
            // HTML in it is text.
            Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
            Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
            Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
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
