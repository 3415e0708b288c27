//! Users and the hashes of their passwords, as `htpasswd -B` writes them.

use std::collections::HashMap;
use std::str::FromStr as _;

use bcrypt::HashParts;
use moka::sync::Cache;

use super::error::AuthError;

/// The passwords that are known to be right. Checking one takes a tenth of a second, and senders have
/// the same in each request.
const VERIFIED: u64 = 10_000;

/// The highest cost of a hash: with each step more, checking a password takes twice as long, and
/// this takes seconds.
const COST: u32 = 15;

/// Users, and what is known of them. It is made anew when the file changes, and knows nothing then.
pub(super) struct Users {
    hashes: HashMap<String, String>,
    /// The highest cost of a hash. Every check takes as long as one of that takes: who waits for the answer
    /// does not learn whether there is such a user.
    cost: u32,
    /// Digests of credentials that were right.
    verified: Cache<[u8; 32], ()>,
    key: [u8; 32],
}

impl Default for Users {
    fn default() -> Self {
        Self {
            hashes: HashMap::new(),
            cost: 0,
            verified: Cache::new(VERIFIED),
            key: rand::random(),
        }
    }
}

impl Users {
    /// Adds the users of `text`, which stands under the key `key` of the configuration. One that is
    /// there already stays as it is.
    pub(super) fn add(&mut self, key: &'static str, text: &str) -> Result<(), AuthError> {
        let before = self.hashes.len();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |reason| AuthError::new(key, format!("line {}: {reason}", index + 1));
            let Some((user, hash)) = line.split_once(':') else {
                return Err(wrong("is not user:hash"));
            };
            let parts = HashParts::from_str(hash).map_err(|_| wrong(wrong_hash(hash)))?;
            if parts.get_cost() > COST {
                return Err(wrong(
                    "the cost of the hash is above 15, and checking it would take seconds",
                ));
            }
            self.cost = self.cost.max(parts.get_cost());
            self.hashes
                .entry(user.to_owned())
                .or_insert_with(|| hash.to_owned());
        }
        if self.hashes.is_empty() && before == 0 {
            return Err(AuthError::new(key, "has no user"));
        }
        Ok(())
    }

    /// What stands for a credential where it is remembered.
    pub(super) fn digest(&self, credential: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.key, credential.as_bytes()).as_bytes()
    }

    pub(super) fn is_verified(&self, credential: &[u8; 32]) -> bool {
        self.verified.get(credential).is_some()
    }

    pub(super) fn verified(&self, credential: [u8; 32]) {
        self.verified.insert(credential, ());
    }

    /// Whether that is the user's password. It takes long, and as long where there is no such user.
    pub(super) fn check(&self, user: &str, password: &str) -> bool {
        let hash = self.hashes.get(user);
        let is_right = hash.is_some_and(|hash| bcrypt::verify(password, hash).unwrap_or(false));
        let done = hash.and_then(|hash| Some(HashParts::from_str(hash).ok()?.get_cost()));
        for cost in self.missing(done) {
            let _ = std::hint::black_box(bcrypt::hash_with_salt(password, cost, [0; 16]));
        }
        is_right
    }

    /// The costs of what is computed for nothing but its time, beside a check of a hash of this cost: each
    /// takes twice as long as the one before, so that all together take as long as one of the highest.
    fn missing(&self, done: Option<u32>) -> Vec<u32> {
        match done {
            Some(cost) => (cost..self.cost).collect(),
            None if self.hashes.is_empty() => Vec::new(),
            None => vec![self.cost],
        }
    }
}

