//! `basicauth`

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::config::{BasicAuthConfig, ClientAuthConfig};
use super::error::AuthError;
use super::htpasswd::Users;
use super::{gate, sensitive};
use crate::compute;
use crate::refusal::{Culprit, Refusal};
use crate::reload::{OFTEN, Reloaded};

/// How long a request waits for its password to be checked, which takes long on purpose.
const PATIENCE: Duration = Duration::from_secs(5);

/// The users that senders may be.
pub struct BasicServer {
    users: Arc<Reloaded<Users>>,
    /// The passwords that are checked at a time: other work is to have cores, too.
    checks: Arc<Semaphore>,
}

impl BasicServer {
    /// Reads the users; none where there is no `htpasswd`. In the log it is called `name`.
    pub fn new(name: String, config: &BasicAuthConfig) -> Result<Option<Self>, AuthError> {
        let Some(htpasswd) = config.htpasswd.clone() else {
            return Ok(None);
        };
        let files = htpasswd.file.clone().into_iter().collect();
        let load = move || {
            let mut users = Users::default();
            // As in the Collector, a user of `inline` takes the place of the one in the file.
            if let Some(inline) = &htpasswd.inline {
                users.add("htpasswd.inline", inline.expose())?;
            }
            if let Some(path) = &htpasswd.file {
                let text = std::fs::read_to_string(path).map_err(|reason| {
                    let reason = format!("cannot read {}: {reason}", path.display());
                    AuthError::new("htpasswd.file", reason)
                })?;
                users.add("htpasswd.file", &text)?;
            }
            Ok(users)
        };
        let users = Reloaded::load(name, files, OFTEN, load)?;
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Some(Self {
            users,
            checks: Arc::new(Semaphore::new((cores / 2).max(1))),
        }))
    }

    /// Refuses a request of none of the users.
    pub(super) async fn authenticate(
        &self,
        headers: &HeaderMap,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let value = gate::only(headers, &header::AUTHORIZATION)?;
        let invalid = || gate::invalid(&header::AUTHORIZATION);
        let decoded = decode(value).ok_or_else(invalid)?;
        let (user, password) = decoded.split_once(':').ok_or_else(invalid)?;
        let users = self.users.get();
        let credential = users.digest(&decoded);
        if !users.is_verified(&credential) {
            let check = async {
                let permit = Arc::clone(&self.checks).acquire_owned().await;
                // Who sends many requests at once has them checked once.
                if users.is_verified(&credential) {
                    return true;
                }
                let (user, password) = (user.to_owned(), password.to_owned());
                let users = Arc::clone(&users);
                // A check that has begun runs to its end, also where nobody waits any more.
                let check = move || {
                    let checked = users.check(&user, &password);
                    drop(permit);
                    checked
                };
                compute::run(check).await.unwrap_or(false)
            };
            let checked = timeout(PATIENCE, check).await.map_err(|_| {
                let reason = "too many passwords are being checked";
                Refusal::unavailable(Culprit::Slimspan, reason)
            })?;
            if !checked {
                return Err(invalid());
            }
            users.verified(credential);
        }
        Ok(BTreeMap::from([("username".to_owned(), user.to_owned())]))
    }

    /// What a sender is told that is none of the users.
    pub(super) fn challenge() -> HeaderValue {
        HeaderValue::from_static("Basic realm=\"slimspan\", charset=\"UTF-8\"")
    }
}

/// `user:password`, if that is what it is.
pub(super) fn decode(value: &HeaderValue) -> Option<String> {
    let (scheme, rest) = value.as_bytes().split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    String::from_utf8(STANDARD.decode(rest.trim_ascii()).ok()?).ok()
}

impl fmt::Debug for BasicServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicServer").finish_non_exhaustive()
    }
}

/// The user that an exporter is.
pub struct BasicClient {
    value: Arc<Reloaded<HeaderValue>>,
}

