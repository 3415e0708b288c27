//! `headers_setter`

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::config::{HeaderAction, HeaderConfig};
use super::error::AuthError;
use super::{Authorizer, sensitive};
use crate::client::Client;
use crate::config::Secret;
use crate::refusal::Refusal;
use crate::reload::{OFTEN, Reloaded};

/// Headers of an exporter's requests.
pub struct HeadersSetter {
    first: Option<Authorizer>,
    headers: Vec<Header>,
}

struct Header {
    name: HeaderName,
    action: HeaderAction,
    source: Source,
}

/// Where a value comes from.
enum Source {
    Nowhere,
    Here(HeaderValue),
    File(Arc<Reloaded<HeaderValue>>),
    Sender {
        name: HeaderName,
        default: Option<HeaderValue>,
    },
}

impl HeadersSetter {
    /// Sets `headers`, after what `first` does. In the log it is called `name`, such as
    /// `extensions.headers_setter`.
    pub fn new(
        name: &str,
        headers: &[HeaderConfig],
        first: Option<Authorizer>,
    ) -> Result<Self, AuthError> {
        let headers = headers.iter().enumerate().map(|(index, config)| {
            Ok(Header {
                name: config.key.clone(),
                action: config.action,
                source: Source::of(config, || format!("{name}.headers[{index}]"))?,
            })
        });
        Ok(Self {
            first,
            headers: headers.collect::<Result<_, AuthError>>()?,
        })
    }

    /// The headers of senders that it needs to know.
    pub(super) fn context(&self) -> Vec<HeaderName> {
        let of_first = self.first.as_ref().map(Authorizer::context);
        let own = self
            .headers
            .iter()
            .filter_map(|header| match &header.source {
                Source::Sender { name, .. } => Some(name.clone()),
                Source::Nowhere | Source::Here(_) | Source::File(_) => None,
            });
        of_first.into_iter().flatten().chain(own).collect()
    }

    /// Refuses what `apply` may refuse, and what it would if headers of the configuration were not there.
    pub(super) fn check(&self, client: &Client) -> Result<(), Refusal> {
        if let Some(first) = &self.first {
            first.check(client)?;
        }
        let mut values = self.headers.iter().map(|header| header.value(client));
        values.try_for_each(|value| value.map(drop))
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap, client: &Client) -> Result<(), Refusal> {
        if let Some(first) = &self.first {
            first.apply(headers, client)?;
        }
        for header in &self.headers {
            let is_there = headers.contains_key(&header.name);
            let is_wanted = match header.action {
                HeaderAction::Delete => {
                    headers.remove(&header.name);
                    false
                }
                HeaderAction::Insert => !is_there,
                HeaderAction::Update => is_there,
                HeaderAction::Upsert => true,
            };
            if is_wanted && let Some(value) = header.value(client)? {
                headers.insert(header.name.clone(), value);
            }
        }
        Ok(())
    }
}

impl Source {
    fn of(config: &HeaderConfig, name: impl FnOnce() -> String) -> Result<Self, AuthError> {
        let value = |secret: &Secret| sensitive(secret.expose());
        if let Some(name) = &config.from_context {
            return Ok(Self::Sender {
                name: name.clone(),
                default: config.default_value.as_ref().and_then(value),
            });
        }
        if let Some(path) = &config.value_file {
            let (file, files) = (path.clone(), vec![path.clone()]);
            let value = Reloaded::load(name(), files, OFTEN, move || in_file(&file))?;
            return Ok(Self::File(value));
        }
        let here = config.value.as_ref().and_then(value);
        Ok(here.map_or(Self::Nowhere, Self::Here))
    }
}

/// What a file holds, without the white space around it.
fn in_file(file: &Path) -> Result<HeaderValue, AuthError> {
    let error = |reason| AuthError::new("value_file", reason);
    let text = std::fs::read_to_string(file)
        .map_err(|reason| error(format!("cannot read {}: {reason}", file.display())))?;
    let text = text.trim();
    let value = sensitive(text).filter(|_| !text.is_empty());
    value.ok_or_else(|| {
        let file = file.display();
        error(format!(
            "{file} holds no value: it is empty, or has a character that a header cannot carry"
        ))
    })
}

