//! Everything that has to be known beside the bytes to write a value as it was.

use super::{Codec, Lines, percent};

/// How the bytes of an artifact stood in the request. Together with the bytes it gives the text
/// back exactly.
///
/// In references it travels as a short text, the token: the codec's name and, only where they are
/// needed, parameters behind it, `&name=value` each. It is the same text in every form of
/// reference, and made of letters, digits and `%&=.-`, so that nothing has to escape it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) codec: Codec,
    /// What stands before the codec's text: a data URI up to and including its comma.
    pub(crate) prefix: Vec<u8>,
    pub(crate) lines: Option<Lines>,
    /// Characters of the codec's text that the text around it writes differently, and how.
    pub(crate) escapes: Vec<(u8, Vec<u8>)>,
    /// How every character of the codec's text is written, if none stands for itself.
    pub(crate) all_escaped: Option<AllEscaped>,
    /// Whether the reference is a string in place of something that was none: the quotes around
    /// it are the reference's.
    pub(crate) quotes: bool,
    /// Whether the value was a JSON text of one string, which the reference replaced with its
    /// quotes.
    pub(crate) literal: bool,
    /// Whether the key of the attribute was extended by `_ref`.
    pub(crate) renamed: bool,
    /// What else was changed in the message part around it.
    pub(crate) part: Option<PartToken>,
}

/// Text of which every character is its number: `\u0041` for `A`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllEscaped {
    /// What stands before the two digits.
    pub(crate) before: Vec<u8>,
    /// Whether the digits are `A` to `F`, not `a` to `f`.
    pub(crate) upper: bool,
}

impl AllEscaped {
    /// Reads how `written` is written, which stands for `plain`.
    pub(crate) fn of(written: &[u8], plain: &[u8]) -> Option<Self> {
        let width = written.len().checked_div(plain.len())?;
        let before = written.get(..width.checked_sub(2)?)?.to_vec();
        [false, true]
            .map(|upper| Self {
                before: before.clone(),
                upper,
            })
            .into_iter()
            .find(|way| way.write(plain) == written)
    }

    fn write(&self, plain: &[u8]) -> Vec<u8> {
        let digits = if self.upper {
            b"0123456789ABCDEF"
        } else {
            b"0123456789abcdef"
        };
        let digit = |nibble: u8| digits.get(usize::from(nibble)).copied().unwrap_or_default();
        let mut written = Vec::with_capacity(plain.len() * (self.before.len() + 2));
        for &c in plain {
            written.extend_from_slice(&self.before);
            written.extend_from_slice(&[digit(c >> 4), digit(c & 15)]);
        }
        written
    }
}

/// The changes to a provider's message part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartToken {
    /// Which rewrite of the table it was.
    pub(crate) rewrite: String,
    /// Which of its variants, by number.
    pub(crate) variant: usize,
    /// Members that were added: their initials.
    pub(crate) added: String,
    /// Where in the text the changed words stand: of the type or the holder, and of the key. None
    /// where the part is no text.
    pub(crate) targets: Option<(Target, Target)>,
}

/// Where a changed word stands, seen from the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// So many bytes before its start.
    Before(usize),
    /// So many bytes after its end.
    After(usize),
}

/// The token of a whole data URI with nothing special about it.
const DATA_URI: &str = "data-uri";

impl Written {
    pub(crate) fn new(codec: Codec) -> Self {
        Self {
            codec,
            prefix: Vec::new(),
            lines: None,
            escapes: Vec::new(),
            all_escaped: None,
            quotes: false,
            literal: false,
            renamed: false,
            part: None,
        }
    }

    /// The codec's text, in lines if it was.
    pub(crate) fn plain(&self, bytes: &[u8]) -> Vec<u8> {
        let text = self.codec.encode(bytes);
        match self.lines {
            Some(lines) => lines.split(&text),
            None => text,
        }
    }

    /// The longest text that so many bytes are taken out of. Nobody writes a longer one; a token
    /// can ask for any.
    pub(crate) fn longest(bytes: usize) -> usize {
        bytes.saturating_mul(64).saturating_add(4096)
    }

