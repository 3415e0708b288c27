//! JSON as a tree that folds, with everything in it in its own order. Of what is too much for a browser there is the
//! beginning of each part, so that all of it can be looked over.

#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::tree::{BYTES, Inside, Kind, Measure, Piece, Stop, VALUES, Value, read};
use super::preview::escape;
use super::words;

/// How many values of each object and array are shown, as many of these as are not too many in all.
const EACH: [usize; 5] = [usize::MAX, 1000, 200, 50, 10];

/// How much of each name, text and number is shown, likewise.
const LONG: [usize; 5] = [usize::MAX, 16 << 10, 4 << 10, 1 << 10, 256];

/// What is open before anybody opens it, where all is shown.
const OPEN: usize = 3;

/// The same where there is more than is shown: its outline.
const OPEN_OF_MUCH: usize = 1;

/// A document as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) html: String,
    /// What is not, if anything is not.
    pub(super) cut: String,
}

/// A document, or the beginning of one where `is_whole` is false; none if it is not one.
pub(super) fn shown(text: &str, is_whole: bool) -> Option<Shown> {
    let text = text.trim();
    if is_whole {
        let _: &RawValue = serde_json::from_str(text).ok()?;
    }
    let (document, measure) = fitting(text)?;
    let mut tree = Tree {
        html: String::from("<ul class=\"json\">"),
        open: if is_whole && all_is_kept(&document) {
            OPEN
        } else {
            OPEN_OF_MUCH
        },
    };
    tree.add(&document, 0);
    tree.html.push_str("</ul>");
    let cut = if tree.open == OPEN {
        String::new()
    } else {
        told(text, is_whole, measure)
    };
    Some(Shown {
        html: tree.html,
        cut,
    })
}

/// As much of it as can be shown.
fn fitting(text: &str) -> Option<(Value<'_>, Measure)> {
    let (mut each, mut long) = (0, 0);
    loop {
        let measure = Measure {
            each: EACH[each],
            long: LONG[long],
            is_fewest: each + 1 == EACH.len(),
            is_least: each + 1 == EACH.len() && long + 1 == LONG.len(),
        };
        match read(text, measure) {
            Ok(document) => return Some((document, measure)),
            Err(Stop::NoJson) => return None,
            Err(Stop::MuchText) if long + 1 < LONG.len() => long += 1,
            // The last of each stops at nothing.
            Err(Stop::MuchText | Stop::ManyValues) => each += 1,
        }
    }
}

fn all_is_kept(value: &Value<'_>) -> bool {
    let is_all = |piece: &Piece<'_>| piece.left == 0;
    let kind = match &value.kind {
        Kind::String(piece) | Kind::Literal(piece) => is_all(piece),
        Kind::Object(inside) | Kind::Array(inside) => {
            inside.is_whole
                && inside.count == inside.values.len()
                && inside.values.iter().all(all_is_kept)
        }
    };
    kind && value.name.as_ref().is_none_or(is_all)
}

/// What is missing, for people.
fn told(text: &str, is_whole: bool, measure: Measure) -> String {
    let mut parts = Vec::new();
    if !is_whole {
        let read = words::size(text.len() as u64);
        parts.push(format!("only the first {read} of it"));
    }
    if measure.each < usize::MAX {
        let each = words::grouped(measure.each as u64);
        parts.push(format!("up to {each} values of each object and array"));
    }
    if measure.long < usize::MAX {
        let long = words::size(measure.long as u64);
        parts.push(format!("up to {long} of each text"));
    }
    if measure.is_fewest {
        let (values, bytes) = (words::grouped(VALUES as u64), words::size(BYTES as u64));
        parts.push(format!("up to {values} values and {bytes} of text in all"));
    }
    format!(
        "This JSON is too much for a page: {} are shown.",
        parts.join(", ")
    )
}

/// What is shown of a document, as it is made.
struct Tree {
    html: String,
    open: usize,
}

impl Tree {
    fn add(&mut self, value: &Value<'_>, depth: usize) {
        self.html.push_str("<li>");
        match &value.kind {
            Kind::Object(inside) => self.inside(value, ["{", "}"], inside, depth),
            Kind::Array(inside) => self.inside(value, ["[", "]"], inside, depth),
            Kind::String(piece) => {
                self.name(value);
                self.html.push_str("<q class=\"string\">");
                escape(&decoded(piece.text), &mut self.html);
                self.html.push_str("</q>");
                self.left(piece);
            }
            // A number is shown with all its digits.
            Kind::Literal(piece) => {
                self.name(value);
                self.html.push_str("<span class=\"literal\">");
                escape(piece.text, &mut self.html);
                self.html.push_str("</span>");
                self.left(piece);
            }
        }
        self.html.push_str("</li>");
    }

    fn inside(
        &mut self,
        value: &Value<'_>,
        [before, after]: [&str; 2],
        inside: &Inside<'_>,
        depth: usize,
    ) {
        let open = if depth < self.open { " open" } else { "" };
        self.html.extend(["<details", open, "><summary>"]);
        self.name(value);
        let count = inside.count;
        let more = if inside.is_whole { "" } else { "+" };
        let count =
            format!("<span class=\"count\">{before}{count}{more}{after}</span></summary><ul>");
        self.html.push_str(&count);
        for value in &inside.values {
            self.add(value, depth + 1);
        }
        let hidden = inside.count - inside.values.len();
        if hidden > 0 {
            let hidden = words::grouped(hidden as u64);
            self.more(&["<li class=\"more\">… ", &hidden, more, " more</li>"]);
        } else if !inside.is_whole {
            self.more(&["<li class=\"more\">… more</li>"]);
        }
        self.html.push_str("</ul></details>");
    }

    fn name(&mut self, value: &Value<'_>) {
        if let Some(name) = &value.name {
            self.html.push_str("<span class=\"key\">");
            escape(&decoded(name.text), &mut self.html);
            self.html.push_str("</span>");
            self.left(name);
            self.html.push(' ');
        }
    }

    /// Says how much of something is not shown.
    fn left(&mut self, piece: &Piece<'_>) {
        if piece.left > 0 {
            let left = words::size(piece.left as u64);
            self.more(&[" <span class=\"more\">… ", &left, " more</span>"]);
        }
    }

    fn more(&mut self, parts: &[&str]) {
        self.html.extend(parts.iter().copied());
    }
}

/// What is written between quotes, as it is meant.
fn decoded(written: &str) -> Cow<'_, str> {
    if !written.contains('\\') {
        return Cow::Borrowed(written);
    }
    let meant = serde_json::from_str(&format!("\"{written}\""));
    meant.map_or(Cow::Borrowed(written), Cow::Owned)
}
