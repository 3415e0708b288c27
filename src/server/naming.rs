//! What a download is called: by its digest, and by what its sender called it, as far as that does no harm.

use std::fmt::Write as _;

/// The longest name, in characters, before its ending.
const LONGEST: usize = 100;

/// Endings of texts that nothing runs, and of what has two of them, by the ending that the bytes show.
const OTHERS: [(&str, &[&str]); 3] = [
    ("jpg", &["jpeg"]),
    ("json", &["jsonl", "ndjson"]),
    ("txt", &["log", "markdown", "md"]),
];

/// What Windows takes for devices, whatever stands behind a dot.
const DEVICES: [&str; 6] = ["aux", "con", "nul", "prn", "com", "lpt"];

/// The value of `Content-Disposition` (RFC 6266, RFC 8187): `plain` for all, and `given` for who reads more than
/// ASCII. `extension` is that of what the bytes show to be.
pub(super) fn disposition(
    use_as: &str,
    plain: &str,
    given: Option<&str>,
    extension: &str,
) -> String {
    let mut value = format!("{use_as}; filename=\"{plain}\"");
    if let Some(name) = given.and_then(|given| harmless(given, extension)) {
        value.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                value.push(char::from(byte));
            } else {
                let _ = write!(value, "%{byte:02X}");
            }
        }
    }
    value
}

/// A name that stays in the folder where it is saved, is seen as it is, and ends in what the file is; none if nothing
/// is left of it.
fn harmless(given: &str, extension: &str) -> Option<String> {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let seen = last.chars().filter(|c| !is_unseen(*c));
    let plain = seen.map(|c| if "<>:\"|?*".contains(c) { '_' } else { c });
    let plain: String = plain.collect();
    // Names that begin with a dot are hidden, and Windows leaves out those at the end.
    let is_edge = |c: char| c == '.' || c.is_whitespace();
    let name = plain.trim_matches(is_edge);
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let (stem, ending) = if is_of(ending, extension) {
        (stem, ending)
    } else {
        (name, extension)
    };
    let stem: String = stem.chars().take(LONGEST).collect();
    let stem = stem.trim_end_matches(is_edge);
    if stem.is_empty() {
        return None;
    }
    let before = if is_device(stem) { "_" } else { "" };
    Some(format!("{before}{stem}.{ending}"))
}

/// Whether files with this extension may end like that.
fn is_of(ending: &str, extension: &str) -> bool {
    let ending = ending.to_ascii_lowercase();
    let mut others = OTHERS.iter();
    ending == extension
        || others.any(|(of, others)| *of == extension && others.contains(&ending.as_str()))
}

/// What changes how the rest is seen, or is not seen itself.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffd}'
        )
}

fn is_device(stem: &str) -> bool {
    let first = stem.split('.').next().unwrap_or_default();
    let first = first.trim().to_ascii_lowercase();
    let device = first.trim_end_matches(|c: char| c.is_ascii_digit());
    DEVICES.contains(&device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_no_harm() {
        for (given, extension, name) in [
            ("report.pdf", "pdf", Some("report.pdf")),
            ("Report.PDF", "pdf", Some("Report.PDF")),
            ("photo.jpeg", "jpg", Some("photo.jpeg")),
            ("notes.md", "txt", Some("notes.md")),
            ("r\u{e9}sum\u{e9}", "txt", Some("r\u{e9}sum\u{e9}.txt")),
            // It ends in what it is, whatever it says.
            ("invoice.pdf.exe", "png", Some("invoice.pdf.exe.png")),
            ("page.html", "txt", Some("page.html.txt")),
            ("table.csv", "txt", Some("table.csv.txt")),
            ("run.md", "bin", Some("run.md.bin")),
            ("a.png.", "png", Some("a.png")),
            // It stays where it is put.
            ("../../etc/passwd", "txt", Some("passwd.txt")),
            ("C:\\Windows\\a.txt", "txt", Some("a.txt")),
            ("a:b?.txt", "txt", Some("a_b_.txt")),
            (".bashrc", "txt", Some("bashrc.txt")),
            ("nul", "txt", Some("_nul.txt")),
            ("COM1.png", "png", Some("_COM1.png")),
            ("console.png", "png", Some("console.png")),
            // It is seen as it is.
            ("a\u{202e}gnp.exe", "png", Some("agnp.exe.png")),
            ("a\r\nSet-Cookie: b=c", "txt", Some("aSet-Cookie_ b=c.txt")),
            ("a\u{200b}.png", "png", Some("a.png")),
            ("", "png", None),
            (" .. ", "png", None),
            ("a/", "png", None),
            (".png", "png", Some("png.png")),
        ] {
            assert_eq!(harmless(given, extension).as_deref(), name, "{given:?}");
        }
        let long = harmless(&"\u{e9}".repeat(500), "png").unwrap_or_default();
        assert_eq!(long.chars().count(), LONGEST + 4);
    }

    #[test]
    fn what_is_not_plain_is_encoded() {
        let value = disposition(
            "attachment",
            "sha256-a.png",
            Some("a \"\u{e9}%'; b.png"),
            "png",
        );
        let expected =
            "attachment; filename=\"sha256-a.png\"; filename*=UTF-8''a%20_%C3%A9%25%27%3B%20b.png";
        assert_eq!(value, expected);
        for given in [None, Some("//")] {
            let value = disposition("inline", "sha256-a.png", given, "png");
            assert_eq!(value, "inline; filename=\"sha256-a.png\"");
        }
    }
}
