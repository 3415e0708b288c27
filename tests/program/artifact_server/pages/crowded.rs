//! Pages of what takes much to be shown, many at a time.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::{Method, StatusCode};
use serde_json::json;
use slimspan_artifact::Digest;

use super::text;
use crate::program::artifact_server::{Served, with_server};
use crate::support::config;
use crate::support::fault_store::{Fault, FaultStore};

/// Previews for which much is read, of which one may have half.
const PLACES: usize = 8;

/// What the store takes for each answer, of which a preview below takes three and more one after the other. Who waits
/// for a place does so for five seconds.
const SLOW: Duration = Duration::from_millis(2500);

#[tokio::test]
async fn one_who_looks_at_much_does_not_fill_the_memory() {
    let store = FaultStore::start(1, &[]).await;
    let mut config = with_server();
    let with_s3 = config::with_s3(store.address, store.address);
    config["extensions"]["artifact_store"] = with_s3["extensions"]["artifact_store"].clone();
    config["extensions"]["artifact_store"]["public_url"] = json!("https://files.example.com");
    config["extensions"]["artifact_store"]["timeout"] = json!("30s");
    let served = Served::start(&config).await;
    let file = format!("[\"{}\"]", "word ".repeat(600_000));
    let digest = Digest::of(file.as_bytes());
    let path = format!("/v1/artifacts/{digest}/blob");
    let answer = served.pages.ask(Method::PUT, &path, file).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");

    store.set(&[(Fault::Delay(SLOW), 1000)]);
    let page = format!("/artifacts/{digest}");
    let pages = (0..=PLACES / 2).map(|_| served.pages.get(&page));
    let mut pages: FuturesUnordered<_> = pages.collect();
    // Who has no place hears it before those who have one see anything, and has a page all the same.
    let first = pages.next().await.unwrap();
    assert_eq!(first.status, StatusCode::OK, "{first:?}");
    let told = text(&first);
    for part in [
        "Too much is shown at the moment",
        "Load the page again",
        "Download",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    drop(pages);
    store.heal();
    let again = text(&served.pages.get(&page).await);
    assert!(
        again.contains("This JSON is too much for a page"),
        "{again:.2000}"
    );
}
