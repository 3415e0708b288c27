//! Who may see what, and what nobody can find out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use http::{Method, StatusCode};
use serde_json::json;
use slimspan_artifact::Digest;
use tokio::time::Instant;

use super::{Served, with_catalog, with_server, with_tenants};
use crate::support::measured::measured;
use crate::support::slimspan::run;

#[tokio::test]
async fn a_token_opens_what_is_its_tenants_and_nothing_else() {
    let served = Served::start(&with_tenants()).await;
    let of_acme = served.put_for("acme", "what acme has").await;
    let of_beta = served.put_for("beta", "what beta has").await;
    let of_nobody = served.put("what nobody has").await;
    let absent = format!("/acme/artifacts/{}", Digest::of(b"nothing"));
    let unknown = format!("/gamma/artifacts/{}", Digest::of(b"what acme has"));
    let acme = served.artifacts.bearer("token-of-acme");
    let beta = served.artifacts.bearer("token-of-beta");
    let answer = acme.get(&of_acme).await;
    assert_eq!(
        (answer.status, answer.body),
        (StatusCode::OK, "what acme has".into())
    );
    assert_eq!(beta.get(&of_beta).await.status, StatusCode::OK);
    let nothing = acme.get(&absent).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    for (client, path) in [
        (&acme, &of_beta),
        (&acme, &of_nobody),
        (&acme, &unknown),
        (&beta, &of_acme),
        (&beta, &absent),
    ] {
        for (name, value) in [("x", "x"), ("range", "bytes=0-0"), ("if-none-match", "*")] {
            let began = Instant::now();
            let answer = client.with(name, value).get(path).await;
            assert_eq!(answer.status, nothing.status, "{path}");
            assert_eq!(answer.body, nothing.body);
            let (mut one, mut other) = (answer.headers, nothing.headers.clone());
            one.remove("date");
            other.remove("date");
            assert_eq!(one, other);
            assert!(began.elapsed() >= Duration::from_millis(25));
        }
    }
    for client in [
        served.artifacts.clone(),
        served.artifacts.bearer("token-of-nobody"),
        served.artifacts.bearer(""),
        served.artifacts.with("authorization", "Basic dG9rZW4="),
        acme.with("authorization", "Bearer token-of-beta"),
    ] {
        for path in [&of_acme, &of_beta, &absent] {
            let answer = client.get(path).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            assert_eq!(answer.body, "a credential is needed here\n");
        }
    }
}

/// Those who have files, each with a token.
const TENANTS: [&str; 3] = ["acme", "beta", "gamma"];

