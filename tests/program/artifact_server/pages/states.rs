//! Artifacts that are not simply there, and texts.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::json;
use slimspan::catalog::{Catalog, Deleted, PutFile};
use slimspan_artifact::Digest;

use super::{Sent, Viewed, header, text};
use crate::program::artifact_server::{Served, with_catalog, with_server};
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
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert!(page.contains("It was deleted on"), "{page}");
    assert!(page.contains("a &#60;customer&#62; asked"), "{page}");
}

#[tokio::test]
async fn a_trace_that_is_deleted_takes_what_is_its_own() {
    let viewed = Viewed::start().await;
    let [own, shared] = [1, 2].map(|seed| otlp::photo(seed, 20_000));
    let of_other = Sent {
        trace: 5,
        attributes: vec![("shared", otlp::bytes(&shared))],
        ..span(&shared)
    };
    let mut of_this = span(&own);
    of_this.attributes.push(("shared", otlp::bytes(&shared)));
    viewed.send(&[of_this, of_other]).await;
    viewed.page_with("/", "3 references").await;
    let [of_this, of_other] = ["03", "05"].map(|byte| byte.repeat(16));
    let path = format!("/v1/traces/{of_this}?reason=a%20person%20asked");
    // Another replica may refer to what was stored lately.
    let early = viewed.pages().ask(Method::DELETE, &path, "").await;
    assert_eq!(early.status, StatusCode::OK, "{early:?}");
    let early = early.json();
    assert_eq!(early["artifacts"], 0);
    assert_eq!(early["waiting"], 1);
    assert!(early["until"].is_string(), "{early}");
    for digest in [&own, &shared].map(|photo| Digest::of(photo)) {
        let stored = fs::File::options().write(true).open(file(&viewed, &digest));
        let days_ago = SystemTime::now() - Duration::from_hours(72);
        stored.unwrap().set_modified(days_ago).unwrap();
    }
    let deleted = viewed.pages().ask(Method::DELETE, &path, "").await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    let deleted = deleted.json();
    assert_eq!(deleted["artifacts"], 1);
    assert_eq!(deleted["waiting"], 0);
    assert!(deleted["until"].is_null(), "{deleted}");
    let artifacts = &viewed.served.artifacts;
    let gone = artifacts
        .get(&format!("/artifacts/{}", Digest::of(&own)))
        .await;
    assert_eq!(gone.status, StatusCode::GONE);
    assert!(text(&gone).contains("a person asked"), "{gone:?}");
    let stays = artifacts
        .get(&format!("/artifacts/{}", Digest::of(&shared)))
        .await;
    assert_eq!(stays.status, StatusCode::OK);
    for (trace, status) in [(of_this, StatusCode::NOT_FOUND), (of_other, StatusCode::OK)] {
        let page = viewed.pages().get(&format!("/traces/{trace}")).await;
        assert_eq!(page.status, status, "{trace}");
    }
    let wrong = viewed.pages().ask(Method::DELETE, "/v1/traces/x", "").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

/// What waits for the store, and what was cut before it came.
#[tokio::test]
async fn what_is_on_its_way_and_what_was_cut_are_said_to_be() {
    let viewed = Viewed::start().await;
    let base64 = STANDARD.encode(otlp::PICTURE);
    let mut sent = span(&otlp::photo(1, 20_000));
    sent.attributes = vec![("cut", otlp::text(&base64[..12_000]))];
    viewed.send(&[sent]).await;
    // Of another replica, on whose disk it waits.
    let digest = Digest::of(b"elsewhere");
    let elsewhere = PutFile {
        tenant: "default".parse().unwrap(),
        digest,
        size: 9,
        content_type: "image/png".to_owned(),
        name: Some("elsewhere.png".to_owned()),
        is_spooled: true,
    };
    elsewhere
        .put_down(&viewed.served.store.bucket())
        .await
        .unwrap();
    let gallery = viewed.page_with("/", "2 references").await;
    for words in [
        "on its way, not here yet",
        "cut before it came",
        "elsewhere.png",
    ] {
        assert!(gallery.contains(words), "{words}: {gallery}");
    }
    // There is nothing to be loaded of it here, whichever page it is on.
    assert!(!gallery.contains("<img src=\"http"), "{gallery}");
    let page = viewed.pages().get(&format!("/artifacts/{digest}")).await;
    assert_eq!(page.status, StatusCode::OK);
    let page = text(&page);
    assert!(
        page.contains("It waits on the disk of the slimspan that took it"),
        "{page}"
    );
    for (state, count) in [("spooled", 1), ("truncated", 1), ("stored", 0)] {
        let page = text(&viewed.pages().get(&format!("/?state={state}")).await);
        let cards = page.matches("<li class=\"card\">").count();
        assert_eq!(cards, count, "{state}");
    }
}

/// A picture that is too large to be loaded by itself is told, and downloaded.
#[tokio::test]
async fn large_pictures_are_not_loaded_by_themselves() {
    let viewed = Viewed::start().await;
    let small = otlp::photo(1, 20_000);
    let no_thumb = otlp::photo(2, (4 << 20) + 1);
    let mut sent = span(&small);
    sent.attributes.push(("large", otlp::bytes(&no_thumb)));
    viewed.send(&[sent]).await;
    let gallery = viewed.page_with("/", "2 references").await;
    let origin = format!("http://{}", viewed.served.artifacts.address);
    for (photo, is_loaded) in [(&small, true), (&no_thumb, false)] {
        let path = format!("/artifacts/{}", Digest::of(photo));
        let source = format!("src=\"{origin}{path}");
        assert_eq!(gallery.contains(&source), is_loaded, "{path}");
        let page = text(&viewed.pages().get(&path).await);
        assert!(page.contains(&source), "{page}");
    }
    let mut huge = vec![0; (32 << 20) + 1];
    huge[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
    let path = viewed.served.put(huge).await;
    let page = text(&viewed.pages().get(&path).await);
    assert!(
        page.contains("Pictures of more than 32.0 MiB are not shown here"),
        "{page}"
    );
    assert!(!page.contains("<img src=\"http"), "{page}");
    assert!(page.contains("?download"), "{page}");
}

/// Nor is one of few bytes that takes gigabytes where it is decoded. Who asks for the file has it.
#[tokio::test]
async fn pictures_of_many_pixels_are_not_decoded_for_a_page() {
    let viewed = Viewed::start().await;
    let few = otlp::photo(1, 20_000);
    let mut many = otlp::photo(2, 20_000);
    many[8..24].copy_from_slice(b"\0\0\0\x0dIHDR\0\0\x4e\x20\0\0\x4e\x20");
    let mut sent = span(&few);
    sent.attributes.push(("many", otlp::bytes(&many)));
    viewed.send(&[sent]).await;
    let gallery = viewed.page_with("/", "2 references").await;
    let artifacts = &viewed.served.artifacts;
    let told = "20000 × 20000 pixels";
    for (photo, is_shown) in [(&few, true), (&many, false)] {
        let path = format!("/artifacts/{}", Digest::of(photo));
        let card = format!("{path}?card");
        let source = format!("src=\"http://{}{card}\"", artifacts.address);
        assert!(gallery.contains(&source), "{gallery}");
        let answer = artifacts.get(&card).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body == *photo, is_shown, "{card}");
        if !is_shown {
            assert_eq!(header(&answer, "content-type"), "image/svg+xml");
            assert!(text(&answer).contains(told), "{answer:?}");
        }
        assert!(artifacts.get(&path).await.body == *photo, "{path}");
        let page = text(&viewed.pages().get(&path).await);
        assert_eq!(page.contains("<img src=\"http"), is_shown, "{page}");
        assert_eq!(page.contains(told), !is_shown, "{page}");
    }
    // What is no picture has no pixels that anybody could count.
    let path = viewed.served.put("a text").await;
    let answer = artifacts.get(&format!("{path}?card")).await;
    assert_eq!(text(&answer), "a text");
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
    let much = "word ".repeat(200_000);
    let much = format!(r#"{{"text":"begun {much} ended","last":1.50}}"#);
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
            "%PDF-1.7\n%words << /Type /Page >> << /Type /Page >>".to_owned(),
            "PDF 1.7, 2 pages. PDFs are not shown here",
            "%words",
        ),
        (
            long,
            "Only the first 256.0 KiB of 390.6 KiB are shown. <a href=",
            "ended",
        ),
        // A document that is too long for a page is one all the same.
        (
            much.clone(),
            "<span class=\"key\">last</span> <span class=\"literal\">1.50</span>",
            "ended",
        ),
        (
            much,
            "This JSON is too much for a page: up to 16.0 KiB of each text are shown. <a href=",
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
    assert!(page.contains("its bytes have another digest"), "{page}");
    assert!(!page.contains("aaaa"));
}

/// A player is for what the server gives as something to play, and says nothing where all it gets is a download.
#[tokio::test]
async fn what_browsers_do_not_play_has_no_player() {
    let served = Served::start(&with_server()).await;
    for (head, player, note) in [
        (&b"RIFF....WAVEfmt "[..], Some("audio"), ""),
        (b"....ftypisom", Some("video"), ""),
        (b"FORM....AIFF", None, "There is no preview of AIFF"),
        (b"MThd....", None, "There is no preview of MID"),
        (b"#!AMR\n", None, "There is no preview of AMR"),
        (b"\xff\xf1\x50\x80", None, "There is no preview of AAC"),
        (b"....ftypqt  ", None, "There is no preview of MOV"),
        (b"....ftyp3gp4", None, "There is no preview of 3GP"),
        (b"\x1a\x45\xdf\xa3....", None, "There is no preview of MKV"),
        (b"RIFF....AVI LIST", None, "There is no preview of AVI"),
        (b"\0\0\x01\xba", None, "There is no preview of MPG"),
    ] {
        let what = head.escape_ascii();
        let path = served.put(head.to_vec()).await;
        let given = served.artifacts.get(&path).await;
        let is_inline = header(&given, "content-disposition").starts_with("inline");
        assert_eq!(is_inline, player.is_some(), "{what}");
        let page = text(&served.pages.get(&path).await);
        for element in ["audio", "video"] {
            let is_there = page.contains(&format!("<{element} controls"));
            assert_eq!(is_there, player == Some(element), "{what}: {page}");
        }
        assert!(page.contains(note), "{what}: {page}");
        assert!(page.contains("?download"), "{what}: {page}");
    }
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

/// Who may see what everybody has is led to whose it is, and where it is several tenants' to what they have.
#[tokio::test]
async fn a_digest_leads_to_whose_it_is() {
    let served = Served::start(&with_catalog()).await;
    let digest = Digest::of(b"some text");
    let of_several = format!("/?sha256={digest}");
    for (tenant, place) in [
        ("acme", format!("/acme/artifacts/{digest}")),
        ("beta", of_several.clone()),
    ] {
        let blob = format!("/v1/artifacts/{digest}/blob?tenant={tenant}");
        let stored = served.pages.ask(Method::PUT, &blob, "some text").await;
        assert_eq!(stored.status, StatusCode::CREATED, "{stored:?}");
        soon("the catalog comes by", async {
            loop {
                let answer = served.pages.get(&format!("/find?q={digest}")).await;
                assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
                if header(&answer, "location") == place {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    let page = text(&served.pages.get(&of_several).await);
    for tenant in ["acme", "beta"] {
        let link = format!("href=\"/{tenant}/artifacts/{digest}\"");
        assert!(page.contains(&link), "{page}");
    }
}
