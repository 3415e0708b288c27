//! Where there is no time to look at a password, nobody is told that it is wrong.

use std::thread::available_parallelism;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Client;
use super::{Served, with_catalog};
use crate::support::http::HttpAnswer;

/// The highest cost that a hash may have.
const SLOW: u32 = 15;

/// As many passwords as cannot all be looked at before those who wait are asked to come back, also on a fast machine,
/// and not as many as one address may have connections.
fn too_many() -> usize {
    let cores = available_parallelism().map_or(1, usize::from);
    (16 * (cores / 2).max(1)).min(400)
}

/// A user whose password takes long to check, and is never right: it was hashed in less time than is said.
fn slow_user(name: &str) -> Value {
    let hash = bcrypt::hash("other", 4).unwrap();
    let hash = hash.replace("$04$", &format!("${SLOW}$"));
    json!({ "htpasswd": { "inline": format!("{name}:{hash}") } })
}

fn ada(client: &Client) -> Client {
    let credential = STANDARD.encode("ada:secret");
    client.with("authorization", format!("Basic {credential}"))
}

/// Each is told to come back, or what it would be told if there were time.
fn told(answers: &[HttpAnswer], otherwise: StatusCode) {
    for answer in answers {
        let is_later = answer.status == StatusCode::SERVICE_UNAVAILABLE;
        assert!(is_later || answer.status == otherwise, "{answer:?}");
        let comes_back = answer.headers.contains_key("retry-after");
        assert_eq!(comes_back, is_later, "{answer:?}");
        let is_challenged = answer.headers.contains_key("www-authenticate");
        assert!(!(is_later && is_challenged), "{answer:?}");
    }
    let mut statuses = answers.iter().map(|answer| answer.status);
    assert!(
        statuses.any(|status| status == StatusCode::SERVICE_UNAVAILABLE),
        "all passwords were looked at"
    );
}

#[tokio::test]
async fn who_waits_too_long_for_a_check_of_a_password_is_not_told_that_it_is_wrong() {
    let mut config = with_catalog();
    config["extensions"]["basicauth"] = slow_user("ada");
    config["extensions"]["artifact_server"]["auth"] = json!({ "authenticator": "basicauth" });
    config["service"]["extensions"] = json!(["artifact_store", "artifact_server", "basicauth"]);
    let served = Served::start(&config).await;
    let path = served.put("some text").await;
    let api = format!("/v1{path}");
    let (files, pages) = (ada(&served.artifacts), ada(&served.pages));
    let asking = (0..too_many()).map(|number| {
        let (client, path) = match number % 3 {
            0 => (&files, &path),
            1 => (&pages, &path),
            _ => (&pages, &api),
        };
        client.get(path)
    });
    told(&join_all(asking).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_may_delete_is_not_told_otherwise_where_there_was_no_time_to_find_out() {
    let mut config = with_catalog();
    config["extensions"]["basicauth"] = json!({
        "htpasswd": { "inline": format!("ada:{}", bcrypt::hash("secret", 4).unwrap()) },
    });
    config["extensions"]["basicauth/deletion"] = slow_user("eve");
    config["extensions"]["artifact_server"]["auth"] = json!({ "authenticator": "basicauth" });
    config["extensions"]["artifact_server"]["deletion"] =
        json!({ "auth": { "authenticator": "basicauth/deletion" } });
    config["service"]["extensions"] = json!([
        "artifact_store",
        "artifact_server",
        "basicauth",
        "basicauth/deletion"
    ]);
    let served = Served::start(&config).await;
    let path = served.put("some text").await;
    let api = format!("/v1{path}");
    let reader = ada(&served.pages);
    // Who may read is looked up at once.
    assert_eq!(reader.get(&api).await.status, StatusCode::OK);
    let asking = (0..too_many()).map(|_| reader.ask(Method::DELETE, &api, ""));
    told(&join_all(asking).await, StatusCode::FORBIDDEN);
}
