//! Places at the API and the pages: what one takes of them is not the others'.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use http::{Method, StatusCode};
use serde_json::json;
use slimspan_artifact::Digest;

use super::client::Announced;
use super::{Served, with_catalog, with_tenants};

/// Requests that are answered at a time, of which one may have half.
const PLACES: usize = 32;

#[tokio::test]
async fn one_who_asks_for_much_leaves_the_others_their_places() {
    let mut config = with_tenants();
    config["extensions"]["artifact_store"] = with_catalog()["extensions"]["artifact_store"].clone();
    let served = Served::start(&config).await;
    let [acme, beta] =
        ["acme", "beta"].map(|name| served.pages.bearer(&format!("token-of-{name}")));
    let claim = json!({ "sha256": Digest::of(b"new").to_string(), "size_bytes": 3 }).to_string();
    // Each has a place while it is waited for.
    let announcing = || acme.announce(Method::POST, "/v1/artifacts", claim.len());
    let mut asking = join_all((0..PLACES / 2).map(|_| announcing())).await;
    let told = join_all(asking.iter_mut().map(Announced::is_wanted)).await;
    assert!(told.iter().all(|is_wanted| *is_wanted), "{told:?}");

    let person = STANDARD.encode("anybody:token-of-acme");
    let person = served
        .pages
        .with("authorization", format!("Basic {person}"));
    let (mut one_more, page, others) =
        tokio::join!(announcing(), person.get("/"), beta.get("/v1/artifacts"));
    assert_eq!(others.status, StatusCode::OK, "{others:?}");
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{page:?}");
    assert!(page.headers.contains_key("retry-after"));
    assert!(!one_more.is_wanted().await);
    let answer = one_more.send(&[]).await;
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("all places are taken that one"), "{answer}");

    // What was taken is given back.
    for one in asking {
        let answer = one.send(claim.as_bytes()).await;
        assert!(answer.contains("HTTP/1.1 201 "), "{answer}");
    }
    let again = acme.get("/v1/artifacts").await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
}
