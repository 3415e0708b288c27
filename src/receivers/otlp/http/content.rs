//! What the headers of a request say of its body.

use http::{HeaderMap, HeaderValue, header};

use super::config::ContentCoding;
use crate::compression::Compression;

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Protobuf,
    Json,
}

impl Form {
    /// The media types there are.
    pub(crate) const ALL: [Self; 2] = [Self::Protobuf, Self::Json];

    /// Its media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// The form of a body with these headers, if it is one of these. JSON is UTF-8.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = only(headers, &header::CONTENT_TYPE)?.to_str().ok()?;
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?;
        let mut forms = Self::ALL.into_iter();
        let form = forms.find(|form| essence.eq_ignore_ascii_case(form.media_type()))?;
        let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        });
        is_utf8.then_some(form)
    }
}

/// How a body with these headers is compressed; what is wrong where it cannot be read.
pub(crate) fn coding(
    headers: &HeaderMap,
    allowed: &[ContentCoding],
) -> Result<Option<Compression>, String> {
    let name = if headers.contains_key(header::CONTENT_ENCODING) {
        let value = only(headers, &header::CONTENT_ENCODING);
        let name = value.map(|value| value.as_bytes().trim_ascii().to_ascii_lowercase());
        // One that is there and says nothing means nothing.
        name.filter(|name| !name.is_empty()).map(|name| {
            if name == b"identity" {
                Vec::new()
            } else {
                name
            }
        })
    } else {
        Some(Vec::new())
    };
    let mut codings = allowed.iter();
    let coding = name.and_then(|name| codings.find(|coding| coding.name().as_bytes() == name));
    coding.map(|coding| coding.compression()).ok_or_else(|| {
        let known = allowed.iter().map(|coding| match coding {
            ContentCoding::Identity => "none",
            coding => coding.name(),
        });
        let known: Vec<_> = known.collect();
        format!(
            "the content encoding of the request is none of those that compression_algorithms \
             allows: {}",
            known.join(", ")
        )
    })
}

/// The value of a header that stands there once.
fn only<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn with(name: &header::HeaderName, values: &[&str]) -> HeaderMap {
        let values = values
            .iter()
            .map(|value| (name.clone(), value.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn a_media_type_is_one_of_two() {
        for (values, form) in [
            (&["application/x-protobuf"][..], Some(Form::Protobuf)),
            (&["Application/X-Protobuf; x=y"], Some(Form::Protobuf)),
            (&["application/json"], Some(Form::Json)),
            (&["application/json;charset=UTF-8"], Some(Form::Json)),
            (&["application/json; Charset=\"utf-8\""], Some(Form::Json)),
            (&["application/json; charset=utf-16"], None),
            (&["application/json; charset"], Some(Form::Json)),
            (&[], None),
            (&[""], None),
            (&["application/jsonx"], None),
            (&["text/plain"], None),
            (&["multipart/form-data; boundary=x"], None),
            (&["application/json", "application/json"], None),
            (&["application/json, application/json"], None),
        ] {
            let headers = with(&header::CONTENT_TYPE, values);
            assert_eq!(Form::of(&headers), form, "{values:?}");
        }
    }

    #[test]
    fn an_encoding_is_one_that_is_allowed() {
        let of = |values: &[&str], allowed: &[ContentCoding]| {
            coding(&with(&header::CONTENT_ENCODING, values), allowed)
        };
        let all = &ContentCoding::ALL;
        for (values, compression) in [
            (&[][..], None),
            (&["identity"], None),
            (&["gzip"], Some(Compression::Gzip)),
            (&[" GZip "], Some(Compression::Gzip)),
            (&["zstd"], Some(Compression::Zstd)),
            (&["deflate"], Some(Compression::Deflate)),
            (&["zlib"], Some(Compression::Deflate)),
            (&["snappy"], Some(Compression::Snappy)),
            (&["X-Snappy-Framed"], Some(Compression::SnappyFramed)),
            (&["LZ4"], Some(Compression::Lz4)),
        ] {
            assert_eq!(of(values, all), Ok(compression), "{values:?}");
        }
        for values in [
            &[""][..],
            &["br"],
            &["gzip, gzip"],
            &["gzip", "gzip"],
            &["gzip;q=1"],
        ] {
            let told = of(values, all).unwrap_err();
            assert!(told.contains("none, gzip, zstd"), "{told}");
        }
        let compressed = [ContentCoding::Gzip];
        of(&[], &compressed).unwrap_err();
        of(&["zstd"], &compressed).unwrap_err();
        of(&["gzip"], &compressed).unwrap();
    }
}
