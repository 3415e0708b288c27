//! Several tenants in one process: none sees, delays or fills what is another's.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan_artifact::{Digest, Location, restore};
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::references::files;
use crate::support::sender::Call;
use crate::support::slimspan::Slimspan;
use crate::support::{config, frames, otlp};

fn by_attribute(backend: &Backend) -> Value {
    let mut config = config::standard(backend.address);
    config["processors"]["artifact"]["tenant"] = json!({ "from_attribute": "tenant.id" });
    config
}

/// One request of as many resources, each of a tenant and with one span.
fn of_tenants(spans: &[(Option<&str>, &[u8])]) -> Bytes {
    let spans = spans
        .iter()
        .map(|(tenant, file)| otlp::span_of(*tenant, [("picture", otlp::data_uri(file))]));
    // Requests are joined by writing one behind the other.
    Bytes::from(spans.collect::<Vec<_>>().concat())
}

/// Puts back what is one tenant's, and leaves the rest.
fn restored(slimspan: &Slimspan, slim: &Bytes, tenant: &str) -> Bytes {
    let folder = slimspan.artifacts().join(tenant).join("sha256");
    let fetch = |digest: Digest| {
        let name = digest.to_string();
        std::fs::read(folder.join(&name[..2]).join(&name))
            .ok()
            .map(Bytes::from)
    };
    let location = Location::Store(format!("file://{}", folder.display()));
    let restored = restore(Signal::Traces, slim, &location, fetch).unwrap();
    assert_eq!(restored.left, []);
    restored.request
}

fn stored_by_tenant(slimspan: &Slimspan) -> BTreeMap<String, usize> {
    let mut stored = BTreeMap::new();
    for file in files(&slimspan.artifacts()) {
        let path = file.strip_prefix(slimspan.artifacts()).unwrap();
        let tenant = path.iter().next().unwrap().to_str().unwrap().to_owned();
        *stored.entry(tenant).or_default() += 1;
    }
    stored
}

#[tokio::test]
async fn each_tenant_has_its_own_folder_and_references() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&by_attribute(&backend)).await;
    let sender = slimspan.sender().await;
    let (one, two) = (otlp::photo(1, 40_000), otlp::photo(2, 40_000));
    let request = of_tenants(&[
        (Some("acme"), &one),
        (Some("beta"), &one),
        (Some("acme"), &two),
    ]);
    // Often enough to be recognised without being decoded.
    for _ in 0..4 {
        let answer = sender.send(Signal::Traces, &request).await.unwrap();
        assert!(answer.is_empty());
    }
    let stored = stored_by_tenant(&slimspan);
    assert_eq!(
        stored,
        [("acme".to_owned(), 2), ("beta".to_owned(), 1)].into()
    );
    for received in backend.received() {
        let of_acme = restored(&slimspan, &received.message, "acme");
        assert_ne!(of_acme, request, "what is beta's stays");
        assert_eq!(restored(&slimspan, &of_acme, "beta"), request);
    }
    let told = slimspan.stop().await.stderr;
    assert!(told.contains("artifacts stored 3,"), "{told}");
    assert!(
        told.contains("traces: received 12 = delivered 12 + rejected 0 + refused 0 + queued 0"),
        "{told}"
    );
}

/// What is more than a tenant may have under way goes where it is alone, also if it comes in pieces.
#[tokio::test]
async fn a_request_that_comes_back_to_a_tenant_is_taken() {
    let backend = Backend::start().await;
    let mut config = by_attribute(&backend);
    config["processors"]["artifact"]["tenant"]["max_in_flight"] = json!("60KB");
    let slimspan = Slimspan::start(&config).await;
    let file = otlp::photo(1, 40_000);
    let request = of_tenants(&[
        (Some("acme"), &file),
        (Some("beta"), &file),
        (Some("acme"), &file),
    ]);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    assert_eq!(stored_by_tenant(&slimspan).len(), 2);
}

