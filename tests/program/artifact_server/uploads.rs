//! Places for uploads: what one takes of them is not the others'.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, StatusCode};
use slimspan_artifact::Digest;

use super::client::Announced;
use super::{Served, with_tenants};

/// Uploads at a time, of which one may have half.
const PLACES: usize = 8;

/// Who puts many at once may not come again where it is told to after some seconds.
const LONG: Duration = Duration::from_secs(15);

const SIZE: usize = 100_000;

/// More than has to come in half a minute.
const BEGINS: usize = 70_000;

fn path(bytes: &[u8]) -> String {
    format!("/v1/artifacts/{}/blob", Digest::of(bytes))
}

#[tokio::test]
async fn one_who_sends_slowly_leaves_the_others_their_places() {
    let served = Served::start(&with_tenants()).await;
    let [acme, beta] =
        ["acme", "beta"].map(|name| served.pages.bearer(&format!("token-of-{name}")));
    let file = |number: usize| vec![number as u8; SIZE];
    let begun = Instant::now();
    let mut waiting = Vec::new();
    for number in 0..PLACES {
        let path = path(&file(number));
        waiting.push(acme.announce(Method::PUT, &path, SIZE).await);
    }
    // Half of them have a place, and the others an answer when they have waited.
    let told = waiting.iter_mut().enumerate().map(async |(number, one)| {
        let is_wanted = Announced::is_wanted(one).await;
        if is_wanted {
            one.send_some(&file(number)[..BEGINS]).await;
        }
        is_wanted
    });
    let told = join_all(told).await;
    let have_one = told.iter().filter(|is_wanted| **is_wanted).count();
    assert_eq!(have_one, PLACES / 2);
    let waited = begun.elapsed();
    assert!(waited > LONG, "{waited:?}");

    let other = Bytes::from(file(PLACES));
    let answer = beta.ask(Method::PUT, &path(&other), other).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");

    for (number, (one, is_wanted)) in waiting.into_iter().zip(told).enumerate() {
        if is_wanted {
            let answer = one.send(&file(number)[BEGINS..]).await;
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
