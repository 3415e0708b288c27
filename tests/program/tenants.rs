//! Several tenants in one process: none sees, delays or fills what is another's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use slimspan_artifact::{Digest, Location, restore};
use slimspan_proto::Signal;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use crate::support::backend::{Backend, Received};
use crate::support::conservation::{Items, conserved_by_tenant, conserved_of};
use crate::support::http::{Form, post};
use crate::support::measured::{bound, measured};
use crate::support::pages::Metrics;
use crate::support::references::files;
use crate::support::refusing::Refusing;
use crate::support::s3::{Behaviour, S3};
use crate::support::sender::{Call, Sender, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, frames, otlp, soon};

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
    let mut config = by_attribute(&backend);
    let exporter = json!({ "prometheus": { "port": 0 } });
    config["service"]["telemetry"]["metrics"] = json!({
        "level": "detailed",
        "readers": [{ "pull": { "exporter": exporter } }],
    });
    let slimspan = Slimspan::start(&config).await;
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
    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    for (tenant, artifacts) in [("acme", 8), ("beta", 4)] {
        let of = format!("tenant=\"{tenant}\"");
        let count = |name: &str| metrics.count(&format!("slimspan_tenant_{name}_total"), &[&of]);
        assert_eq!(count("requests"), 4, "{tenant}");
        assert_eq!(count("artifacts"), artifacts, "{tenant}");
        assert_eq!(count("refused_requests"), 0, "{tenant}");
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
    slimspan.stop_well().await;
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
    let nowhere = Refusing::start();
    let mut config = config::with_s3(backend.address, nowhere.address);
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
    slimspan.stop_well().await;
}

/// P19: where the store hangs for one tenant, another one does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hangs_for_one_tenant_slows_no_other() {
    /// More than go to a store at a time.
    const HUNG: u64 = 40;
    /// What is below this is the machine's.
    const UNNOTICED: Duration = Duration::from_millis(10);
    let others: u64 = bound(1_000, 50);
    let store = S3::start(Behaviour::HangUnder("/acme/")).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = json!("1m");
    config["processors"]["artifact"]["tenant"] = json!({ "from_attribute": "tenant.id" });
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = |tenant, seed| of_tenants(&[(Some(tenant), &otlp::photo(seed, 20_000))]);
    let times = |from: u64| {
        let sender = sender.clone();
        async move {
            let mut times = Vec::new();
            for seed in from..from + others {
                let request = request("beta", seed);
                let begun = Instant::now();
                sender.send(Signal::Traces, &request).await.unwrap();
                times.push(begun.elapsed());
            }
            times.sort();
            times
        }
    };
    let alone = times(10_000).await;

    let hung = (0..HUNG).map(|seed| {
        let (sender, request) = (sender.clone(), request("acme", seed));
        tokio::spawn(async move { sender.send(Signal::Traces, &request).await })
    });
    let hung: Vec<_> = hung.collect();
    // Those that may go hang at the store, and the others behind them.
    store.begun(others as usize + 16).await;
    let beside = times(20_000).await;
    // Long enough that the store counts as failing for the one.
    for one in hung {
        assert_eq!(one.await.unwrap().unwrap_err().code(), Code::Unavailable);
    }
    let after = times(30_000).await;
    let all_of_others = 3 * others as usize;
    assert_eq!(store.stored().len(), all_of_others);
    assert_eq!(backend.received().len(), all_of_others);
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    let most = bound(
        p99(&alone).mul_f64(1.5).max(UNNOTICED),
        Duration::from_secs(10),
    );
    for times in [&beside, &after] {
        assert!(p99(times) < most, "{:?}", p99(times));
    }
    measured(
        "P19",
        "program::tenants, a bucket hung for one tenant",
        "no error for another, whose p99 stays below 1.5 times what it is alone, or 10 ms",
        format_args!(
            "{others} requests of another: p99 {:.1?} alone, {:.1?} beside {HUNG} that hang, {:.1?} \
             after they were refused",
            p99(&alone),
            p99(&beside),
            p99(&after)
        ),
    );
    slimspan.stop_well().await;
}

