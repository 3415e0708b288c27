use std::fmt::Write as _;

/// A page that needs no script.
pub(super) struct Html(String);

const STYLE: &str = "\
body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2530;\
background:#fff}h1{font-size:1.3rem}h2{font-size:1rem;margin:1.6rem 0 .4rem}nav a{margin-right:1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.2rem .8rem .2rem 0;\
border-bottom:1px solid #dde3ea;vertical-align:top}th{font-weight:600;color:#4a5768}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.bad{color:#b3261e;font-weight:600}\
.good{color:#1b6e3c;font-weight:600}p.none{color:#6b7787}\
@media(prefers-color-scheme:dark){body{background:#14181d;color:#dbe2ea}th,p.none{color:#9aa7b6}\
th,td{border-color:#2b333d}a{color:#8ab4f8}.bad{color:#ff8a80}.good{color:#7fd6a0}}";

/// What a cell of a table holds.
pub(super) enum Cell {
    Text(String),
    Number(String),
    Good(String),
    Bad(String),
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    #[expect(clippy::needless_pass_by_value, reason = "numbers are small")]
    pub(super) fn number(number: impl ToString) -> Self {
        Self::Number(number.to_string())
    }
}

impl Html {
    /// A page of this title; a browser asks again after so many seconds, if a number is given.
    pub(super) fn new(title: &str, again: Option<u32>) -> Self {
        let mut html =
            String::from("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
        if let Some(seconds) = again {
            let _ = write!(html, "<meta http-equiv=\"refresh\" content=\"{seconds}\">");
        }
        html.push_str("<meta name=\"viewport\" content=\"width=device-width\">");
        let title = escape(title);
        let _ = write!(
            html,
            "<title>{title} - slimspan</title><style>{STYLE}</style></head><body>\
             <nav aria-label=\"pages\"><a href=\"/\">live</a> \
             <a href=\"/debug/servicez\">servicez</a> <a href=\"/debug/pipelinez\">pipelinez</a> \
             <a href=\"/debug/extensionz\">extensionz</a> <a href=\"/debug/featurez\">featurez</a> \
             <a href=\"/debug/tracez\">tracez</a></nav>\
             <main><h1>{title}</h1>"
        );
        Self(html)
    }

    pub(super) fn heading(&mut self, text: &str) {
        let _ = write!(self.0, "<h2>{}</h2>", escape(text));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        let _ = write!(self.0, "<p>{}</p>", escape(text));
    }

    /// A table in which nothing ever is.
    pub(super) fn heads(&mut self, heads: &[&str]) {
        self.0.push_str("<table><thead><tr>");
        for head in heads {
            let _ = write!(self.0, "<th scope=\"col\">{}</th>", escape(head));
        }
        self.0.push_str("</tr></thead></table>");
    }

    /// A table, or a word if there is nothing in it.
    pub(super) fn table(&mut self, heads: &[&str], rows: Vec<Vec<Cell>>) {
        let Some(first) = rows.first() else {
            self.0.push_str("<p class=\"none\">nothing yet</p>");
            return;
        };
        self.0.push_str("<table><thead><tr>");
        for (head, cell) in heads.iter().zip(first) {
            let class = match cell {
                Cell::Number(_) => " class=\"n\"",
                _ => "",
            };
            let _ = write!(self.0, "<th scope=\"col\"{class}>{}</th>", escape(head));
        }
        self.0.push_str("</tr></thead><tbody>");
        for row in rows {
            self.0.push_str("<tr>");
            for cell in row {
                let (class, text) = match cell {
                    Cell::Text(text) => ("", text),
                    Cell::Number(text) => (" class=\"n\"", text),
                    Cell::Good(text) => (" class=\"good\"", text),
                    Cell::Bad(text) => (" class=\"bad\"", text),
                };
                let _ = write!(self.0, "<td{class}>{}</td>", escape(&text));
            }
            self.0.push_str("</tr>");
        }
        self.0.push_str("</tbody></table>");
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</main></body></html>\n");
        self.0
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            symbol => escaped.push(symbol),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_page_is_read_as_markup() {
        let mut html = Html::new("<t>", Some(5));
        html.heading("a & b");
        html.table(&["x"], vec![vec![Cell::text("<script>'\"")]]);
        html.table(&["x"], Vec::new());
        let html = html.finish();
        assert!(
            html.contains("<h1>&lt;t&gt;</h1><h2>a &amp; b</h2>"),
            "{html}"
        );
        assert!(
            html.contains("<td>&lt;script&gt;&#39;&quot;</td>"),
            "{html}"
        );
        assert!(html.contains("content=\"5\""), "{html}");
        assert!(html.contains("nothing yet"), "{html}");
        assert!(!html.contains("<script"), "{html}");
    }
}
