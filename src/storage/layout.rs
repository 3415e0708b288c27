use object_store::path::Path;
use slimspan_artifact::Digest;

/// Whose artifacts. One tenant until requests say otherwise.
const TENANT: &str = "default";

/// Which key an artifact has: `<prefix>/<tenant>/sha256/<first two hex digits>/<64 hex digits>`.
///
/// Nothing of a payload is ever part of a key.
#[derive(Debug)]
pub(super) struct Layout {
    root: Path,
    uri_base: String,
}

impl Layout {
    /// `prefix` is a place in the store, `base` the store's URL down to there.
    pub(super) fn new(prefix: Path, base: &str) -> Self {
        Self {
            root: prefix.join(TENANT).join("sha256"),
            uri_base: format!("{base}/{TENANT}/sha256"),
        }
    }

    pub(super) fn key(&self, digest: &Digest) -> Path {
        let name = digest.to_string();
        let shard = name.get(..2).unwrap_or_default();
        self.root.clone().join(shard).join(name.as_str())
    }

    /// What all keys are under.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn uri_base(&self) -> &str {
        &self.uri_base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sharded_by_the_first_two_digits() {
        let digest = Digest::of(b"abc");
        let name = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for (prefix, key) in [
            ("", format!("default/sha256/ba/{name}")),
            ("a/b", format!("a/b/default/sha256/ba/{name}")),
        ] {
            let layout = Layout::new(Path::from(prefix), "s3://media");
            assert_eq!(layout.key(&digest).as_ref(), key);
        }
    }

    #[test]
    fn the_uri_base_ends_where_the_shards_begin() {
        let layout = Layout::new(Path::from("a"), "s3://media/a");
        assert_eq!(layout.uri_base(), "s3://media/a/default/sha256");
    }
}