/// P31: whatever happens to one tenant's items, of each of them the sum holds exactly, and is what its senders
/// were told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_of_every_tenant_is_counted() {
    let store = S3::start(Behaviour::HangUnder("/acme/")).await;
    let backend = Backend::scripted(|received: Received| async move {
        let is_of = |tenant: &str| {
            let mut words = received.message.windows(tenant.len());
            words.any(|word| word == tenant.as_bytes())
        };
        if is_of("delta") {
            return Err(Status::permission_denied("not delta"));
        }
        let rejected = i64::from(is_of("gamma"));
        Ok(otlp::partial_success(rejected, "one is too old"))
    })
    .await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = json!("300ms");
    config["processors"]["artifact"]["tenant"] = json!({ "from_attribute": "tenant.id" });
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let file = otlp::photo(1, 20_000);
    let send = async |tenants: &[Option<&str>]| {
        let spans: Vec<_> = tenants.iter().map(|of| (*of, &file[..])).collect();
        let answer = sender.send(Signal::Traces, &of_tenants(&spans)).await;
        let rejected = |answer| slimspan::answer::Answer::from(answer).rejected();
        answer.map(|answer| rejected(answer).unwrap_or_default())
    };
    let (acme, beta, gamma) = (Some("acme"), Some("beta"), Some("gamma"));
    for _ in 0..2 {
        // Its bucket hangs, then it is not asked any more; and who comes with it has to come again.
        let refused = send(&[acme, acme, beta]).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        send(&[Some("delta")]).await.unwrap_err();
        // Nobody can be refused for what is not said.
        let refused = send(&[Some("..")]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert_eq!(send(&[beta]).await.unwrap(), 0);
        assert_eq!(send(&[gamma, gamma, gamma]).await.unwrap(), 1);
        assert_eq!(send(&[beta, None, Some("epsilon")]).await.unwrap(), 1);
        // Which of these the backend rejects, nobody knows.
        assert_eq!(send(&[gamma, None, beta]).await.unwrap(), 2);
    }
    let ended = slimspan.stop().await;
    let items = |[received, delivered, rejected, refused]: [u64; 4]| Items {
        received,
        delivered,
        rejected,
        refused,
        queued: 0,
    };
    let by_tenant = conserved_by_tenant(Signal::Traces, &ended.stderr);
    let expected = [
        ("acme", items([4, 0, 0, 4])),
        ("beta", items([8, 4, 2, 2])),
        ("delta", items([2, 0, 0, 2])),
        ("epsilon", items([2, 2, 0, 0])),
        ("gamma", items([8, 6, 2, 0])),
    ];
    assert_eq!(
        by_tenant,
        expected.map(|(tenant, of)| (tenant.to_owned(), of)).into()
    );
    let all = conserved_of(Signal::Traces, &ended.stderr);
    assert_eq!(all, items([30, 12, 8, 10]), "six are nobody's");
    measured(
        "P31",
        "program::tenants, a bucket that hangs, refusals and rejections",
        "received - delivered - rejected - refused - queued = 0, of each tenant",
        format_args!(
            "{} received, of these {} of {} tenants",
            all.received,
            by_tenant.values().map(|of| of.received).sum::<u64>(),
            by_tenant.len()
        ),
    );
}

/// The same where files go by way of the spool: those of another tenant are uploaded.
#[tokio::test]
async fn uploads_that_hang_for_one_tenant_hold_up_no_other() {
    let store = S3::start(Behaviour::HangUnder("/acme/")).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = json!("10m");
    config["extensions"]["artifact_store"]["spool"] = json!({ "directory": "./spool" });
    config["processors"]["artifact"]["delivery"] = json!("background");
    config["processors"]["artifact"]["tenant"] = json!({ "from_attribute": "tenant.id" });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    for (tenant, seeds) in [("acme", 0..40), ("beta", 100..110)] {
        for seed in seeds {
            let request = of_tenants(&[(Some(tenant), &otlp::photo(seed, 20_000))]);
            sender.send(Signal::Traces, &request).await.unwrap();
        }
        if tenant == "acme" {
            store.begun(16).await;
        }
    }
    let mut stored = store.watch();
    let all = stored.wait_for(|stored| stored.len() >= 10);
    soon("those of the other are uploaded", all).await.unwrap();
    slimspan.stop_well().await;
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
    slimspan.stop_well().await;
}

