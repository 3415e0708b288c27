use std::borrow::Cow;
use std::fmt::Write as _;

use anstyle::AnsiColor;

/// Whether text carries colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Style {
    /// Text only, for files, pipes and logs.
    #[default]
    Plain,
    /// With ANSI escape sequences, for terminals.
    Ansi,
}

/// Text with a role that decides its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<'a> {
    text: Cow<'a, str>,
    look: anstyle::Style,
}

impl<'a> Piece<'a> {
    /// Ordinary text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, anstyle::Style::new())
    }

    /// What a line is about.
    pub fn title(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, anstyle::Style::new().bold())
    }

    /// The name of what follows.
    pub fn label(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, AnsiColor::Cyan.on_default())
    }

    /// What few readers need.
    pub fn aside(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, anstyle::Style::new().dimmed())
    }

    /// A reference to an artifact.
    pub fn artifact(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, AnsiColor::Magenta.on_default())
    }

    /// Something went well.
    pub fn good(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, AnsiColor::Green.on_default())
    }

    /// Something went wrong.
    pub fn bad(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text, AnsiColor::Red.on_default())
    }

    fn new(text: impl Into<Cow<'a, str>>, look: anstyle::Style) -> Self {
        Self {
            text: text.into(),
            look,
        }
    }
}

/// Lines for a terminal. Every piece is escaped on its way in.
#[derive(Debug, Default)]
pub struct Page {
    style: Style,
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            text: String::new(),
        }
    }

    /// Adds one line, `depth` steps of two spaces to the right.
    pub fn line<'a>(&mut self, depth: usize, pieces: impl IntoIterator<Item = Piece<'a>>) {
        self.text.extend(std::iter::repeat_n("  ", depth));
        for piece in pieces {
            self.put(&piece);
        }
        self.text.push('\n');
    }

    /// The lines, each ended by a line feed.
    pub fn finish(self) -> String {
        self.text
    }

    fn put(&mut self, piece: &Piece<'_>) {
        let coloured = self.style == Style::Ansi && piece.look != anstyle::Style::new();
        // Writing to a String cannot fail.
        if coloured {
            let _ = write!(self.text, "{}", piece.look.render());
        }
        self.text.push_str(&escaped(&piece.text));
        if coloured {
            let _ = write!(self.text, "{}", piece.look.render_reset());
        }
    }
}

/// `text` with escapes in place of what would drive a terminal. Page does so by itself; this is
/// for who has to know how wide a text will be.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for symbol in text.chars() {
        if is_unsafe(symbol) {
            escaped.extend(symbol.escape_default());
        } else {
            escaped.push(symbol);
        }
    }
    Cow::Owned(escaped)
}

/// Control characters, and the invisible ones that reorder or break a line.
pub fn is_unsafe(symbol: char) -> bool {
    symbol.is_control()
        || matches!(symbol,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_line(style: Style, piece: Piece<'_>) -> String {
        let mut page = Page::new(style);
        page.line(0, [piece]);
        page.finish()
    }

    #[test]
    fn escapes_what_would_drive_a_terminal() {
        let hostile = "\u{1b}]0;title\u{7}\u{9b}31m\r\n\t\u{7f}\u{202e}gnp";
        let expected = "\\u{1b}]0;title\\u{7}\\u{9b}31m\\r\\n\\t\\u{7f}\\u{202e}gnp\n";
        assert_eq!(one_line(Style::Plain, Piece::text(hostile)), expected);
        assert_eq!(one_line(Style::Ansi, Piece::text(hostile)), expected);
    }

    #[test]
    fn leaves_other_scripts_and_symbols_alone() {
        let text = "größe 東京 🌄 \"quoted\" \\ back";
        assert_eq!(
            one_line(Style::Plain, Piece::text(text)),
            format!("{text}\n")
        );
    }

    #[test]
    fn colours_only_when_told() {
        assert_eq!(one_line(Style::Plain, Piece::title("a")), "a\n");
        assert_eq!(
            one_line(Style::Ansi, Piece::title("a")),
            "\u{1b}[1ma\u{1b}[0m\n"
        );
    }

    #[test]
    fn indents_by_two_spaces() {
        let mut page = Page::new(Style::Plain);
        page.line(2, [Piece::text("a"), Piece::label("b")]);
        assert_eq!(page.finish(), "    ab\n");
    }
}
