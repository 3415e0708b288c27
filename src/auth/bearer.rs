//! `bearertokenauth`

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use blake3::Hash;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::config::BearerTokenConfig;
use super::error::AuthError;
use super::{gate, sensitive};
use crate::refusal::Refusal;
use crate::reload::{OFTEN, Reloaded};
use crate::tenant::TenantId;

/// A token in a header, for receivers and exporters.
pub struct BearerToken {
    header: HeaderName,
    scheme: String,
    tokens: Arc<Reloaded<Tokens>>,
    /// Of the hashes, so that they tell nothing to who can measure how long comparing them takes.
    key: [u8; 32],
}

/// The tokens there are.
struct Tokens {
    accepted: Vec<(Hash, Option<TenantId>)>,
    /// The header with the first of them.
    sent: HeaderValue,
}

impl BearerToken {
    /// Reads the tokens. In the log it is called `name`, such as `extensions.bearertokenauth`.
    pub fn new(name: impl Into<String>, config: &BearerTokenConfig) -> Result<Self, AuthError> {
        let key: [u8; 32] = rand::random();
        let scheme = config.scheme.trim().to_owned();
        let tokens = if let Some(path) = &config.filename {
            let (file, scheme) = (path.clone(), scheme.clone());
            let load = move || {
                let text = std::fs::read_to_string(&file).map_err(|reason| {
                    let reason = format!("cannot read {}: {reason}", file.display());
                    AuthError::new("filename", reason)
                })?;
                if let Some(word) = scheme_in(&text, &scheme) {
                    let reason = format!(
                        "has a line that begins with {word}: write tokens alone, one a line"
                    );
                    return Err(AuthError::new("filename", reason));
                }
                let tokens = listed(&text).map(|token| (token, None));
                Tokens::new("filename", tokens, &scheme, &key)
            };
            Reloaded::load(name.into(), vec![path.clone()], OFTEN, load)?
        } else {
            let nobodys = config.token.iter().chain(&config.tokens);
            let nobodys = nobodys.map(|token| (token.expose(), None));
            let tenants = config.tenants.iter();
            let tenants = tenants.map(|(tenant, token)| (token.expose(), Some(tenant.clone())));
            let which = if config.token.is_some() {
                "token"
            } else if config.tokens.is_empty() {
                "tenants"
            } else {
                "tokens"
            };
            Reloaded::fixed(Tokens::new(which, nobodys.chain(tenants), &scheme, &key)?)
        };
        Ok(Self {
            header: config.header.clone(),
            scheme,
            tokens,
            key,
        })
    }

    /// Refuses a request that has none of the tokens; says whose the token is, if it is a tenant's, and which
    /// of the tokens it is otherwise.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        let value = gate::only(headers, &self.header)?;
        self.check(self.token(value.as_bytes()))
    }

    /// The same of a token by itself.
    pub(super) fn authenticate_token(
        &self,
        token: &str,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        self.check(Some(token.as_bytes()))
    }

    fn check(&self, token: Option<&[u8]>) -> Result<BTreeMap<String, String>, Refusal> {
        let hash = blake3::keyed_hash(&self.key, token.unwrap_or_default());
        let tokens = self.tokens.get();
        // Each comparison takes the same time, and all are made.
        let accepted = tokens.accepted.iter().zip(1_usize..);
        let found = accepted.fold(None, |found, ((accepted, of), number)| {
            let is_this = *accepted == hash;
            if is_this { Some((of, number)) } else { found }
        });
        let Some((of, number)) = found.filter(|_| token.is_some()) else {
            return Err(gate::invalid(&self.header));
        };
        let (name, value) = match of {
            Some(tenant) => ("tenant", tenant.to_string()),
            None => ("token", number.to_string()),
        };
        Ok(BTreeMap::from([(name.to_owned(), value)]))
    }

    /// What a sender is told that has no token.
    pub(super) fn challenge(&self) -> HeaderValue {
        let scheme = if self.scheme.is_empty() {
            "Bearer"
        } else {
            &self.scheme
        };
        let text = format!("{scheme} realm=\"slimspan\"");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer"))
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        headers.insert(self.header.clone(), self.tokens.get().sent.clone());
    }

    /// What stands after the scheme, the case of which says nothing.
    fn token<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        if self.scheme.is_empty() {
            return Some(value);
        }
        let (scheme, rest) = value.split_at_checked(self.scheme.len())?;
        let is_scheme = scheme.eq_ignore_ascii_case(self.scheme.as_bytes());
        rest.strip_prefix(b" ").filter(|_| is_scheme)
    }
}

/// The tokens of a file: as in the Collector the first word of each line. What stands behind it is for people, and so is
/// a line that begins with `#`, which nobody is to be let in for.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    let words = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    words.filter(|word| !word.starts_with('#'))
}

