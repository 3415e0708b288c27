//! People with browsers, names and passwords, and what is between them and the server.

use http::{Method, StatusCode};
use serde_json::json;

use super::{Served, with_server, with_tenants};
use crate::support::certificates::Authority;
use crate::support::slimspan::Slimspan;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn basic(credential: &str) -> String {
    format!("Basic {}", STANDARD.encode(credential))
}

/// A browser knows no tokens, but names and passwords.
#[tokio::test]
async fn a_token_is_a_password_where_pages_are() {
    let served = Served::start(&with_tenants()).await;
    let path = served.put_for("acme", "what acme has").await;
    let asked = served.pages.get(&path).await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
    let challenges = asked.headers.get_all("www-authenticate");
    let challenges: Vec<_> = challenges.iter().map(|one| one.to_str().unwrap()).collect();
    let expected = [
        "Bearer realm=\"slimspan\"",
        "Basic realm=\"slimspan\", charset=\"UTF-8\"",
    ];
    assert_eq!(challenges, expected);
    for (credential, status) in [
        ("anybody:token-of-acme", 200),
        (":token-of-acme", 200),
        ("anybody:token-of-beta", 404),
        ("anybody:token-of-nobody", 401),
        ("token-of-acme:", 401),
        ("token-of-acme", 401),
        ("anybody:", 401),
        ("", 401),
    ] {
        let person = served.pages.with("authorization", basic(credential));
        let page = person.get(&path).await;
        assert_eq!(page.status.as_u16(), status, "{credential}");
        // What is on the page is opened by a link of its own.
        let text = String::from_utf8_lossy(&page.body);
        assert_eq!(
            text.contains("&amp;sig=") || text.contains("&#38;sig="),
            status == 200
        );
    }
    assert_eq!(
        served.pages.bearer("token-of-acme").get(&path).await.status,
        200
    );
    // A browser sends it with everything, so it opens pages and nothing that changes anything.
    let credential = basic("anybody:token-of-acme");
    let api = served.pages.with("authorization", credential.clone());
    for (method, path) in [
        (Method::GET, "/v1/artifacts"),
        (Method::POST, "/v1/artifacts"),
        (Method::DELETE, "/v1/tenants/acme"),
    ] {
        let answer = api.ask(method, path, "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let bytes = served
        .artifacts
        .with("authorization", credential)
        .get(&path)
        .await;
    assert_eq!(bytes.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn users_see_pages_and_bytes_with_their_passwords() {
    let mut config = with_server();
    let hash = bcrypt::hash("secret", 4).unwrap();
    config["extensions"]["basicauth"] = json!({ "htpasswd": { "inline": format!("ada:{hash}") } });
    config["extensions"]["artifact_server"]["auth"] = json!({ "authenticator": "basicauth" });
    config["service"]["extensions"] = json!(["artifact_store", "artifact_server", "basicauth"]);
    let served = Served::start(&config).await;
    let path = served.put("some text").await;
    let api = format!("/v1{path}");
    for (credential, status) in [
        ("ada:secret", 200),
        ("ada:Secret", 401),
        ("eve:secret", 401),
    ] {
        let header =
            |client: &super::client::Client| client.with("authorization", basic(credential));
        assert_eq!(header(&served.artifacts).get(&path).await.status, status);
        assert_eq!(header(&served.pages).get(&path).await.status, status);
        assert_eq!(header(&served.pages).get(&api).await.status, status);
    }
    let asked = served.pages.get(&path).await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED);
    let challenges = asked.headers.get_all("www-authenticate");
    assert_eq!(challenges.iter().count(), 1);
}

/// Both listeners speak TLS, and only that; what they say of themselves is https.
#[tokio::test]
async fn bytes_and_pages_come_over_tls() {
    let authority = Authority::new();
    let issued = authority.issue("localhost");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server.pem"), &issued.certificate).unwrap();
    std::fs::write(folder.path().join("server.key"), &issued.key).unwrap();
    let mut config = with_tenants();
    config["extensions"]["artifact_server"]["tls"] =
        json!({ "cert_file": "server.pem", "key_file": "server.key" });
    let slimspan = Slimspan::start_in(folder, &config).await;
    let [artifacts, pages] = super::addresses(&slimspan).map(|address| address.port());
    std::fs::write(slimspan.folder().join("a.txt"), "some text").unwrap();
    let put = [
        "put",
        "--tenant",
        "acme",
        "--config",
        "collector.yaml",
        "a.txt",
    ];
    let put = crate::support::slimspan::run(slimspan.folder(), &put).await;
    assert_eq!(put.code, Some(0), "{put:?}");
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let trusting = reqwest::Client::builder()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let digest = slimspan_artifact::Digest::of(b"some text");
    let path = format!("/acme/artifacts/{digest}");
    let read = trusting
        .get(format!("https://localhost:{artifacts}{path}"))
        .bearer_auth("token-of-acme");
    let read = read.send().await.unwrap();
    assert_eq!(read.status(), 200);
    assert_eq!(read.bytes().await.unwrap(), "some text");
    let page = trusting
        .get(format!("https://localhost:{pages}{path}"))
        .basic_auth("anybody", Some("token-of-acme"));
    let page = page.send().await.unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains(&format!("img-src 'self' https://127.0.0.1:{artifacts};")),
        "{policy}"
    );
    // Whoever does not trust it sees nothing, and neither does who speaks plain text.
    let others = reqwest::Client::new();
    for url in [
        format!("https://localhost:{artifacts}{path}"),
        format!("http://localhost:{artifacts}{path}"),
        format!("http://localhost:{pages}{path}"),
    ] {
        let asked = others.get(&url).bearer_auth("token-of-acme");
        assert!(asked.send().await.is_err(), "{url}");
    }
}
