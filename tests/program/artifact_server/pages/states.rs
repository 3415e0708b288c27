//! Artifacts that are not simply there, and texts.

use std::fs;
use std::path::PathBuf;

use http::StatusCode;
use serde_json::json;
use slimspan::catalog::{Catalog, Deleted};
use slimspan_artifact::Digest;

use super::{Sent, Viewed, header, text};
use crate::program::artifact_server::{Served, with_server};
use crate::support::otlp;
use crate::support::soon;

fn span(file: &[u8]) -> Sent<'static> {
    Sent {
        trace: 3,
        span: 4,
        name: "chat",
        service: "shop",
        second: 0,
        attributes: vec![("picture", otlp::bytes(file))],
    }
}

/// Where the store has an artifact.
fn file(viewed: &Viewed, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    let folder = viewed.served.slimspan.artifacts();
    folder.join("default/sha256").join(&name[..2]).join(&name)
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let viewed = Viewed::start_with(|config| {
        config["processors"]["artifact"]["rules"] =
            json!([{ "attributes": ["given.up"], "action": "drop" }]);
    })
    .await;
    let [dropped, missing, damaged, deleted] = [1, 2, 3, 4].map(|seed| otlp::photo(seed, 20_000));
    let mut sent = span(&missing);
    sent.attributes = vec![
        ("given.up", otlp::bytes(&dropped)),
        ("missing", otlp::bytes(&missing)),
        ("damaged", otlp::bytes(&damaged)),
        ("deleted", otlp::bytes(&deleted)),
    ];
    viewed.send(&[sent]).await;
    let gallery = viewed.page_with("/", "4 references").await;
    assert!(gallery.contains("given up, not stored"), "{gallery}");
    let [dropped, missing, damaged, deleted] =
        [dropped, missing, damaged, deleted].map(|photo| Digest::of(&photo));
    fs::remove_file(file(&viewed, &missing)).unwrap();
    fs::write(file(&viewed, &damaged), "something else").unwrap();
    let store = &viewed.served.store;
    let other = Catalog::open_temporary(store).unwrap();
    let reason = "a <customer> asked";
    let artifact = Deleted::Artifact { digest: deleted };
    let tenant = "default".parse().unwrap();
    other.erase(store, &tenant, artifact, reason).await.unwrap();

    for (digest, status, words) in [
        (dropped, StatusCode::OK, "It was given up and is not stored"),
        (
            missing,
            StatusCode::NOT_FOUND,
            "the store does not have it any more",
        ),
        (
            damaged,
            StatusCode::INTERNAL_SERVER_ERROR,
            "its bytes have another digest",
        ),
        (
            Digest::of(b"nothing"),
            StatusCode::NOT_FOUND,
            "There is no such artifact",
        ),
    ] {
        let answer = viewed.pages().get(&format!("/artifacts/{digest}")).await;
        let page = text(&answer);
        assert_eq!(answer.status, status, "{page}");
        assert!(page.contains(words), "{page}");
        assert!(!page.contains("Download"), "{page}");
    }
    // Another replica deleted it, of which this one hears.
    let page = soon("it is known to be deleted", async {
        loop {
            let answer = viewed.pages().get(&format!("/artifacts/{deleted}")).await;
            if answer.status == StatusCode::GONE {
                return text(&answer);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    assert!(page.contains("It was deleted on"), "{page}");
    assert!(page.contains("a &#60;customer&#62; asked"), "{page}");
}

#[tokio::test]
async fn a_catalog_that_is_empty_says_what_to_do() {
    let viewed = Viewed::start().await;
    let gallery = viewed.page_with("/", "No artifacts yet").await;
    assert!(gallery.contains("slimspan demo"), "{gallery}");
    let answer = viewed
        .pages()
        .get(&format!("/traces/{}", "05".repeat(16)))
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(text(&answer).contains("No artifact of this trace is known"));
}

#[tokio::test]
async fn texts_are_shown_as_what_they_are() {
    let served = Served::start(&with_server()).await;
    let long = format!("begun {} ended", "word ".repeat(80_000));
    for (bytes, shown, not_shown) in [
        (
            r#"{"b":1.50,"a":["<script>"]}"#.to_owned(),
            "<span class=\"key\">b</span>",
            "<script>\"]",
        ),
        (
            "# not markdown <b>here</b>".to_owned(),
            "# not markdown &lt;b&gt;",
            "<h1># not",
        ),
        (
            "<html><script>alert(1)</script>".to_owned(),
            "There is no preview of HTML",
            "<html><script>",
        ),
        (
            "%PDF-1.7\n%words".to_owned(),
            "PDFs are not shown here",
            "%words",
        ),
        (
            long,
            "Only the first 256.0 KiB of 390.6 KiB are shown",
            "ended",
        ),
    ] {
        let path = served.put(bytes).await;
        let page = text(&served.pages.get(&path).await);
        assert!(page.contains(shown), "{shown}: {page}");
        assert!(!page.contains(not_shown), "{not_shown}: {page}");
        assert!(page.contains("There is no catalog, so nobody knows"));
    }
    // All of it is read before a part of it is shown.
    let damaged = served.put(vec![b'a'; 3 << 20]).await;
    let digest = damaged.rsplit('/').next().unwrap();
    let folder = served.slimspan.artifacts().join("default/sha256");
    let mut wrong = vec![b'a'; 3 << 20];
    wrong[2 << 20] = b'b';
    fs::write(folder.join(&digest[..2]).join(digest), wrong).unwrap();
    let page = text(&served.pages.get(&damaged).await);
    assert!(page.contains("It cannot be read at the moment"), "{page}");
    assert!(!page.contains("aaaa"));
}

#[tokio::test]
async fn what_is_looked_for_is_gone_to() {
    let served = Served::start(&with_server()).await;
    let digest = Digest::of(b"a");
    for (asked, place) in [
        (digest.to_string(), format!("/artifacts/{digest}")),
        (
            format!("http%3A%2F%2F127.0.0.1%3A4319%2Facme%2Fartifacts%2F{digest}.png"),
            format!("/acme/artifacts/{digest}"),
        ),
        ("0a".repeat(16), format!("/traces/{}", "0a".repeat(16))),
    ] {
        let answer = served.pages.get(&format!("/find?q={asked}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(header(&answer, "location"), place);
    }
}