/// The scheme in front of a token, which would be taken for the token.
fn scheme_in<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| {
        let (first, _) = (words.next()?, words.next()?);
        let is_scheme = |known: &str| first.eq_ignore_ascii_case(known);
        let schemes = [scheme, "Bearer", "Basic"];
        schemes.into_iter().any(is_scheme).then_some(first)
    })
}

impl Tokens {
    fn new<'t>(
        key: &'static str,
        tokens: impl Iterator<Item = (&'t str, Option<TenantId>)>,
        scheme: &str,
        of_hash: &[u8; 32],
    ) -> Result<Self, AuthError> {
        let (mut accepted, mut sent) = (Vec::<(Hash, Option<TenantId>)>::new(), None);
        for (token, tenant) in tokens {
            let value = if scheme.is_empty() {
                sensitive(token)
            } else {
                sensitive(&format!("{scheme} {token}"))
            };
            let Some(value) = value.filter(|_| !token.is_empty()) else {
                return Err(AuthError::new(
                    key,
                    "is no token: it is empty, or has a character that a header cannot carry",
                ));
            };
            let hash = blake3::keyed_hash(of_hash, token.as_bytes());
            if accepted
                .iter()
                .any(|(other, of)| *other == hash && *of != tenant)
            {
                return Err(AuthError::new(key, "has one token for two tenants"));
            }
            accepted.push((hash, tenant));
            sent.get_or_insert(value);
        }
        let sent = sent.ok_or_else(|| AuthError::new(key, "has no token"))?;
        Ok(Self { accepted, sent })
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn bearer(tokens: &[&str], tenants: &[(&str, &str)]) -> BearerToken {
        let tokens = tokens.iter().map(|token| Secret::new((*token).to_owned()));
        let tenants = tenants
            .iter()
            .map(|(tenant, token)| (tenant.parse().unwrap(), Secret::new((*token).to_owned())));
        let config = BearerTokenConfig {
            tokens: tokens.collect(),
            tenants: tenants.collect(),
            ..BearerTokenConfig::default()
        };
        BearerToken::new("extensions.bearertokenauth", &config).unwrap()
    }

    fn says(bearer: &BearerToken, value: &str) -> Option<(String, String)> {
        let value = HeaderValue::from_str(value).unwrap();
        let headers = HeaderMap::from_iter([(http::header::AUTHORIZATION, value)]);
        bearer.authenticate(&headers).ok()?.pop_first()
    }

    /// In what is written down of requests they have numbers: nothing can be learned from those.
    #[test]
    fn tokens_are_told_apart_and_nobody_else_is_let_in() {
        let bearer = bearer(&["first-token", "second-token"], &[]);
        let token = |number: &str| Some(("token".to_owned(), number.to_owned()));
        assert_eq!(says(&bearer, "Bearer first-token"), token("1"));
        assert_eq!(says(&bearer, "bearer second-token"), token("2"));
        for stranger in [
            "Bearer first-toke",
            "Bearer first-token2",
            "Bearer first-tokem",
            "Bearer sirst-token",
            "Bearer First-token",
            "Bearer  first-token",
            "Bearer first-token second-token",
            "Bearer ",
            "Bearer",
            "first-token",
            "Basic first-token",
            "",
        ] {
            assert_eq!(says(&bearer, stranger), None, "{stranger}");
        }
    }

    #[tokio::test]
    async fn what_stands_behind_a_token_in_a_file_is_for_people() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let text =
            "# who may send\n\n first-token # team a\r\n\tsecond-token\tteam b\n#gone\nthird-token";
        std::fs::write(&path, text).unwrap();
        let config = BearerTokenConfig {
            filename: Some(path),
            ..BearerTokenConfig::default()
        };
        let bearer = BearerToken::new("extensions.bearertokenauth", &config).unwrap();
        for (token, number) in [("first", "1"), ("second", "2"), ("third", "3")] {
            let says = says(&bearer, &format!("Bearer {token}-token"));
            assert_eq!(says, Some(("token".to_owned(), number.to_owned())));
        }
        for stranger in [
            "Bearer #",
            "Bearer # who may send",
            "Bearer #gone",
            "Bearer gone",
            "Bearer team",
            "Bearer first-token # team a",
        ] {
            assert_eq!(says(&bearer, stranger), None, "{stranger}");
        }
        let mut headers = HeaderMap::new();
        bearer.apply(&mut headers);
        assert_eq!(headers["authorization"], "Bearer first-token");
    }

    #[test]
    fn the_token_of_a_tenant_says_whose_it_is() {
        let bearer = bearer(&[], &[("acme", "of-acme"), ("beta", "of-beta")]);
        for tenant in ["acme", "beta"] {
            let says = says(&bearer, &format!("Bearer of-{tenant}"));
            assert_eq!(says, Some(("tenant".to_owned(), tenant.to_owned())));
        }
        assert_eq!(says(&bearer, "Bearer of-"), None);
    }
}
