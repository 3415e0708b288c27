//! Whether the artifact server to which references lead has what the store has: that of another bucket looks the same.

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Response;
use slimspan_artifact::{Artifact, Digest};

use super::{Findings, Verdict, ask};
use crate::storage::Store;
use crate::storage::config::StoreConfig;

/// Puts an artifact into the store, reads it at `url`, and deletes it.
pub(super) async fn look(place: &str, url: &str, config: &StoreConfig, findings: &mut Findings) {
    // What keeps it from being opened, or anything from being put, was told before.
    let Ok(store) = Store::open(config) else {
        return;
    };
    if store.is_in_memory() {
        return;
    }
    let number: u64 = rand::random();
    let text = format!("slimspan doctor {number:016x}: it can be deleted\n");
    let bytes = Bytes::from(text);
    let digest = Digest::of(&bytes);
    let artifact = Artifact {
        digest,
        media_type: "text/plain".to_owned(),
        bytes: bytes.clone(),
    };
    if store.put_all(&[artifact]).await.is_err() {
        return;
    }
    let other = "it reads from another store. Let it have the url of this one, or set public_url to the server that has";
    match ask(&format!("{url}/artifacts/{digest}")).await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            if status == 200 && has(answer, &bytes).await {
                let what = "what is put here can be read there";
                findings.tell(Verdict::Well, format_args!("{place}: {what}: {url}"));
            } else {
                let what =
                    format!("{url} does not have what was just put here (HTTP {status}): {other}");
                findings.tell(Verdict::Wrong, format_args!("{place}: {what}"));
            }
        }
        Err(error) => {
            let why = error.without_url();
            let what = format!("{url} did not say whether it has what was just put here ({why})");
            findings.tell(Verdict::Wrong, format_args!("{place}: {what}"));
        }
    }
    if let Err(error) = store.delete(&digest, Timestamp::now()).await {
        findings.tell(
            Verdict::Advice,
            format_args!("{place}: {error}; it was put there to be read, and can be deleted"),
        );
    }
}

/// Whether these bytes are answered, of which no more are read than there should be.
async fn has(mut answer: Response, bytes: &[u8]) -> bool {
    let mut found = Vec::new();
    while let Ok(Some(more)) = answer.chunk().await {
        found.extend_from_slice(&more);
        if found.len() > bytes.len() {
            return false;
        }
    }
    found == bytes
}