impl BasicClient {
    /// The user of `config`, who may change in its files. In the log it is called `name`, such as
    /// `extensions.basicauth`.
    pub fn new(name: impl Into<String>, config: &ClientAuthConfig) -> Result<Self, AuthError> {
        let config = config.clone();
        let files = [&config.username_file, &config.password_file];
        let files = files.into_iter().flatten().cloned().collect();
        let value = Reloaded::load(name.into(), files, OFTEN, move || credential(&config))?;
        Ok(Self { value })
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        let value = HeaderValue::clone(&self.value.get());
        headers.insert(header::AUTHORIZATION, value);
    }
}

/// The header of a user. As in the Collector, what stands in a file comes first.
fn credential(config: &ClientAuthConfig) -> Result<HeaderValue, AuthError> {
    let (of_name, name) = match &config.username_file {
        Some(file) => {
            let key = "client_auth.username_file";
            (key, held(key, file)?)
        }
        None => (
            "client_auth.username",
            config.username.clone().unwrap_or_default(),
        ),
    };
    if name.contains(':') {
        let reason = "cannot have a colon: that is where the password begins";
        return Err(AuthError::new(of_name, reason));
    }
    let password = match (&config.password_file, &config.password) {
        (Some(file), _) => held("client_auth.password_file", file)?,
        (None, Some(password)) => password.expose().to_owned(),
        (None, None) => String::new(),
    };
    let encoded = STANDARD.encode(format!("{name}:{password}"));
    let value = sensitive(&format!("Basic {encoded}"));
    value.ok_or_else(|| AuthError::new("client_auth", "is no header"))
}

/// What a file holds, without the white space around it.
fn held(key: &'static str, file: &Path) -> Result<String, AuthError> {
    let text = std::fs::read_to_string(file).map_err(|reason| {
        let reason = format!("cannot read {}: {reason}", file.display());
        AuthError::new(key, reason)
    })?;
    let text = text.trim();
    if text.is_empty() {
        let reason = format!("{} is empty", file.display());
        return Err(AuthError::new(key, reason));
    }
    Ok(text.to_owned())
}