/// Each way to ask for each file at each tenant's place with each credential: only one's own opens at one's own place,
/// and each of the others has the same answer, to the byte but for the date.
#[tokio::test]
async fn of_all_pairs_of_a_token_and_a_file_only_ones_own_open() {
    let mut config = with_tenants();
    config["extensions"]["bearertokenauth"]["tenants"]["gamma"] = json!("token-of-gamma");
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1_000_000);
    let served = Served::start(&config).await;
    let mut files = vec![(None, "nothing".to_owned())];
    for tenant in TENANTS.into_iter().chain(["default"]) {
        let file = format!("what {tenant} has");
        served.put_for(tenant, file.clone()).await;
        files.push((Some(tenant), file));
    }
    let tokens = TENANTS.map(|tenant| (Some(tenant), format!("token-of-{tenant}")));
    let wrong = ["token-of-nobody", "token-of-acm", ""].map(|token| (None, token.to_owned()));
    let mut asked = Vec::new();
    for (listener, client) in [("files", &served.artifacts), ("API", &served.pages)] {
        let known = tokens.iter().chain(&wrong);
        let known = known.map(|(reader, token)| (*reader, client.bearer(token)));
        for (reader, client) in known.chain([(None, client.clone())]) {
            for (place, (owner, file)) in TENANTS
                .iter()
                .flat_map(|place| files.iter().map(move |file| (*place, file)))
            {
                let digest = Digest::of(file.as_bytes());
                let path = match listener {
                    "files" => format!("/{place}/artifacts/{digest}"),
                    _ => format!("/v1/artifacts/{digest}?tenant={place}"),
                };
                let status = match reader {
                    None => StatusCode::UNAUTHORIZED,
                    Some(reader) if reader == place && *owner == Some(place) => StatusCode::OK,
                    Some(_) => StatusCode::NOT_FOUND,
                };
                for method in [Method::GET, Method::HEAD] {
                    let (client, path, file) = (client.clone(), path.clone(), file.clone());
                    asked.push(async move {
                        let answer = client.ask(method.clone(), &path, "").await;
                        assert_eq!(answer.status, status, "{reader:?}: {method} {path}");
                        (listener, method, answer, file)
                    });
                }
            }
        }
    }
    let all = asked.len();
    let answers = stream::iter(asked).buffer_unordered(16);
    let answers: Vec<_> = answers.collect().await;
    let (mut opened, mut refused) = (0, BTreeMap::<_, BTreeSet<_>>::new());
    for (listener, method, mut answer, file) in answers {
        if answer.status == StatusCode::OK {
            opened += 1;
            if listener == "files" && method == Method::GET {
                assert_eq!(answer.body, file);
            }
            continue;
        }
        answer.headers.remove("date");
        let kind = (listener, method.to_string(), answer.status.as_u16());
        let seen = (format!("{:?}", answer.headers), answer.body);
        refused.entry(kind).or_default().insert(seen);
    }
    assert_eq!(opened, TENANTS.len() * 4, "by two ways, GET and HEAD");
    assert_eq!(refused.len(), 8, "{refused:#?}");
    for (kind, seen) in &refused {
        assert_eq!(seen.len(), 1, "{kind:?}: {seen:#?}");
    }
    measured(
        "P28",
        "program::artifact_server::tenants",
        "200 for one's own file alone, else one 404 and one 401",
        format_args!("{opened} opened of {all}, each of the others refused with the same bytes"),
    );
}

#[tokio::test]
async fn a_signed_link_opens_one_artifact_to_whoever_has_it() {
    let mut config = with_tenants();
    config["extensions"]["artifact_server"]["links"] =
        json!({ "keys": [{ "id": "a", "secret": "0123456789abcdef0123456789abcdef" }] });
    let served = Served::start(&config).await;
    let path = served.put_for("acme", "what acme has").await;
    let other = served.put_for("beta", "what beta has").await;
    let digest = Digest::of(b"what acme has");
    let ask = format!("/v1/artifacts/{digest}/link");
    for (client, status) in [
        (served.pages.clone(), 401),
        (served.pages.bearer("token-of-acme"), 201),
    ] {
        let answer = client.ask(Method::POST, &ask, "").await;
        assert_eq!(answer.status, status);
    }
    let of_another = format!("{ask}?tenant=beta");
    let acme = served.pages.bearer("token-of-acme");
    let answer = acme.ask(Method::POST, &of_another, "").await;
    assert_eq!(answer.status, 404);

    let link = acme.ask(Method::POST, &ask, "").await.json();
    let url = link["url"].as_str().unwrap();
    let origin = format!("http://{}", served.artifacts.address);
    let link = url.strip_prefix(&origin).unwrap();
    let (linked, query) = link.split_once('?').unwrap();
    assert_eq!(linked, path);
    let answer = served.artifacts.get(link).await;
    assert_eq!(
        (answer.status, answer.body),
        (StatusCode::OK, "what acme has".into())
    );
    // Also in a browser: who has the link may have no credential for the page.
    let visit = served.artifacts.with("sec-fetch-dest", "document");
    assert_eq!(visit.get(link).await.status, StatusCode::OK);
    for wrong in [
        format!("{other}?{query}"),
        format!("{link}&download"),
        link.replace("kid=a", "kid=b"),
        link.replace("exp=", "exp=9"),
        link[..link.len() - 1].to_owned(),
    ] {
        let answer = served.artifacts.get(&wrong).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{wrong}");
    }
}