    /// The text or bytes that stood in the request, if they are not longer than `limit`; else how long they
    /// are at least.
    pub(crate) fn write_within(&self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, usize> {
        // No codec makes less of them.
        if bytes.len() > limit {
            return Err(bytes.len());
        }
        let plain = self.plain(bytes);
        let escaped = if let Some(all) = &self.all_escaped {
            plain.len().saturating_mul(all.before.len() + 2)
        } else {
            let escape = |(special, written): &(u8, Vec<u8>)| {
                let count = memchr::memchr_iter(*special, &plain).count();
                count.saturating_mul(written.len().saturating_sub(1))
            };
            let grown = self.escapes.iter().map(escape);
            grown.fold(plain.len(), usize::saturating_add)
        };
        let len = escaped.saturating_add(self.prefix.len());
        if len > limit {
            return Err(len);
        }
        Ok(self.write_plain(plain))
    }

    /// The text or bytes that stood in the request, from what [`plain`](Self::plain) gives.
    pub(crate) fn write_plain(&self, mut text: Vec<u8>) -> Vec<u8> {
        if let Some(all) = &self.all_escaped {
            text = all.write(&text);
        } else if !self.escapes.is_empty() {
            let mut escaped = Vec::with_capacity(text.len() + text.len() / 16);
            for &c in &text {
                match self.escapes.iter().find(|(plain, _)| *plain == c) {
                    Some((_, written)) => escaped.extend_from_slice(written),
                    None => escaped.push(c),
                }
            }
            text = escaped;
        }
        if !self.prefix.is_empty() {
            text.splice(0..0, self.prefix.iter().copied());
        }
        text
    }

    /// How a quote is written in the text around.
    pub(crate) fn quote(&self) -> &[u8] {
        let escape = self.escapes.iter().find(|(plain, _)| *plain == b'"');
        escape.map_or(b"\"", |(_, written)| written)
    }

    /// All of it as a token. `media_type` is what the reference says beside it, if anything.
    pub(crate) fn to_token(&self, media_type: Option<&str>) -> String {
        let usual = media_type.map(data_uri_prefix);
        let is_data_uri = self.codec == Codec::BASE64
            && usual.is_some_and(|usual| usual.as_bytes() == self.prefix);
        let mut token = if is_data_uri {
            DATA_URI.to_owned()
        } else {
            self.codec.to_string()
        };
        if !is_data_uri && !self.prefix.is_empty() {
            token += "&prefix=";
            token += &percent::encode(&self.prefix);
        }
        if let Some(lines) = self.lines {
            token += "&lines=";
            token += &lines.to_token();
        }
        for (plain, written) in &self.escapes {
            token += "&esc=";
            token += &percent::encode(&[*plain]);
            token.push('.');
            token += &percent::encode(written);
        }
        if let Some(all) = &self.all_escaped {
            token += "&all=";
            token += &percent::encode(&all.before);
            token += if all.upper { ".XX" } else { ".xx" };
        }
        for (is, name) in [
            (self.quotes, "&quotes"),
            (self.literal, "&literal"),
            (self.renamed, "&ref"),
        ] {
            if is {
                token += name;
            }
        }
        if let Some(part) = &self.part {
            token += "&part=";
            token += &part.to_token();
        }
        token
    }

    /// Reads what [`to_token`](Self::to_token) wrote, and nothing else.
    pub(crate) fn parse(token: &str, media_type: Option<&str>) -> Option<Self> {
        let mut parameters = token.split('&');
        let codec = parameters.next()?;
        let mut written = if codec == DATA_URI {
            Self {
                prefix: data_uri_prefix(media_type?).into_bytes(),
                ..Self::new(Codec::BASE64)
            }
        } else {
            Self::new(codec.parse().ok()?)
        };
        for parameter in parameters {
            match parameter.split_once('=') {
                None if parameter == "quotes" => written.quotes = true,
                None if parameter == "literal" => written.literal = true,
                None if parameter == "ref" => written.renamed = true,
                Some(("prefix", value)) => written.prefix = percent::decode(value.as_bytes())?,
                Some(("lines", value)) => written.lines = Some(Lines::parse(value)?),
                Some(("esc", value)) => {
                    let (plain, form) = value.split_once('.')?;
                    let [plain] = percent::decode(plain.as_bytes())?[..] else {
                        return None;
                    };
                    let form = percent::decode(form.as_bytes())?;
                    written.escapes.push((plain, form));
                }
                Some(("all", value)) => {
                    let (before, digits) = value.split_once('.')?;
                    written.all_escaped = Some(AllEscaped {
                        before: percent::decode(before.as_bytes())?,
                        upper: digits == "XX",
                    });
                }
                Some(("part", value)) => written.part = Some(PartToken::parse(value)?),
                _ => return None,
            }
        }
        (written.to_token(media_type) == token).then_some(written)
    }
}

fn data_uri_prefix(media_type: &str) -> String {
    format!("data:{media_type};base64,")
}

impl PartToken {
    fn to_token(&self) -> String {
        let Self {
            rewrite,
            variant,
            added,
            ..
        } = self;
        let mut token = format!("{rewrite}.{variant}.{added}");
        if let Some((first, second)) = self.targets {
            token = format!("{token}.{}.{}", first.to_token(), second.to_token());
        }
        token
    }

    fn parse(token: &str) -> Option<Self> {
        // One more than there can be: a token can have any number of dots.
        let fields: Vec<&str> = token.splitn(6, '.').collect();
        let (rewrite, variant, added, targets) = match fields[..] {
            [rewrite, variant, added] => (rewrite, variant, added, None),
            [rewrite, variant, added, first, second] => {
                let targets = (Target::parse(first)?, Target::parse(second)?);
                (rewrite, variant, added, Some(targets))
            }
            _ => return None,
        };
        Some(Self {
            rewrite: rewrite.to_owned(),
            variant: variant.parse().ok()?,
            added: added.to_owned(),
            targets,
        })
    }
}

impl Target {
    fn to_token(self) -> String {
        match self {
            Self::Before(distance) => format!("b{distance}"),
            Self::After(distance) => format!("a{distance}"),
        }
    }

