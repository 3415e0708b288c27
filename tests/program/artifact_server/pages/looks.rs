//! What pages show, to whom, and what they let a browser do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use slimspan_artifact::Digest;

use super::{Sent, Viewed, header, text};
use crate::program::artifact_server::{Served, with_server, with_tenants};
use crate::support::otlp;

fn picture<'a>(trace: u8, second: u64, file: &[u8]) -> Sent<'a> {
    Sent {
        trace,
        span: second as u8 + 1,
        name: "chat gpt-4o",
        service: "shop",
        second,
        attributes: vec![("picture", otlp::bytes(file))],
    }
}

#[tokio::test]
async fn a_span_leads_to_its_picture_and_the_picture_to_its_spans() {
    let viewed = Viewed::start().await;
    let early = Sent {
        name: "look",
        service: "eyes",
        ..picture(7, 1, otlp::PICTURE)
    };
    let late = Sent {
        attributes: vec![
            ("again", otlp::bytes(otlp::PICTURE)),
            ("other", otlp::bytes(&otlp::photo(1, 20_000))),
        ],
        ..picture(7, 3, &[])
    };
    viewed.send(&[late, early]).await;
    let digest = Digest::of(otlp::PICTURE);
    let artifacts = viewed.served.artifacts.address;
    let trace = "07".repeat(16);

    let gallery = viewed.page_with("/", "3 references").await;
    let src = format!("<img src=\"http://{artifacts}/artifacts/{digest}?card\"");
    assert_eq!(gallery.matches(&src).count(), 1, "{gallery}");
    assert!(gallery.contains("×2"), "{gallery}");
    assert!(gallery.contains("alt=\"PNG in again of chat gpt-4o\""));
    assert!(gallery.contains("loading=\"lazy\""));
    assert!(gallery.contains(&format!("href=\"/artifacts/{digest}\"")));
    assert!(gallery.contains(&format!("href=\"/traces/{trace}\"")));

    let page = text(&viewed.pages().get(&format!("/traces/{trace}")).await);
    let at = |what: &str| page.find(what).unwrap_or_else(|| panic!("{what}: {page}"));
    assert!(at("<bdi>look</bdi></h2>") < at("<bdi>chat gpt-4o</bdi></h2>"));
    assert!(page.contains("+0.00 s") && page.contains("+2.00 s"));
    assert!(page.contains("3 artifacts in 2 spans"));
    let to_itself = format!("href=\"/traces/{trace}\"");
    assert!(!page.contains(&to_itself), "{page}");

    let answer = viewed.pages().get(&format!("/artifacts/{digest}")).await;
    let page = text(&answer);
    assert!(page.contains(&src.replace("?card", "")), "{page}");
    for (service, span, attribute) in [
        ("eyes", "look", "picture"),
        ("shop", "chat gpt-4o", "again"),
    ] {
        for what in [service, span, attribute] {
            assert!(page.contains(&format!(">{what}</bdi>")), "{what}: {page}");
        }
    }
    assert_eq!(
        page.matches(&format!("href=\"/traces/{trace}\"")).count(),
        2
    );
    assert!(page.contains(&format!(
        "value=\"http://{artifacts}/artifacts/{digest}.png\""
    )));
    for command in ["restore", "get"] {
        assert!(page.contains(&format!("slimspan {command} --config collector.yaml")));
    }
    let download = format!("/artifacts/{digest}?download");
    assert!(page.contains(&format!("href=\"http://{artifacts}{download}\"")));
    let file = viewed.served.artifacts.get(&download).await;
    assert_eq!(file.body, otlp::PICTURE);

    // The very way that a browser goes which was given the reference.
    let visiting = viewed.served.artifacts.with("sec-fetch-dest", "document");
    let answer = visiting.get(&format!("/artifacts/{digest}.png")).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    let to = format!("http://{}/artifacts/{digest}", viewed.pages().address);
    assert_eq!(header(&answer, "location"), to);
    // And the one from its page to the picture by itself.
    let alone = format!("/artifacts/{digest}?raw");
    let link = format!("<a href=\"http://{artifacts}{alone}\"");
    assert!(page.contains(&link), "{page}");
    assert_eq!(visiting.get(&alone).await.body, otlp::PICTURE);
}

