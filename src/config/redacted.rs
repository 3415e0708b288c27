//! Addresses as they are shown: without the credentials that people write into them, also into those where none
//! may be.

use std::borrow::Cow;

use serde::ser::Serializer;
use url::{ParseError, Position, Url};

use super::Secret;

/// Serialises a URL, or a path.
pub(crate) fn url_or_path<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if Secret::is_exposed() {
        serializer.serialize_str(text)
    } else {
        serializer.serialize_str(&of_url(text))
    }
}

/// Serialises a URL, or a host and a port.
pub(crate) fn endpoint<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if text.contains("://") || Secret::is_exposed() {
        url_or_path(text, serializer)
    } else {
        serializer.serialize_str(&of_any(text))
    }
}

/// Serialises what is listened on: a host and a port, or the path of a socket, of which an @ may be a part.
pub(crate) fn listener<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if text.contains(':') && !text.starts_with(['/', '.']) {
        endpoint(text, serializer)
    } else {
        serializer.serialize_str(text)
    }
}

/// A URL without user and password, and without what follows its path. One that has none of these is as it was
/// written, and so is a path.
fn of_url(text: &str) -> Cow<'_, str> {
    let url = match Url::parse(text) {
        // A scheme of one letter is a drive.
        Ok(url) if url.scheme().len() > 1 => url,
        Ok(_) | Err(ParseError::RelativeUrlWithoutBase) => return text.into(),
        Err(_) => return of_any(text),
    };
    if url.cannot_be_a_base() {
        return of_any(text);
    }
    let names_somebody = !url.username().is_empty() && !has_container(&url);
    let has_user = url.password().is_some() || names_somebody;
    let has_more = url.query().is_some() || url.fragment().is_some();
    if !has_user && !has_more {
        return text.into();
    }
    let user = if has_user {
        format!("{}@", Secret::REDACTED)
    } else {
        url[Position::BeforeUsername..Position::BeforeHost].to_owned()
    };
    let more = if has_more {
        format!("?{}", Secret::REDACTED)
    } else {
        String::new()
    };
    let scheme = &url[..Position::BeforeUsername];
    let place = &url[Position::BeforeHost..Position::AfterPath];
    format!("{scheme}{user}{place}{more}").into()
}

/// The same of what cannot be taken apart.
pub(super) fn of_any(text: &str) -> Cow<'_, str> {
    let redacted = Secret::REDACTED;
    let (user, rest) = match text.rsplit_once('@') {
        Some((_, rest)) => (format!("{redacted}@"), rest),
        None => (String::new(), text),
    };
    match rest.split_once(['?', '#']) {
        Some((place, _)) => format!("{user}{place}?{redacted}").into(),
        None if user.is_empty() => text.into(),
        None => format!("{user}{rest}").into(),
    }
}

/// Whether a name before an @ is that of a container, as in `abfss://container@account`.
fn has_container(url: &Url) -> bool {
    matches!(url.scheme(), "abfs" | "abfss" | "adl" | "az" | "azure")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_credentials_is_left_out() {
        for (written, shown) in [
            ("./data/a@b?c#d", "./data/a@b?c#d"),
            ("/var/lib/artifacts", "/var/lib/artifacts"),
            ("C:\\data@home", "C:\\data@home"),
            ("memory://", "memory://"),
            ("S3://Media/a@b", "S3://Media/a@b"),
            (
                "abfss://media@account.dfs.core.windows.net/a",
                "abfss://media@account.dfs.core.windows.net/a",
            ),
            ("https://host:1/v1/traces", "https://host:1/v1/traces"),
            ("s3://key:hunter2@media/a", "s3://[REDACTED]@media/a"),
            ("s3://hunter2@media", "s3://[REDACTED]@media"),
            (
                "abfss://media:hunter2@account/a",
                "abfss://[REDACTED]@account/a",
            ),
            (
                "abfss://media@account/a?sig=hunter2",
                "abfss://media@account/a?[REDACTED]",
            ),
            ("az://media/a#hunter2", "az://media/a?[REDACTED]"),
            // What is no port is no URL.
            (
                "s3://key:hunter2/x@media/a?sig=hunter2",
                "[REDACTED]@media/a?[REDACTED]",
            ),
            ("key:hunter2@media", "[REDACTED]@media"),
        ] {
            assert_eq!(of_url(written), shown, "{written}");
        }
    }
}