/// What to do about a hash that cannot be used. Nothing of it is quoted.
fn wrong_hash(hash: &str) -> &'static str {
    if ["$apr1$", "{SHA}", "{SSHA}", "$5$", "$6$", "$1$"]
        .iter()
        .any(|known| hash.starts_with(known))
    {
        "the password is hashed in a way that is not supported: only bcrypt is; use `htpasswd -B`"
    } else {
        "what follows the user is not a bcrypt hash, such as `htpasswd -B` writes"
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Instant;

    use super::*;

    fn users(text: &str) -> Result<Users, String> {
        let mut users = Users::default();
        let added = users.add("htpasswd.inline", text);
        added.map(|()| users).map_err(|error| error.to_string())
    }

    #[test]
    fn users_of_htpasswd() {
        // Made by `htpasswd -nbB -C 4` and by another program.
        let apache = bcrypt::hash_with_result("secret", 4).unwrap();
        let [apache, other] = [
            apache.format_for_version(bcrypt::Version::TwoY),
            apache.format_for_version(bcrypt::Version::TwoA),
        ];
        let text = format!("# users\n\nada:{apache}\n bob:{other} \nada:{other}\n");
        let users = users(&text).unwrap();
        for (user, password, expected) in [
            ("ada", "secret", true),
            ("bob", "secret", true),
            ("ada", "Secret", false),
            ("ada", "", false),
            ("eve", "secret", false),
            ("", "secret", false),
        ] {
            assert_eq!(users.check(user, password), expected, "{user}:{password}");
        }
    }

    /// Whoever could see the difference would learn who is a user.
    #[test]
    fn it_takes_as_long_to_refuse_a_stranger() {
        let users = users(&format!("ada:{}", bcrypt::hash("secret", 7).unwrap())).unwrap();
        let check = |user| {
            let begun = Instant::now();
            assert!(!users.check(user, "guessed"));
            begun.elapsed()
        };
        // A busy machine may take its time for either; what is not done takes none, however often.
        let is_alike = |_| {
            let (known, unknown) = (check("ada"), check("eve"));
            unknown * 2 > known
        };
        assert!((0..50).any(is_alike));
    }

    /// A cost stands for as much work as two to that power.
    #[test]
    fn every_check_is_as_much_work() {
        let text: Vec<_> = [4, 6, 5]
            .map(|cost| {
                let hash = bcrypt::hash("secret", cost).unwrap();
                format!("of{cost}:{hash}")
            })
            .into();
        let users = users(&text.join("\n")).unwrap();
        for done in [Some(4), Some(5), Some(6), None] {
            let missing = users.missing(done).into_iter();
            let work: u64 = missing.chain(done).map(|cost| 1 << cost).sum();
            assert_eq!(work, 1 << 6, "{done:?}");
        }
        for (user, expected) in [("of4", true), ("of6", true), ("of7", false)] {
            assert_eq!(users.check(user, "secret"), expected, "{user}");
        }
        assert!(Users::default().missing(None).is_empty());
    }

    #[test]
    fn what_is_remembered_is_the_whole_credential() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let known = users(&format!("ada:{hash}")).unwrap();
        known.verified(known.digest("ada:secret"));
        assert!(known.is_verified(&known.digest("ada:secret")));
        assert!(!known.is_verified(&known.digest("ada:secrets")));
        let others = users(&format!("ada:{hash}")).unwrap();
        assert!(!others.is_verified(&known.digest("ada:secret")), "keyed");
    }

    #[test]
    fn what_is_no_user_is_told_without_a_word_of_it() {
        let cost = format!(
            "canary:{}",
            bcrypt::hash("x", 4).unwrap().replace("$04$", "$16$")
        );
        for (text, says) in [
            ("", "htpasswd.inline: has no user"),
            (
                "a:b\n",
                "line 1: what follows the user is not a bcrypt hash",
            ),
            ("\ncanary\n", "line 2: is not user:hash"),
            ("a:$apr1$canary$x", "only bcrypt is; use `htpasswd -B`"),
            ("a:{SHA}canary", "only bcrypt is; use `htpasswd -B`"),
            (&cost, "line 1: the cost of the hash is above 15"),
        ] {
            let error = users(text).err().unwrap();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