    fn parse(token: &str) -> Option<Self> {
        if let Some(distance) = token.strip_prefix('b') {
            return distance.parse().ok().map(Self::Before);
        }
        token.strip_prefix('a')?.parse().ok().map(Self::After)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(written: &Written, bytes: &[u8]) -> Vec<u8> {
        written.write_plain(written.plain(bytes))
    }

    #[test]
    fn a_token_says_all_there_is_to_know() {
        let base64 = Written::new(Codec::BASE64);
        let data_uri = Written {
            prefix: b"data:image/png;base64,".to_vec(),
            ..base64.clone()
        };
        let all = Written {
            prefix: b"data:image\\/png;name=\xff.png;base64,".to_vec(),
            lines: Lines::parse("76crlfend"),
            escapes: vec![(b'/', b"\\/".to_vec()), (b'\n', b"\\n".to_vec())],
            all_escaped: Some(AllEscaped {
                before: b"\\u00".to_vec(),
                upper: true,
            }),
            quotes: true,
            literal: true,
            renamed: true,
            part: Some(PartToken {
                rewrite: "genai".to_owned(),
                variant: 1,
                added: "mt".to_owned(),
                targets: Some((Target::Before(57), Target::After(8))),
            }),
            ..base64
        };
        let list = Written {
            part: Some(PartToken {
                targets: None,
                added: String::new(),
                ..all.part.clone().unwrap()
            }),
            ..base64.clone()
        };
        for (written, media_type, token) in [
            (&base64, None, "base64"),
            (&data_uri, Some("image/png"), "data-uri"),
            (
                &data_uri,
                Some("image/jpeg"),
                "base64&prefix=data%3Aimage%2Fpng%3Bbase64%2C",
            ),
            (
                &data_uri,
                None,
                "base64&prefix=data%3Aimage%2Fpng%3Bbase64%2C",
            ),
            (
                &all,
                None,
                "base64&prefix=data%3Aimage%5C%2Fpng%3Bname%3D%FF%2Epng%3Bbase64%2C&lines=76crlfend\
                 &esc=%2F.%5C%2F&esc=%0A.%5Cn&all=%5Cu00.XX&quotes&literal&ref&part=genai.1.mt.b57.a8",
            ),
            (&list, None, "base64&part=genai.1."),
        ] {
            assert_eq!(written.to_token(media_type), token);
            assert_eq!(Written::parse(token, media_type).as_ref(), Some(written));
        }
    }

    #[test]
    fn the_documentation_names_every_codec() {
        let documentation = include_str!("../../../../docs/reference.md");
        let names = crate::encoding::NAMES.map(|(name, _)| name);
        for name in names.into_iter().chain([DATA_URI]) {
            let quoted = format!("\"{name}\"");
            assert!(
                documentation.contains(&quoted),
                "docs/reference.md: {quoted}"
            );
        }
    }

    #[test]
    fn a_token_is_written_in_one_way() {
        for token in [
            "",
            "base65",
            "data-uri",
            "base64&",
            "base64&ref&literal",
            "base64&prefix=",
            "base64&prefix=%3a",
            "base64&prefix=a.b",
            "base64&lines=076",
            "base64&lines=0",
            "base64&ref=1",
            "base64&esc=%2F",
            "base64&esc=%2F%2F.a",
            "base64&all=%5Cu00.Xx",
            "base64&part=genai.1",
            "base64&part=genai.01.",
            "base64&part=genai.1..b1",
            "base64&part=genai.1..b1.c1",
        ] {
            assert_eq!(Written::parse(token, None), None, "{token}");
        }
    }

    #[test]
    fn text_is_written_as_it_was() {
        let mut written = Written {
            prefix: b"data:;base64,".to_vec(),
            ..Written::new(Codec::BASE64)
        };
        assert_eq!(write(&written, b"\xff\xff\xfe"), b"data:;base64,///+");
        written.escapes = vec![(b'/', b"\\/".to_vec()), (b'+', b"\\u002b".to_vec())];
        assert_eq!(
            write(&written, b"\xff\xff\xfe"),
            br"data:;base64,\/\/\/\u002b"
        );
        written.lines = Lines::parse("2");
        written.escapes.push((b'\n', b"\\n".to_vec()));
        assert_eq!(
            write(&written, b"\xff\xff\xfe"),
            br"data:;base64,\/\/\n\/\u002b"
        );
        let plain = b"aZ+/";
        let text = br"\u0061\u005A\u002B\u002F";
        let all = AllEscaped::of(text, plain).unwrap();
        assert_eq!(all.before, br"\u00");
        assert_eq!(all.write(plain), text);
        assert_eq!(AllEscaped::of(br"\u0061\u005A\u002b\u002f", plain), None);
    }
}