/// HEAD tells of what GET gives, the type is that of the bytes, and nothing else is done with a link.
#[tokio::test]
async fn a_signed_link_is_for_reading_and_for_nothing_else() {
    let served = Served::start(&with_tenants()).await;
    let path = served.put_for("acme", "what acme has").await;
    let known = format!("/v1/artifacts/{}", Digest::of(b"what acme has"));
    let acme = served.pages.bearer("token-of-acme");
    let link = acme.ask(Method::POST, &format!("{known}/link"), "").await;
    let link = link.json()["url"].as_str().unwrap().to_owned();
    let (_, query) = link.split_once('?').unwrap();
    let own = format!("{path}?{query}");
    let given = served.artifacts.get(&own).await;
    assert_eq!(given.body, "what acme has");
    let mut told = Vec::new();
    for (method, path) in [
        (Method::GET, own.clone()),
        (Method::HEAD, own.clone()),
        (Method::GET, format!("{path}.html?{query}")),
        (Method::HEAD, format!("{path}.svg?{query}")),
    ] {
        let mut answer = served.artifacts.ask(method, &path, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        answer.headers.remove("date");
        told.push(answer.headers);
    }
    assert_eq!(told[0]["content-type"], "text/plain; charset=utf-8");
    assert!(told.iter().all(|headers| *headers == told[0]), "{told:?}");
    for method in [Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
        let answer = served.artifacts.ask(method, &own, "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    // The API and the pages take none.
    for (method, path) in [
        (Method::GET, own),
        (Method::GET, format!("{known}?tenant=acme&{query}")),
        (Method::DELETE, format!("{known}?tenant=acme&{query}")),
        (Method::POST, format!("{known}/link?tenant=acme&{query}")),
        (Method::PUT, format!("{known}/blob?tenant=acme&{query}")),
    ] {
        let answer = served.pages.ask(method, &path, "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn who_read_what_is_written_down() {
    let mut config = with_tenants();
    config["extensions"]["artifact_server"]["audit_log"] = json!("./audit.jsonl");
    let served = Served::start(&config).await;
    let path = served.put_for("acme", "what acme has").await;
    let acme = served.artifacts.bearer("token-of-acme");
    acme.get(&path).await;
    let log = served.slimspan.folder().join("audit.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["who"], "tenant acme");
    assert_eq!(line["action"], "read");
    assert_eq!(line["sha256"], Digest::of(b"what acme has").to_string());
    assert_eq!(line["status"], 200);
    assert!(!text.contains("token-of-acme"));
    // What cannot be written down is not given.
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let answer = acme.get(&path).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ne!(answer.body, "what acme has");
}

#[tokio::test]
async fn who_asks_too_often_waits() {
    let mut config = with_tenants();
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1);
    let served = Served::start(&config).await;
    let path = served.put_for("acme", "what acme has").await;
    let acme = served.artifacts.bearer("token-of-acme");
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let answer = acme.get(&path).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.headers["retry-after"], "1");
        }
        statuses.push(answer.status);
    }
    assert!(statuses.contains(&StatusCode::OK));
    assert!(
        statuses.contains(&StatusCode::TOO_MANY_REQUESTS),
        "{statuses:?}"
    );
    let beta = served.artifacts.bearer("token-of-beta");
    assert_ne!(beta.get(&path).await.status, StatusCode::TOO_MANY_REQUESTS);
}

/// Who reads much, and takes nothing of it, leaves others their share.
#[tokio::test]
async fn who_reads_slowly_holds_up_nobody_else() {
    let mut config = with_tenants();
    config["extensions"]["artifact_server"]["max_concurrent_requests"] = json!(4);
    let served = Served::start(&config).await;
    let long = served.put_for("acme", vec![b'a'; 30 << 20]).await;
    let short = served.put_for("beta", "what beta has").await;
    let page = served.put_for("acme", "what acme has").await;
    let acme = served.artifacts.bearer("token-of-acme");
    let mut slow = Vec::new();
    for _ in 0..2 {
        slow.push(acme.begin(Method::GET, &long, "").await);
    }
    // There is no third place for it, and one for others.
    assert_eq!(
        acme.get(&long).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    // Pages have places of their own.
    let pages = served.pages.bearer("token-of-acme");
    assert_eq!(pages.get(&page).await.status, StatusCode::OK);
    for _ in 0..2 {
        let waiting = acme.clone();
        let path = long.clone();
        tokio::spawn(async move { waiting.try_get(&path).await });
    }
    let beta = served.artifacts.bearer("token-of-beta");
    assert_eq!(beta.get(&short).await.status, StatusCode::OK);
    drop(slow);
}

/// By the API and by pages, too, what is not there and what may not be seen are the same.
#[tokio::test]
async fn nobody_learns_from_pages_or_the_api_what_others_have() {
    let served = Served::start(&with_tenants()).await;
    served.put_for("beta", "what beta has").await;
    let acme = served.pages.bearer("token-of-acme");
    let [there, absent] = [&b"what beta has"[..], b"nothing"].map(Digest::of);
    for pattern in [
        "/beta/artifacts/{}",
        "/artifacts/{}",
        "/v1/artifacts/{}",
        "/v1/artifacts/{}?tenant=beta",
    ] {
        let mut answers = Vec::new();
        for digest in [there, absent] {
            let began = Instant::now();
            let path = pattern.replace("{}", &digest.to_string());
            let answer = acme.get(&path).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert!(began.elapsed() >= Duration::from_millis(25), "{path}");
            let mut headers = answer.headers;
            headers.remove("date");
            answers.push((headers, answer.body));
        }
        assert_eq!(answers[0], answers[1], "{pattern}");
    }
}

#[tokio::test]
async fn nobody_opens_it_to_everybody_by_mistake() {
    let mut config = with_server();
    config["extensions"]["artifact_server"]["endpoint"] = json!("0.0.0.0:0");
    let folder = tempfile::tempdir().unwrap();
    let validate = async |config: &serde_json::Value| {
        std::fs::write(folder.path().join("c.yaml"), config.to_string()).unwrap();
        run(folder.path(), &["validate", "--config", "c.yaml"]).await
    };
    let ended = validate(&config).await;
    assert_eq!(ended.code, Some(2));
    let told = "extensions.artifact_server.endpoint: 0.0.0.0:0 can be reached from other machines";
    assert!(ended.stderr.contains(told), "{ended:?}");
    assert!(
        ended.stderr.contains("open_to_everybody: true"),
        "{ended:?}"
    );
    config["extensions"]["artifact_server"]["open_to_everybody"] = json!(true);
    // It has no place to which anybody could be led.
    let ended = validate(&config).await;
    assert_eq!(ended.code, Some(2));
    let told = "extensions.artifact_server.public_url: 0.0.0.0:0 is all addresses of this machine";
    assert!(ended.stderr.contains(told), "{ended:?}");
    config["extensions"]["artifact_server"]["public_url"] = json!("http://files.example.com");
    assert_eq!(validate(&config).await.code, Some(0));
}

/// A digest is deleted for one tenant, and the same bytes of another stay.
#[tokio::test]
async fn what_is_deleted_for_one_stays_for_another() {
    let served = Served::start(&with_catalog()).await;
    let of_acme = served.put_for("acme", "what both have").await;
    let of_beta = served.put_for("beta", "what both have").await;
    let digest = Digest::of(b"what both have");
    let delete = format!("/v1/artifacts/{digest}?tenant=acme");
    let deleted = served.pages.ask(Method::DELETE, &delete, "").await;
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    assert_eq!(
        served.artifacts.get(&of_acme).await.status,
        StatusCode::GONE
    );
    assert_eq!(served.artifacts.get(&of_beta).await.body, "what both have");
}
