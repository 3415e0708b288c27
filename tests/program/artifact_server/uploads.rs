//! Places for uploads: what one takes of them is not the others'.

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, StatusCode};
use slimspan_artifact::Digest;

use super::client::Announced;
use super::{Served, with_tenants};

/// Uploads at a time, of which one may have half.
const PLACES: usize = 8;

fn path(bytes: &[u8]) -> String {
    format!("/v1/artifacts/{}/blob", Digest::of(bytes))
}

#[tokio::test]
async fn one_who_sends_slowly_leaves_the_others_their_places() {
    let served = Served::start(&with_tenants()).await;
    let [acme, beta] =
        ["acme", "beta"].map(|name| served.pages.bearer(&format!("token-of-{name}")));
    let file = |number: usize| vec![number as u8; 1000];
    let mut waiting = Vec::new();
    for number in 0..PLACES {
        let path = path(&file(number));
        waiting.push(acme.announce(Method::PUT, &path, 1000).await);
    }
    // Half of them have a place, and the others an answer after some seconds.
    let told = join_all(waiting.iter_mut().map(Announced::is_wanted)).await;
    let have_one = told.iter().filter(|is_wanted| **is_wanted).count();
    assert_eq!(have_one, PLACES / 2);

    let other = Bytes::from(file(PLACES));
    let answer = beta.ask(Method::PUT, &path(&other), other).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");

    for (number, (one, is_wanted)) in waiting.into_iter().zip(told).enumerate() {
        if is_wanted {
            let answer = one.send(&file(number)).await;
            assert!(answer.contains("HTTP/1.1 201 "), "{answer}");
        } else {
            let answer = one.send(&[]).await;
            assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
            assert!(answer.contains("all places are taken that one"), "{answer}");
        }
    }
    // What was taken is given back.
    let again = Bytes::from(file(PLACES + 1));
    let answer = acme.ask(Method::PUT, &path(&again), again).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
}