impl fmt::Debug for BasicClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicClient").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::auth::config::HtpasswdConfig;
    use crate::config::Secret;

    fn server(cost: u32) -> BasicServer {
        let hash = bcrypt::hash("secret", cost).unwrap();
        let config = BasicAuthConfig {
            htpasswd: Some(HtpasswdConfig {
                file: None,
                inline: Some(Secret::new(format!("ada:{hash}"))),
            }),
            client_auth: None,
        };
        let server = BasicServer::new("x".to_owned(), &config).unwrap();
        server.unwrap()
    }

    fn header(credential: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(credential));
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    /// So somebody whose password in the file is known to others can be given another.
    #[tokio::test]
    async fn a_user_of_both_has_the_password_that_stands_inline() {
        let line = |password| format!("ada:{}", bcrypt::hash(password, 4).unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), line("old")).unwrap();
        let config = BasicAuthConfig {
            htpasswd: Some(HtpasswdConfig {
                file: Some(file.path().to_owned()),
                inline: Some(Secret::new(line("new"))),
            }),
            client_auth: None,
        };
        let server = BasicServer::new("x".to_owned(), &config).unwrap().unwrap();
        server.authenticate(&header("ada:new")).await.unwrap();
        server.authenticate(&header("ada:old")).await.unwrap_err();
    }

    #[tokio::test]
    async fn users_are_let_in_by_their_names() {
        let server = server(4);
        let says = server.authenticate(&header("ada:secret")).await.unwrap();
        assert_eq!(says["username"], "ada");
        for bad in ["ada:Secret", "ada", "eve:secret", ":", "", "ada:secret:"] {
            let refusal = server.authenticate(&header(bad)).await.unwrap_err();
            assert!(refusal.is_for_want_of_credential(), "{refusal}");
        }
        for bad in ["Bearer x", "Basic", "Basic !", "basic", ""] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, bad.parse().unwrap())]);
            server.authenticate(&headers).await.unwrap_err();
        }
        let lower = HeaderMap::from_iter([(
            header::AUTHORIZATION,
            format!("basic {}", STANDARD.encode("ada:secret"))
                .parse()
                .unwrap(),
        )]);
        server.authenticate(&lower).await.unwrap();
    }

    /// Whoever tries passwords keeps nobody waiting for ever.
    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_check_is_asked_to_come_back() {
        let server = server(4);
        let all = server.checks.available_permits() as u32;
        let others = server.checks.acquire_many(all).await.unwrap();
        let refusal = server.authenticate(&header("ada:secret")).await;
        let refusal = refusal.unwrap_err();
        assert!(refusal.is_retryable(), "{refusal}");
        assert!(
            refusal.to_string().contains("too many passwords"),
            "{refusal}"
        );
        drop(others);
        tokio::time::resume();
        server.authenticate(&header("ada:secret")).await.unwrap();
    }

    /// On the only thread of this test other tasks run while a password is checked.
    #[tokio::test]
    async fn a_password_is_checked_beside_other_work() {
        let server = server(8);
        let headers = header("ada:secret");
        let mut check = std::pin::pin!(server.authenticate(&headers));
        let mut turns = 0;
        loop {
            tokio::select! {
                biased;
                checked = &mut check => {
                    checked.unwrap();
                    break;
                }
                () = tokio::task::yield_now() => turns += 1,
            }
        }
        assert!(turns > 0, "the thread was taken");
        // What is known is known at once, without a turn for anybody else.
        let again = futures::FutureExt::now_or_never(server.authenticate(&headers));
        again.unwrap().unwrap();
    }

    /// What files hold is used as soon as it is new, and stays in use where it is no good. As in the Collector, it
    /// comes first.
    #[tokio::test(start_paused = true)]
    async fn a_user_in_files_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let [name, password] = ["name", "password"].map(|file| folder.path().join(file));
        let config = ClientAuthConfig {
            username: Some("nobody".to_owned()),
            username_file: Some(name.clone()),
            password: Some(Secret::new("nothing".to_owned())),
            password_file: Some(password.clone()),
        };
        let client = || BasicClient::new("extensions.basicauth", &config);
        std::fs::write(&name, "ca:nary\n").unwrap();
        std::fs::write(&password, "canary").unwrap();
        let error = client().unwrap_err().to_string();
        assert!(
            error.starts_with("client_auth.username_file: cannot have a colon"),
            "{error}"
        );
        std::fs::write(&name, "lovelace\n").unwrap();
        for (held, says) in [(Some(" \n"), "is empty"), (None, "cannot read")] {
            match held {
                Some(held) => std::fs::write(&password, held).unwrap(),
                None => std::fs::remove_file(&password).unwrap(),
            }
            let error = client().unwrap_err().to_string();
            assert!(error.starts_with("client_auth.password_file: "), "{error}");
            assert!(
                error.contains(says) && !error.contains("lovelace"),
                "{error}"
            );
        }
        std::fs::write(&password, " first word\r\n").unwrap();
        let client = client().unwrap();
        assert!(!format!("{client:?}").contains("first"));
        let sent = || {
            let mut headers = HeaderMap::new();
            client.apply(&mut headers);
            let value = headers.remove(header::AUTHORIZATION).unwrap();
            assert!(value.is_sensitive());
            decode(&value).unwrap()
        };
        assert_eq!(sent(), "lovelace:first word");
        std::fs::write(&password, "second\n").unwrap();
        std::fs::write(&name, "eve").unwrap();
        for _ in 0..100 {
            if sent() != "eve:second" {
                tokio::time::sleep(OFTEN).await;
            }
        }
        assert_eq!(sent(), "eve:second");
        std::fs::write(&password, "").unwrap();
        tokio::time::sleep(3 * OFTEN).await;
        assert_eq!(sent(), "eve:second");
    }
}