#[tokio::test]
async fn what_names_no_tenant_is_rejected_alone() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&by_attribute(&backend)).await;
    let sender = slimspan.sender().await;
    let file = otlp::photo(1, 40_000);
    let good = of_tenants(&[(Some("acme"), &file)]);
    let mixed = of_tenants(&[(None, &file), (Some("acme"), &file), (Some("../x"), &file)]);
    let answer = sender.send(Signal::Traces, &mixed).await.unwrap();
    let answer = slimspan::answer::Answer::from(answer);
    assert_eq!(answer.rejected(), Some(2));
    assert!(
        answer.message().contains("tenant.id"),
        "{}",
        answer.message()
    );
    assert_eq!(restored(&slimspan, &backend.only(), "acme"), good);

    let nobodys = of_tenants(&[(Some(".."), &file)]);
    let refused = sender.send(Signal::Traces, &nobodys).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(stored_by_tenant(&slimspan), [("acme".to_owned(), 1)].into());
    let told = slimspan.stop().await.stderr;
    assert!(
        told.contains("traces: received 4 = delivered 1 + rejected 2 + refused 1 + queued 0"),
        "{told}"
    );
}

/// A tenant that fills its share of the spool is refused, and others go on.
#[tokio::test]
async fn one_tenant_does_not_fill_the_spool_of_others() {
    let backend = Backend::start().await;
    // Nobody listens there.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nowhere.local_addr().unwrap();
    drop(nowhere);
    let mut config = config::with_s3(backend.address, address);
    config["processors"]["artifact"] = json!({
        "store": "artifact_store",
        "delivery": "background",
        "tenant": { "from_attribute": "tenant.id" },
    });
    config["extensions"]["artifact_store"]["spool"] = json!({
        "directory": "./spool",
        "max_bytes_per_tenant": "100KB",
    });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let files: Vec<_> = (0..3).map(|seed| otlp::photo(seed, 45_000)).collect();
    for file in &files[..2] {
        let request = of_tenants(&[(Some("acme"), file)]);
        sender.send(Signal::Traces, &request).await.unwrap();
    }
    let third = of_tenants(&[(Some("acme"), &files[2])]);
    let refused = sender.send(Signal::Traces, &third).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let key = "extensions.artifact_store.spool.max_bytes_per_tenant";
    assert!(refused.message().contains(key), "{}", refused.message());
    // What waits there already needs no more room, and another tenant has its own.
    for (tenant, file) in [("acme", &files[0]), ("beta", &files[2])] {
        let request = of_tenants(&[(Some(tenant), file)]);
        sender.send(Signal::Traces, &request).await.unwrap();
    }
}

/// The credential says whose it is, and what the sender says of itself does not count.
#[tokio::test]
async fn a_token_has_a_tenant() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["extensions"]["bearertokenauth"] =
        json!({ "tenants": { "acme": "token-of-acme", "beta": "token-of-beta" } });
    config["service"]["extensions"] = json!(["artifact_store", "bearertokenauth"]);
    config["receivers"]["otlp"]["protocols"]["grpc"]["auth"] =
        json!({ "authenticator": "bearertokenauth" });
    config["processors"]["artifact"]["tenant"] =
        json!({ "from_context": "auth.tenant", "from_attribute": "tenant.id" });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = of_tenants(&[(Some("beta"), &otlp::photo(1, 40_000))]);
    for (token, code) in [
        ("token-of-acme", Code::Ok),
        ("token-of-nobody", Code::Unauthenticated),
    ] {
        let call = Call::whole(frames::frame(0, &request));
        let call = call.header("authorization", &format!("Bearer {token}"));
        assert_eq!(sender.call(call).await.status().code(), code);
    }
    assert_eq!(stored_by_tenant(&slimspan), [("acme".to_owned(), 1)].into());
    assert_eq!(restored(&slimspan, &backend.only(), "acme"), request);
}
