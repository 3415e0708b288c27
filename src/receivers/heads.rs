//! How large the head of a request may be: it is in memory before anybody knows who sends it.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, header};

use crate::refusal::Refusal;

/// The most bytes of a list of headers, as HTTP/2 counts them: the names, the values, and [`EACH`].
pub(super) const LIST_SIZE: u32 = 16 << 10;
/// What HTTP/2 counts for a header beside its text.
const EACH: usize = 32;
/// The most headers. One that is a byte long where it comes, because HTTP/2 gives it a number, takes a
/// hundred of memory, and a map of headers has room for so many before it doubles.
const MOST: usize = 96;

/// What remains of a head that is too large: by this its sender can be answered in its own form, and is known
/// to send nothing before that.
const KEPT: [HeaderName; 3] = [header::CONTENT_TYPE, header::ORIGIN, header::EXPECT];

/// Stands in the extensions of a request whose head is too large, and of which most is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooLarge;

/// Leaves little of a head that is too large, as long as nothing else has begun for its request: many come at
/// once, and each request waits for a turn.
pub(super) fn limit<B>(request: &mut Request<B>) {
    let path = request.uri().path_and_query();
    let path = path.map_or(0, |path| path.as_str().len());
    let headers = request.headers_mut();
    let each =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + EACH;
    let size = path + headers.iter().map(each).sum::<usize>();
    if headers.len() <= MOST && size <= LIST_SIZE as usize {
        return;
    }
    let kept = KEPT.into_iter().filter_map(|name| {
        let value = headers.remove(&name)?;
        Some((name, value))
    });
    let kept: HeaderMap = kept.collect();
    *headers = kept;
    request.extensions_mut().insert(TooLarge);
}

impl TooLarge {
    /// Refuses a request with these extensions whose head was.
    pub(super) fn check(extensions: &Extensions) -> Result<(), Refusal> {
        match extensions.get::<Self>() {
            None => Ok(()),
            Some(Self) => Err(Refusal::malformed(format!(
                "the headers are too large: a request may have {MOST} of them, and {LIST_SIZE} bytes in all, of \
                 which each takes {EACH} beside its text"
            ))),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// A request with so many headers that have values of this length, and what is left of it.
    fn limited(headers: usize, len: usize) -> (bool, HeaderMap) {
        let mut request = Request::post("/v1/traces");
        for number in 0..headers {
            request = request.header(format!("x-{number}"), "x".repeat(len));
        }
        let request = request.header("content-type", "application/json");
        let mut request = request.body(()).unwrap();
        limit(&mut request);
        let checked = TooLarge::check(request.extensions());
        (checked.is_ok(), request.into_parts().0.headers)
    }

    #[test]
    fn a_head_has_so_many_headers_and_bytes() {
        for (headers, len, is_taken) in [
            (0, 0, true),
            (1, 15 << 10, true),
            (1, 17 << 10, false),
            (30, 500, true),
            (30, 520, false),
            // With the media type.
            (95, 1, true),
            (96, 1, false),
        ] {
            let (taken, left) = limited(headers, len);
            assert_eq!(taken, is_taken, "{headers} with {len}");
            // All of it, or next to nothing.
            let expected = if is_taken { headers + 1 } else { 1 };
            assert_eq!(left.len(), expected, "{headers} with {len}");
            assert!(left.contains_key(header::CONTENT_TYPE));
        }
    }

    /// The same name over and over is no way around it.
    #[test]
    fn a_header_counts_as_often_as_it_comes() {
        let mut request = Request::new(());
        for _ in 0..=MOST {
            let headers = request.headers_mut();
            headers.append("a", HeaderValue::from_static(""));
        }
        limit(&mut request);
        TooLarge::check(request.extensions()).unwrap_err();
        assert!(request.headers().is_empty());
    }
}