#[tokio::test]
async fn a_page_may_do_nothing_but_show() {
    let served = Served::start(&with_server()).await;
    let artifact = served.put("a text").await;
    let artifacts = served.artifacts.address;
    for (path, status) in [
        ("/", StatusCode::NOT_FOUND),
        (artifact.as_str(), StatusCode::OK),
        ("/traces/xyz", StatusCode::BAD_REQUEST),
        ("/nothing", StatusCode::NOT_FOUND),
        ("/find?q=nothing", StatusCode::BAD_REQUEST),
    ] {
        let answer = served.pages.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        let page = text(&answer);
        let (_, script) = page.split_once("<script>").unwrap();
        let (script, rest) = script.split_once("</script>").unwrap();
        assert!(!rest.contains("<script"), "{path}");
        let hash = STANDARD.encode(Sha256::digest(script.as_bytes()));
        assert_eq!(
            header(&answer, "content-security-policy"),
            format!(
                "default-src 'none'; style-src 'self'; script-src 'sha256-{hash}'; img-src 'self' \
                 http://{artifacts}; media-src http://{artifacts}; form-action 'self'; base-uri 'none'; \
                 frame-ancestors 'none'"
            ),
            "{path}"
        );
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(header(&answer, name), value, "{path}");
        }
        assert!(!answer.headers.contains_key("set-cookie"));
        for asset in ["/style.css", "/icon.svg"] {
            assert!(page.contains(asset));
            assert_eq!(served.pages.get(asset).await.status, StatusCode::OK);
        }
        let refused = served.pages.ask(Method::POST, path, "x=1").await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let stranger = served.pages.with("host", "evil.example.com");
        let refused = stranger.get(path).await;
        assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST, "{path}");
    }
    let refused = served.pages.get("/v1/nothing").await;
    assert_eq!(refused.body, "there is nothing here\n");
}

/// Names as a sender may choose them, everywhere where a page repeats them.
#[tokio::test]
async fn what_a_payload_says_is_text() {
    let viewed = Viewed::start().await;
    let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'";
    let in_json = hostile.replace('"', "\\\"");
    let part = format!(
        r#"{{"type":"file","filename":"{in_json}","mime_type":"image/png","data":"{}"}}"#,
        STANDARD.encode(otlp::PICTURE)
    );
    let sent = Sent {
        name: hostile,
        service: hostile,
        attributes: vec![
            (hostile, otlp::bytes(&otlp::photo(1, 20_000))),
            ("named", otlp::text(part)),
        ],
        ..picture(9, 0, &[])
    };
    viewed.send(&[sent]).await;
    viewed.page_with("/", "2 references").await;
    let query = "/?name=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&service=%22%3E%3Cscript%3Ealert(1)&type=%22%3E%3Cscript%3E";
    for path in [
        "/".to_owned(),
        query.to_owned(),
        format!("/traces/{}", "09".repeat(16)),
        format!("/artifacts/{}", Digest::of(otlp::PICTURE)),
        format!("/artifacts/{}", Digest::of(&otlp::photo(1, 20_000))),
    ] {
        let page = text(&viewed.pages().get(&path).await);
        assert!(page.contains("&#60;script&#62;alert(1)"), "{path}: {page}");
        assert_eq!(page.matches("<script").count(), 1, "{path}: {page}");
        assert!(!page.contains("<img src=x"), "{path}: {page}");
        assert!(!page.contains("\">\"><"), "{path}: {page}");
    }
}

