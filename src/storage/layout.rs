use object_store::path::Path;
use slimspan_artifact::Digest;

use crate::tenant::TenantId;

/// Where a store keeps artifacts, whosever they are.
#[derive(Debug, Clone)]
pub(super) struct Root {
    prefix: Path,
    base: String,
}

/// Which key an artifact of one tenant has:
/// `<prefix>/<tenant>/sha256/<first two hex digits>/<64 hex digits>`.
///
/// Nothing of a payload is ever part of a key.
#[derive(Debug)]
pub(super) struct Layout {
    root: Path,
    uri_base: String,
}

impl Root {
    /// What stands before everything.
    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The store's URL down to there.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// `prefix` is a place in the store, `base` the store's URL down to there.
    pub(super) fn new(prefix: Path, base: String) -> Self {
        Self { prefix, base }
    }

    /// Where the artifacts of one tenant are.
    pub(super) fn of(&self, tenant: &TenantId) -> Layout {
        Layout {
            root: self.prefix.clone().join(tenant.as_str()).join("sha256"),
            uri_base: format!("{}/{tenant}/sha256", self.base),
        }
    }

    /// Which artifact has this key, whosever it is; none if it is not the key of one.
    pub(super) fn artifact(&self, key: &Path) -> Option<Digest> {
        let mut below = key.prefix_match(&self.prefix)?;
        let tenant: TenantId = below.next()?.as_ref().parse().ok()?;
        let digest: Digest = key.filename()?.parse().ok()?;
        (self.of(&tenant).key(&digest) == *key).then_some(digest)
    }
}

impl Layout {
    pub(super) fn key(&self, digest: &Digest) -> Path {
        let name = digest.to_string();
        let shard = name.get(..2).unwrap_or_default();
        self.root.clone().join(shard).join(name.as_str())
    }

    /// What stands before the first two digits.
    pub(super) fn folder(&self) -> &Path {
        &self.root
    }

    pub(super) fn uri_base(&self) -> &str {
        &self.uri_base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(prefix: &str, base: &str) -> Layout {
        Root::new(Path::from(prefix), base.to_owned()).of(&TenantId::default())
    }

    #[test]
    fn keys_are_sharded_by_the_first_two_digits() {
        let digest = Digest::of(b"abc");
        let name = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (prefix, key) in [
            ("", format!("default/sha256/ba/{name}")),
            ("a/b", format!("a/b/default/sha256/ba/{name}")),
        ] {
            assert_eq!(layout(prefix, "s3://media").key(&digest).as_ref(), key);
        }
    }

    #[test]
    fn a_key_of_an_artifact_is_told_from_others() {
        let digest = Digest::of(b"abc");
        for prefix in ["", "a/b"] {
            let root = Root::new(Path::from(prefix), String::new());
            let key = root.of(&TenantId::default()).key(&digest);
            assert_eq!(root.artifact(&key), Some(digest));
            let others = [
                format!("{key}/more"),
                format!("more/{key}"),
                key.as_ref().replace("/ba/", "/bb/"),
                key.as_ref().replace("sha256", "sha1"),
                key.as_ref().replace("default", "no tenant!"),
                format!("{prefix}/catalog/x"),
            ];
            for other in others {
                assert_eq!(root.artifact(&Path::from(other.as_str())), None, "{other}");
            }
        }
    }

    #[test]
    fn the_uri_base_ends_where_the_shards_begin() {
        let layout = layout("a", "s3://media/a");
        assert_eq!(layout.uri_base(), "s3://media/a/default/sha256");
    }
}