/// Every credential with everything that a sender may say of itself, over both protocols: what is stored
/// is the credential's tenant's, and who has none stores nothing.
#[tokio::test]
async fn no_claim_counts_beside_a_credential() {
    let tenants = ["acme", "beta"];
    for over_http in [false, true] {
        let backend = Backend::start().await;
        let mut config = config::with_http(backend.address);
        config["extensions"]["bearertokenauth"] =
            json!({ "tenants": { "acme": "token-of-acme", "beta": "token-of-beta" } });
        config["service"]["extensions"] = json!(["artifact_store", "bearertokenauth"]);
        for listener in ["grpc", "http"] {
            let listener = &mut config["receivers"]["otlp"]["protocols"][listener];
            listener["auth"] = json!({ "authenticator": "bearertokenauth" });
            listener["include_metadata"] = json!(true);
        }
        config["processors"]["artifact"]["tenant"] =
            json!({ "from_context": "auth.tenant", "from_attribute": "tenant.id" });
        let slimspan = Slimspan::start(&config).await;
        let (grpc, http) = (slimspan.sender().await, slimspan.http_sender().await);
        let mut expected = BTreeMap::new();
        let mut seed = 0;
        for holder in [Some("acme"), Some("beta"), None] {
            for claim in [None, Some("acme"), Some("beta")] {
                for header in ["x-tenant", "tenant", "auth.tenant", "x-scope-orgid"] {
                    seed += 1;
                    let request = of_tenants(&[(claim, &otlp::photo(seed, 20_000))]);
                    let token = format!("Bearer token-of-{}", holder.unwrap_or("nobody"));
                    let other = tenants[usize::from(holder == Some("acme"))];
                    let is_let_in = if over_http {
                        let mut post = post(Signal::Traces, Form::Protobuf, request);
                        let headers = post.headers_mut();
                        headers.insert("authorization", token.parse().unwrap());
                        headers.insert(header, other.parse().unwrap());
                        http.request(post).await.status == 200
                    } else {
                        let call = Call::whole(frames::frame(0, &request));
                        let call = call.header("authorization", &token);
                        let answer = grpc.call(call.header(header, other)).await;
                        answer.status().code() == Code::Ok
                    };
                    assert_eq!(is_let_in, holder.is_some(), "{holder:?} as {claim:?}");
                    if let Some(holder) = holder {
                        *expected.entry(holder.to_owned()).or_default() += 1;
                    }
                    assert_eq!(
                        stored_by_tenant(&slimspan),
                        expected,
                        "as {claim:?}, {header}"
                    );
                }
            }
        }
    }
}

/// What a tenant's request says of itself, by each way to name a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Named {
    Token,
    User,
    Header,
    Attribute,
}

impl Named {
    const ALL: [Self; 4] = [Self::Token, Self::User, Self::Header, Self::Attribute];

    fn configure(self, config: &mut Value) {
        let (key, from, extension) = match self {
            Self::Token => {
                let tenants = json!({ "acme": "token-of-acme", "beta": "token-of-beta" });
                let extension = json!({ "tenants": tenants });
                (
                    "from_context",
                    "auth.tenant",
                    Some(("bearertokenauth", extension)),
                )
            }
            Self::User => {
                let user = |name| format!("{name}:{}\n", bcrypt::hash("secret", 4).unwrap());
                let inline = ["acme", "beta"].map(user).concat();
                let extension = json!({ "htpasswd": { "inline": inline } });
                (
                    "from_context",
                    "auth.username",
                    Some(("basicauth", extension)),
                )
            }
            Self::Header => ("from_context", "metadata.x-tenant", None),
            Self::Attribute => ("from_attribute", "tenant.id", None),
        };
        config["processors"]["artifact"]["tenant"] = json!({ key: from });
        let grpc = &mut config["receivers"]["otlp"]["protocols"]["grpc"];
        grpc["include_metadata"] = json!(true);
        if let Some((id, extension)) = extension {
            grpc["auth"] = json!({ "authenticator": id });
            config["extensions"][id] = extension;
            config["service"]["extensions"] = json!(["artifact_store", id]);
        }
    }

