//! What a file is asked for: as browsers say it, or as what they accept tells it.

use http::{HeaderMap, header};

/// What a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A person goes there.
    Visit,
    /// A page shows it as a picture.
    Picture,
    /// All else, programs among it.
    Bytes,
}

impl Purpose {
    /// What is said in `Sec-Fetch-Dest` holds, whatever else is. Browsers leave it out over plain http to another
    /// machine; there `Accept` tells pages and pictures apart.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.get("sec-fetch-dest") {
            Some(destination) => match destination.as_bytes() {
                b"document" => Self::Visit,
                b"image" => Self::Picture,
                _ => Self::Bytes,
            },
            None => Self::accepted(headers),
        }
    }

    fn accepted(headers: &HeaderMap) -> Self {
        let (mut pages, mut xhtml, mut images) = (false, false, false);
        let values = headers.get_all(header::ACCEPT).into_iter();
        let values = values.filter_map(|value| value.to_str().ok());
        for range in values.flat_map(|value| value.split(',')) {
            let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
            if is_refused(parameters) {
                continue;
            }
            let range = range.trim().to_ascii_lowercase();
            pages |= range == "text/html";
            xhtml |= range == "application/xhtml+xml";
            images |= range.starts_with("image/");
        }
        match (pages, images) {
            // Java asks for whatever it is as text/html, image/gif and image/jpeg; browsers have XHTML, too.
            (true, true) if !xhtml => Self::Bytes,
            (true, _) => Self::Visit,
            (false, true) if !xhtml => Self::Picture,
            (false, _) => Self::Bytes,
        }
    }
}

/// Whether the quality of a media range is nothing.
fn is_refused(parameters: &str) -> bool {
    let mut parameters = parameters.split(';');
    parameters.any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let quality = value.trim().parse::<f32>();
        name.trim().eq_ignore_ascii_case("q") && quality.is_ok_and(|quality| quality <= 0.0)
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn asked(destination: Option<&str>, accept: &[&str]) -> Purpose {
        let mut headers = HeaderMap::new();
        if let Some(destination) = destination {
            headers.insert("sec-fetch-dest", destination.parse().unwrap());
        }
        for accept in accept {
            headers.append(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        Purpose::of(&headers)
    }

    const PAGE: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,\
                        */*;q=0.8,application/signed-exchange;v=b3;q=0.7";
    const PICTURE: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";

    #[test]
    fn what_is_accepted_tells_visits_from_pictures() {
        for (accept, purpose) in [
            (&[PAGE][..], Purpose::Visit),
            (
                &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
                Purpose::Visit,
            ),
            (
                &["text/html, application/xhtml+xml, image/jxr, */*"],
                Purpose::Visit,
            ),
            (&["text/html"], Purpose::Visit),
            (&["*/*", " Text/HTML ; q=0.5"], Purpose::Visit),
            (&[PICTURE], Purpose::Picture),
            (&["image/webp,*/*"], Purpose::Picture),
            (
                &[
                    "image/webp,image/avif,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
                ],
                Purpose::Picture,
            ),
            (&["image/*, text/html;q=0"], Purpose::Picture),
            (&[], Purpose::Bytes),
            (&[""], Purpose::Bytes),
            (&["*/*"], Purpose::Bytes),
            (&["application/json"], Purpose::Bytes),
            (&["application/xhtml+xml"], Purpose::Bytes),
            (&["text/html;q=0.0, */*"], Purpose::Bytes),
            (&["text/htmlx, ximage/png"], Purpose::Bytes),
            (
                &["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"],
                Purpose::Bytes,
            ),
            (&["application/xhtml+xml, image/*"], Purpose::Bytes),
        ] {
            assert_eq!(asked(None, accept), purpose, "{accept:?}");
        }
    }

    #[test]
    fn what_a_browser_says_of_itself_is_not_widened_by_what_it_accepts() {
        for accept in [PAGE, PICTURE, "text/html", "image/svg+xml", "*/*"] {
            for (destination, purpose) in [
                ("document", Purpose::Visit),
                ("image", Purpose::Picture),
                ("empty", Purpose::Bytes),
                ("iframe", Purpose::Bytes),
                ("object", Purpose::Bytes),
                ("", Purpose::Bytes),
            ] {
                let asked = asked(Some(destination), &[accept]);
                assert_eq!(asked, purpose, "{destination}: {accept}");
            }
        }
    }
}