impl Header {
    /// The value; none where the sender has none and nothing stands in for it.
    fn value(&self, client: &Client) -> Result<Option<HeaderValue>, Refusal> {
        let (name, default) = match &self.source {
            Source::Nowhere => return Ok(None),
            Source::Here(value) => return Ok(Some(value.clone())),
            Source::File(value) => return Ok(Some(HeaderValue::clone(&value.get()))),
            Source::Sender { name, default } => (name, default),
        };
        let mut values = client.metadata(name.as_str());
        let Some(value) = values.next() else {
            return Ok(default.clone());
        };
        if values.next().is_some() {
            // Which of them speaks for the sender is not for us to say.
            return Err(Refusal::malformed(format!(
                "the request has more than one value of the header {name}, and one is passed on"
            )));
        }
        let mut value = value.clone();
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// With names alone.
impl fmt::Debug for HeadersSetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|header| &header.name).collect();
        f.debug_struct("HeadersSetter")
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn header(
        action: HeaderAction,
        value: Option<&str>,
        from: Option<&'static str>,
    ) -> HeaderConfig {
        HeaderConfig {
            key: HeaderName::from_static("x-out"),
            action,
            value: value.map(|value| Secret::new(value.to_owned())),
            value_file: None,
            from_context: from.map(HeaderName::from_static),
            default_value: from.map(|_| Secret::new("default".to_owned())),
        }
    }

    fn applied(
        config: HeaderConfig,
        before: Option<&'static str>,
        sent: &[&'static str],
    ) -> String {
        let mut metadata = HeaderMap::new();
        for value in sent {
            metadata.append("x-in", HeaderValue::from_static(value));
        }
        let client = Client::unknown().with_metadata(metadata);
        let mut headers = HeaderMap::new();
        if let Some(before) = before {
            headers.insert("x-out", HeaderValue::from_static(before));
        }
        let setter = HeadersSetter::new("extensions.headers_setter", &[config], None).unwrap();
        match setter.apply(&mut headers, &client) {
            Err(refusal) => refusal.to_string(),
            Ok(()) => headers
                .get("x-out")
                .map_or("nothing", |value| value.to_str().unwrap())
                .to_owned(),
        }
    }

    #[test]
    fn actions_and_sources() {
        use HeaderAction::{Delete, Insert, Update, Upsert};
        for (action, before, after) in [
            (Insert, None, "new"),
            (Insert, Some("old"), "old"),
            (Update, None, "nothing"),
            (Update, Some("old"), "new"),
            (Upsert, None, "new"),
            (Upsert, Some("old"), "new"),
        ] {
            let config = header(action, Some("new"), None);
            assert_eq!(applied(config, before, &[]), after, "{action:?}");
            let config = header(action, None, Some("x-in"));
            assert_eq!(applied(config, before, &["new"]), after, "{action:?}");
        }
        let config = || header(Delete, None, None);
        assert_eq!(applied(config(), Some("old"), &[]), "nothing");
        assert_eq!(applied(config(), None, &[]), "nothing");
        let from = || header(Upsert, None, Some("x-in"));
        assert_eq!(applied(from(), Some("old"), &[]), "default");
        let mut without = from();
        without.default_value = None;
        assert_eq!(applied(without, Some("old"), &[]), "old");
        let twice = applied(from(), None, &["canary", "canary"]);
        assert!(twice.contains("more than one value of the header x-in"));
        assert!(!twice.contains("canary"), "{twice}");
    }

    /// What a file holds is used as soon as it is new, and stays in use where it is no good.
    #[tokio::test(start_paused = true)]
    async fn a_value_in_a_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("value");
        let config = HeaderConfig {
            value_file: Some(file.clone()),
            ..header(HeaderAction::Upsert, None, None)
        };
        let setter = || {
            HeadersSetter::new(
                "extensions.headers_setter",
                std::slice::from_ref(&config),
                None,
            )
        };
        for (held, says) in [
            (None, "cannot read"),
            (Some(" \n"), "holds no value"),
            (Some("canary\ncanary"), "holds no value"),
        ] {
            if let Some(held) = held {
                std::fs::write(&file, held).unwrap();
            }
            let error = setter().unwrap_err().to_string();
            assert!(error.starts_with("value_file: "), "{error}");
            assert!(error.contains(says) && !error.contains("canary"), "{error}");
        }
        std::fs::write(&file, "first\n").unwrap();
        let setter = setter().unwrap();
        let sent = || {
            let mut headers = HeaderMap::new();
            setter.apply(&mut headers, &Client::unknown()).unwrap();
            let value = headers.remove("x-out").unwrap();
            assert!(value.is_sensitive());
            value
        };
        assert_eq!(sent(), "first");
        std::fs::write(&file, "second").unwrap();
        for _ in 0..100 {
            if sent() != "second" {
                tokio::time::sleep(OFTEN).await;
            }
        }
        assert_eq!(sent(), "second");
        std::fs::write(&file, "").unwrap();
        tokio::time::sleep(3 * OFTEN).await;
        assert_eq!(sent(), "second");
    }
}