#[tokio::test]
async fn a_gallery_is_filtered_and_has_pages() {
    let viewed = Viewed::start().await;
    let photos: Vec<_> = (0..65).map(|seed| otlp::photo(seed, 9000)).collect();
    let mut spans: Vec<_> = photos
        .iter()
        .zip(0..)
        .map(|(photo, second)| picture(1, second, photo))
        .collect();
    spans.push(Sent {
        service: "voice",
        name: "listen",
        attributes: vec![("sound", otlp::bytes(&wav(30_000)))],
        ..picture(2, 100, &[])
    });
    viewed.send(&spans).await;
    let gallery = viewed.page_with("/", "66 references").await;
    let cards = |page: &str| page.matches("<li class=\"card\">").count();
    assert_eq!(cards(&gallery), 60);
    let (_, older) = gallery.split_once("rel=\"next\" href=\"").unwrap();
    let (older, _) = older.split_once('"').unwrap();
    let rest = text(&viewed.pages().get(&older.replace("&#38;", "&")).await);
    assert_eq!(cards(&rest), 6);
    assert!(!rest.contains("rel=\"next\""));
    assert!(rest.contains(">Newest</a>"));

    for (query, found) in [
        ("service=voice", 1),
        ("type=audio%2F*", 1),
        ("type=image%2Fpng", 60),
        ("min_size=10KiB", 1),
        ("max_size=10KiB", 60),
        ("since=2023-11-14T22:15:00", 1),
        ("until=2023-11-14T22:13:22", 2),
        ("name=LISTEN", 1),
        ("tenant=default", 60),
        ("tenant=acme", 0),
        ("state=dropped", 0),
        (&*format!("trace={}", "02".repeat(16)), 1),
    ] {
        let answer = viewed.pages().get(&format!("/?{query}")).await;
        let page = text(&answer);
        assert_eq!(cards(&page), found, "{query}");
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(page.contains("Nothing fits"), found == 0, "{query}");
    }
    let answer = viewed.pages().get("/?since=yesterday").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(text(&answer).contains("“from” is no time"));
}

fn wav(size: u32) -> Vec<u8> {
    let mut wav = b"RIFF".to_vec();
    wav.extend((size + 36).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data");
    wav.extend(size.to_le_bytes());
    wav.extend(vec![128; size as usize]);
    wav
}

/// Of another tenant there is nothing, and what is shown to a tenant is opened by links.
#[tokio::test]
async fn a_tenant_sees_its_own() {
    let served = Served::start(&with_tenants()).await;
    let of_acme = served.put_for("acme", otlp::PICTURE).await;
    let absent = of_acme.replace("acme", "beta");
    let acme = served.pages.bearer("token-of-acme");
    let page = text(&acme.get(&of_acme).await);
    let (_, src) = page.split_once("<img src=\"").unwrap();
    let (src, _) = src.split_once('"').unwrap();
    let path = src.replace("&#38;", "&");
    let path = path
        .strip_prefix(&format!("http://{}", served.artifacts.address))
        .unwrap();
    assert!(path.contains("sig="), "{path}");
    assert_eq!(served.artifacts.get(path).await.body, otlp::PICTURE);

    let beta = served.pages.bearer("token-of-beta");
    let nothing = beta.get(&absent).await;
    let forbidden = beta.get(&of_acme).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    assert_eq!(forbidden.status, nothing.status);
    assert_eq!(forbidden.body, nothing.body);

    let nobody = served.pages.get(&of_acme).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    assert!(header(&nobody, "www-authenticate").starts_with("Bearer"));
    assert!(text(&nobody).contains("A credential is needed here"));
}

#[tokio::test]
async fn a_link_that_is_given_away_is_written_down() {
    let mut config = with_tenants();
    config["extensions"]["artifact_server"]["audit_log"] = json!("./audit.jsonl");
    let served = Served::start(&config).await;
    let picture = served.put_for("acme", otlp::PICTURE).await;
    let words = served.put_for("acme", "words of somebody").await;
    let acme = served.pages.bearer("token-of-acme");
    for path in [&picture, &words] {
        assert_eq!(acme.get(path).await.status, StatusCode::OK);
    }
    let log = std::fs::read_to_string(served.slimspan.folder().join("audit.jsonl")).unwrap();
    let told: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let did = |action: &str, path: &str| {
        told.iter().any(|line| {
            line["who"] == "tenant acme"
                && line["action"] == action
                && path.ends_with(line["sha256"].as_str().unwrap())
        })
    };
    assert!(did("link", &picture), "{log}");
    assert!(did("read", &words), "{log}");
    // What cannot be written down is not done.
    std::fs::remove_file(served.slimspan.folder().join("audit.jsonl")).unwrap();
    std::fs::create_dir(served.slimspan.folder().join("audit.jsonl")).unwrap();
    for path in [&picture, &words] {
        assert_eq!(acme.get(path).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