    fn call(self, tenant: &str, request: &Bytes) -> Call {
        let call = Call::whole(frames::frame(0, request));
        match self {
            Self::Token => call.header("authorization", &format!("Bearer token-of-{tenant}")),
            Self::User => {
                let credential = STANDARD.encode(format!("{tenant}:secret"));
                call.header("authorization", &format!("Basic {credential}"))
            }
            Self::Header => call.header("x-tenant", tenant),
            // It stands in the request.
            Self::Attribute => call,
        }
    }

    /// The code, and what is told.
    async fn send(self, sender: &Sender, tenant: &str, file: &[u8]) -> (Code, String) {
        let request = otlp::span_of(Some(tenant), [("picture", otlp::data_uri(file))]);
        let answer = sender.call(self.call(tenant, &request)).await;
        let status = answer.status();
        assert_eq!(
            retry_after(status).is_some(),
            status.code() == Code::Unavailable
        );
        (status.code(), status.message().to_owned())
    }
}

/// However tenants are named, one that has its share under way is asked to come back, another one is not, and
/// who has no good credential takes nothing of anybody's.
#[tokio::test]
async fn what_is_under_way_is_limited_for_each_tenant() {
    for named in Named::ALL {
        let gate = Arc::new(Semaphore::new(0));
        let store = S3::start(Behaviour::StoreWhen(Arc::clone(&gate))).await;
        let backend = Backend::start().await;
        let mut config = config::with_s3(backend.address, store.address);
        named.configure(&mut config);
        config["processors"]["artifact"]["tenant"]["max_in_flight"] = json!("64KB");
        config["extensions"]["artifact_store"]["timeout"] = json!("20s");
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let (large, small) = (otlp::photo(1, 40_000), otlp::photo(2, 5_000));
        let first = tokio::spawn({
            let (sender, large) = (sender.clone(), large.clone());
            async move { named.send(&sender, "acme", &large).await }
        });
        store.begun(1).await;
        // Too small for the store, so nothing but the limit is in its way.
        assert_eq!(
            named.send(&sender, "acme", &small).await.0,
            Code::Ok,
            "{named:?}"
        );
        let (code, told) = named.send(&sender, "acme", &large).await;
        assert_eq!(code, Code::Unavailable, "{named:?}: {told}");
        assert!(
            told.contains("processors.artifact.tenant.max_in_flight"),
            "{told}"
        );
        assert!(told.contains("acme"), "{told}");
        let second = tokio::spawn({
            let (sender, large) = (sender.clone(), large.clone());
            async move { named.send(&sender, "beta", &large).await }
        });
        store.begun(2).await;
        if named != Named::Attribute {
            let expected = match named {
                Named::Header => Code::InvalidArgument,
                _ => Code::Unauthenticated,
            };
            assert_eq!(named.send(&sender, "No Body", &large).await.0, expected);
        }
        gate.add_permits(100);
        assert_eq!(first.await.unwrap().0, Code::Ok);
        assert_eq!(second.await.unwrap().0, Code::Ok);
        assert_eq!(
            named.send(&sender, "acme", &large).await.0,
            Code::Ok,
            "{named:?}"
        );
        slimspan.stop_well().await;
    }
}

/// The same for what may wait in the spool.
#[tokio::test]
async fn what_waits_in_the_spool_is_limited_for_each_tenant() {
    let ways = Named::ALL.map(async |named| {
        let store = S3::start(Behaviour::Hang).await;
        let backend = Backend::start().await;
        let mut config = config::with_s3(backend.address, store.address);
        named.configure(&mut config);
        config["processors"]["artifact"]["delivery"] = json!("background");
        config["extensions"]["artifact_store"]["spool"] =
            json!({ "directory": "./spool", "max_bytes_per_tenant": "100KB" });
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        for (tenant, seed, expected) in [
            ("acme", 1, Code::Ok),
            ("acme", 2, Code::Ok),
            ("acme", 3, Code::Unavailable),
            ("beta", 3, Code::Ok),
            ("beta", 1, Code::Ok),
            ("beta", 2, Code::Unavailable),
            ("acme", 3, Code::Unavailable),
            // It is there already.
            ("acme", 1, Code::Ok),
        ] {
            let (code, told) = named
                .send(&sender, tenant, &otlp::photo(seed, 45_000))
                .await;
            assert_eq!(code, expected, "{named:?} {tenant} {seed}: {told}");
            let key = "extensions.artifact_store.spool.max_bytes_per_tenant";
            assert_eq!(told.contains(key), code == Code::Unavailable, "{told}");
        }
        slimspan.stop_well().await;
    });
    // Most of the time they wait for a store that hangs.
    join_all(ways).await;
}

