//! What was deleted can come again, and is there again at once.

use http::{Method, StatusCode};
use slimspan_artifact::Digest;

use super::{Served, with_catalog};
use crate::support::otlp;
use crate::support::slimspan::run;

/// Everything that can be asked of an artifact, and what is answered.
async fn asked(served: &Served, digest: &Digest) -> Vec<u16> {
    let path = format!("/artifacts/{digest}");
    let mut statuses = Vec::new();
    for method in [Method::GET, Method::HEAD] {
        let answer = served.artifacts.ask(method, &path, "").await;
        statuses.push(answer.status.as_u16());
    }
    let api = format!("/v1/artifacts/{digest}");
    for page in [path, api] {
        statuses.push(served.pages.get(&page).await.status.as_u16());
    }
    statuses
}

/// Nothing tells the catalog of what is put into the bucket by others.
#[tokio::test]
async fn what_is_put_behind_its_back_opens_at_once() {
    let served = Served::start(&with_catalog()).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let digest = Digest::of(&photo);
    assert_eq!(asked(&served, &digest).await, [404; 4]);
    served.put(photo.clone()).await;
    assert_eq!(asked(&served, &digest).await, [200; 4]);
    let delete = format!("/v1/artifacts/{digest}?reason=asked");
    let answer = served.pages.ask(Method::DELETE, &delete, "").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(asked(&served, &digest).await, [410; 4]);
    served.put(photo).await;
    assert_eq!(asked(&served, &digest).await, [200; 4]);
}

#[tokio::test]
async fn what_is_put_by_a_command_opens_at_once() {
    let served = Served::start(&with_catalog()).await;
    let photo = otlp::photo(2, otlp::PHOTO);
    let digest = Digest::of(&photo);
    let folder = served.slimspan.folder();
    std::fs::write(folder.join("a.png"), &photo).unwrap();
    for _ in 0..2 {
        let put = run(folder, &["put", "--config", "collector.yaml", "a.png"]).await;
        assert_eq!(put.code, Some(0), "{put:?}");
        assert_eq!(asked(&served, &digest).await, [200; 4]);
        let delete = format!("/v1/artifacts/{digest}");
        let answer = served.pages.ask(Method::DELETE, &delete, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(asked(&served, &digest).await, [410; 4]);
    }
}
