//! JSON as a tree that folds, with everything in it in its own order.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::preview::escape;

/// What is in a larger document is not told apart: a browser would be busy with it for long.
const MOST: usize = 20_000;

/// What is nested deeper is shown as it stands.
const DEEPEST: usize = 64;

/// What is open before anybody opens it.
const OPEN: usize = 3;

/// A document; none if it is not one, or too much.
pub(super) fn html(text: &str) -> Option<String> {
    let document: &RawValue = serde_json::from_str(text.trim()).ok()?;
    let mut tree = Tree {
        html: String::from("<ul class=\"json\">"),
        left: MOST,
    };
    tree.add(None, document, 0)?;
    tree.html.push_str("</ul>");
    Some(tree.html)
}

struct Tree {
    html: String,
    left: usize,
}

impl Tree {
    fn add(&mut self, key: Option<&str>, value: &RawValue, depth: usize) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        let raw = value.get();
        self.html.push_str("<li>");
        let is_too_deep = depth >= DEEPEST;
        match raw.as_bytes().first() {
            Some(b'{') if !is_too_deep => {
                let Pairs(pairs) = serde_json::from_str(raw).ok()?;
                self.open(key, "{", pairs.len(), "}", depth);
                for (key, value) in pairs {
                    self.add(Some(&key), value, depth + 1)?;
                }
                self.html.push_str("</ul></details>");
            }
            Some(b'[') if !is_too_deep => {
                let items: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
                self.open(key, "[", items.len(), "]", depth);
                for value in items {
                    self.add(None, value, depth + 1)?;
                }
                self.html.push_str("</ul></details>");
            }
            Some(b'"') => {
                self.key(key);
                self.html.push_str("<q class=\"string\">");
                let text: Option<String> = serde_json::from_str(raw).ok();
                escape(text.as_deref().unwrap_or(raw), &mut self.html);
                self.html.push_str("</q>");
            }
            // A number is shown with all its digits.
            _ => {
                self.key(key);
                self.html.push_str("<span class=\"literal\">");
                escape(raw, &mut self.html);
                self.html.push_str("</span>");
            }
        }
        self.html.push_str("</li>");
        Some(())
    }

    fn open(&mut self, key: Option<&str>, before: &str, count: usize, after: &str, depth: usize) {
        let open = if depth < OPEN { " open" } else { "" };
        self.html.extend(["<details", open, "><summary>"]);
        self.key(key);
        let count = format!("<span class=\"count\">{before}{count}{after}</span></summary><ul>");
        self.html.push_str(&count);
    }

    fn key(&mut self, key: Option<&str>) {
        if let Some(key) = key {
            self.html.push_str("<span class=\"key\">");
            escape(key, &mut self.html);
            self.html.push_str("</span> ");
        }
    }
}

/// The members of an object, also where two have the same name.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }

        deserializer.deserialize_map(Members).map(Self)
    }
}