/// Where the store hangs for one tenant, the puts of others go on, and its own are not tried any more.
#[tokio::test]
async fn a_store_that_hangs_for_one_tenant_serves_the_others() {
    let store = S3::start(Behaviour::HangUnder("/acme/")).await;
    let backend = Backend::start().await;
    let mut config = config::with_s3(backend.address, store.address);
    config["processors"]["artifact"]["tenant"] = json!({ "from_attribute": "tenant.id" });
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    // Time enough for the puts of the other one.
    config["extensions"]["artifact_store"]["timeout"] = json!("2s");
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let send = async |tenant, seed| {
        let file = otlp::photo(seed, 10_000);
        Named::Attribute.send(&sender, tenant, &file).await
    };
    let given_up = async {
        for seed in 0.. {
            let (code, told) = send("acme", seed).await;
            assert_eq!(code, Code::Unavailable, "{told}");
            if told.contains("does not work since") {
                return;
            }
        }
    };
    soon("the store is given up for the one", given_up).await;
    for seed in 0..10 {
        let (code, told) = send("beta", seed).await;
        assert_eq!(code, Code::Ok, "{seed}: {told}");
    }
    assert_eq!(store.stored().len(), 10);
    slimspan.stop_well().await;
}

/// Requests are joined with those of the same tenant, and with no others: what a backend says of one is not for
/// another to know.
#[tokio::test]
async fn requests_of_two_tenants_are_not_joined() {
    let backend = Backend::start().await;
    let mut config = by_attribute(&backend);
    config["processors"]["batch"] = json!({ "send_batch_size": 2, "timeout": "20s" });
    config["service"]["pipelines"]["traces"]["processors"] =
        json!(["memory_limiter", "artifact", "batch"]);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let spans = ["acme", "beta", "acme", "beta"]
        .map(|tenant| otlp::span_of(Some(tenant), [("tenant", otlp::text(tenant))]));
    let sent = spans.iter().map(|span| sender.send(Signal::Traces, span));
    for answer in join_all(sent).await {
        answer.unwrap();
    }
    let mut joined: Vec<Bytes> = backend
        .received()
        .into_iter()
        .map(|one| one.message)
        .collect();
    joined.sort();
    let expected = [&spans[0], &spans[1]].map(|span| Bytes::from([&span[..], span].concat()));
    assert_eq!(joined, expected);
    slimspan.stop_well().await;
}

/// A link to what is another tenant's is a text like any other, and opens nothing.
#[tokio::test]
async fn a_reference_to_what_is_anothers_is_no_reference() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&by_attribute(&backend)).await;
    let sender = slimspan.sender().await;
    let file = otlp::photo(1, 40_000);
    let request = of_tenants(&[(Some("acme"), &file)]);
    sender.send(Signal::Traces, &request).await.unwrap();
    let [(_, link)] = &otlp::attributes(&backend.only())[..] else {
        panic!("one attribute");
    };
    let forged = otlp::span_of(Some("beta"), [("picture", link.clone())]);
    sender.send(Signal::Traces, &forged).await.unwrap();
    assert_eq!(stored_by_tenant(&slimspan), [("acme".to_owned(), 1)].into());
    let arrived = &backend.received()[1].message;
    assert!(restored(&slimspan, arrived, "beta") == forged);
    // In the mouth of the tenant that it is of, it is marked.
    let forged = otlp::span_of(Some("acme"), [("picture", link.clone())]);
    sender.send(Signal::Traces, &forged).await.unwrap();
    let arrived = &backend.received()[2].message;
    assert!(*arrived != forged, "it has a mark");
    assert!(restored(&slimspan, arrived, "acme") == forged);
    slimspan.stop_well().await;
}
