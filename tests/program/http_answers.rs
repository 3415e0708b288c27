//! What a backend over OTLP/HTTP answers is what its sender hears, and no more is believed of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::future::join_all;
use futures::stream;
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use prost::Message as _;
use serde_json::json;
use slimspan_proto::Signal;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::support::backend::{Backend, Reply};
use crate::support::measured::{bound, measured};
use crate::support::proxy::Proxy;
use crate::support::refusing::Refusing;
use crate::support::sender::retry_after;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(body.into())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// A backend that gives these answers, one after the other.
async fn answering(answers: impl IntoIterator<Item = Response<Body>>) -> Backend {
    let answers: VecDeque<_> = answers.into_iter().collect();
    let answers = Arc::new(Mutex::new(answers));
    Backend::replying_with(move |_| Reply::Raw(answers.lock().unwrap().pop_front().unwrap())).await
}

async fn send(slimspan: &Slimspan) -> Result<Bytes, Status> {
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &otlp::plain_span(1)).await
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// A partial success is the sender's to judge, in whichever way it is written.
#[tokio::test]
async fn a_partial_success_reaches_the_sender() {
    let partial = otlp::partial_success(3, "three spans are too old");
    let warning = otlp::partial_success(0, "please upgrade");
    let in_json =
        r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"three spans are too old"}}"#;
    let table = [
        (response(200, &[PROTOBUF], partial.clone()), partial.clone()),
        (response(200, &[PROTOBUF], warning.clone()), warning),
        (response(200, &[JSON], in_json), partial),
        (response(200, &[JSON], "{}"), Bytes::new()),
        (response(200, &[], ""), Bytes::new()),
        (response(202, &[], ""), Bytes::new()),
        (response(204, &[], ""), Bytes::new()),
    ];
    let (answers, heard): (Vec<_>, Vec<_>) = table.into_iter().unzip();
    let backend = answering(answers).await;
    let slimspan = Slimspan::start(&config::over_http(backend.address)).await;
    for heard in heard {
        assert_eq!(send(&slimspan).await.unwrap(), heard);
    }
    slimspan.stop_well().await;
}

/// What the sender is told of each status, and whether it comes back.
#[tokio::test]
async fn every_status_has_its_meaning() {
    let why = tonic_types::Status {
        code: 0,
        message: "the tenant is unknown".to_owned(),
        details: Vec::new(),
    };
    let why = Bytes::from(why.encode_to_vec());
    let table = [
        (400, Code::InvalidArgument),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (408, Code::Unknown),
        (413, Code::ResourceExhausted),
        (415, Code::Unknown),
        (429, Code::Unavailable),
        (500, Code::Internal),
        (501, Code::Unimplemented),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
        (507, Code::Unknown),
    ];
    let answers = table.map(|(status, _)| response(status, &[PROTOBUF], why.clone()));
    let backend = answering(answers).await;
    let slimspan = Slimspan::start(&config::over_http(backend.address)).await;
    for (status, code) in table {
        let refused = send(&slimspan).await.unwrap_err();
        assert_eq!(refused.code(), code, "{status}");
        let may_return = retry_after(&refused).is_some();
        assert_eq!(may_return, code == Code::Unavailable, "{status}");
        for said in [&status.to_string(), "the tenant is unknown", "otlp_http"] {
            assert!(refused.message().contains(said), "{refused}");
        }
    }
    assert_eq!(backend.received().len(), table.len());
    slimspan.stop_well().await;
}

/// A delay is passed on, as seconds and as a date.
#[tokio::test]
async fn a_delay_reaches_the_sender() {
    let soon = date(SystemTime::now() + Duration::from_secs(100));
    let backend = answering([
        response(503, &[("retry-after", "7")], ""),
        response(429, &[("retry-after", &soon)], ""),
    ])
    .await;
    let slimspan = Slimspan::start(&config::over_http(backend.address)).await;
    let delay = retry_after(&send(&slimspan).await.unwrap_err());
    assert_eq!(delay, Some(Duration::from_secs(7)));
    let delay = retry_after(&send(&slimspan).await.unwrap_err()).unwrap();
    let range = Duration::from_secs(70)..=Duration::from_secs(100);
    assert!(range.contains(&delay), "{delay:?}");
    slimspan.stop_well().await;
}

/// The backend says when to come back, in seconds or by a date, and that is when slimspan does.
#[tokio::test]
async fn the_backend_says_when_to_come_back() {
    for by_date in [false, true] {
        let asked = Arc::new(Mutex::new(None));
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let (noted, due) = (Arc::clone(&arrivals), Arc::clone(&asked));
        let backend = Backend::replying_with(move |_| {
            noted.lock().unwrap().push(Instant::now());
            let mut due = due.lock().unwrap();
            if due.is_some() {
                return Reply::Answer(Ok(Bytes::new()));
            }
            // A date has whole seconds.
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let now = now.unwrap();
            let date_in = Duration::from_secs(now.as_secs() + 3).saturating_sub(now);
            let delay = if by_date {
                date_in
            } else {
                Duration::from_secs(2)
            };
            *due = Some(delay);
            let text = if by_date {
                date(SystemTime::now() + delay)
            } else {
                "2".to_owned()
            };
            Reply::Raw(response(503, &[("retry-after", &text)], ""))
        })
        .await;
        let mut config = config::over_http(backend.address);
        let retries = json!({ "initial_interval": "1ms", "max_interval": "1ms" });
        config["exporters"]["otlp_http"]["retry_on_failure"] = retries;
        let slimspan = Slimspan::start(&config).await;
        send(&slimspan).await.unwrap();
        let arrivals = arrivals.lock().unwrap().clone();
        let delay = asked.lock().unwrap().unwrap();
        assert_eq!(arrivals.len(), 2);
        let waited = (arrivals[1] - arrivals[0]).as_secs_f64() / delay.as_secs_f64();
        let most = bound(1.1, 3.0);
        assert!((0.9..=most).contains(&waited), "{waited} of {delay:?}");
        measured(
            "P13",
            &format!(
                "program::http_answers, Retry-After {}",
                if by_date { "by date" } else { "in seconds" }
            ),
            "kept within 10 %",
            format_args!("{:.0} % of {delay:.1?}", 100.0 * waited),
        );
        slimspan.stop_well().await;
    }
}

/// What could not be taken is sent again, the same bytes; what is refused for good is not.
#[tokio::test]
async fn what_can_help_is_repeated_and_nothing_else() {
    let table = [(502, 3), (503, 3), (504, 3), (429, 3), (400, 1), (500, 1)];
    let repeated = table.map(async |(status, times)| {
        let answers = [status, status, 200].map(|status| response(status, &[], ""));
        let backend = answering(answers).await;
        let mut config = config::over_http(backend.address);
        let retries = json!({ "initial_interval": "1ms", "randomization_factor": 0 });
        config["exporters"]["otlp_http"]["retry_on_failure"] = retries;
        // Without a Retry-After a second is waited for.
        let slimspan = Slimspan::start(&config).await;
        let outcome = send(&slimspan).await;
        assert_eq!(outcome.is_ok(), times == 3, "{status}");
        let received = backend.received();
        assert_eq!(received.len(), times, "{status}");
        let same = received
            .iter()
            .all(|one| one.message == otlp::plain_span(1));
        assert!(same, "{status}");
        slimspan.stop_well().await;
    });
    join_all(repeated).await;
}

/// What no backend would say that understood is no success: it may be a page to log in on.
#[tokio::test]
async fn what_is_no_otlp_is_no_success() {
    let page = "<html><body>Please log in</body></html>";
    let html = ("content-type", "text/html; charset=utf-8");
    let huge = {
        let mebibyte = Bytes::from(vec![0; 1 << 20]);
        let endless = stream::repeat_with(move || Ok::<_, Status>(Frame::data(mebibyte.clone())));
        let mut huge = Response::new(Body::new(StreamBody::new(endless)));
        let protobuf = PROTOBUF.1.parse().unwrap();
        huge.headers_mut().insert("content-type", protobuf);
        huge
    };
    let announced = {
        let little = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from_static(b"x")))]);
        let more = futures::StreamExt::chain(little, stream::pending());
        let mut announced = Response::new(Body::new(StreamBody::new(more)));
        let size = (5_u64 << 30).into();
        announced.headers_mut().insert("content-length", size);
        announced
    };
    let cut = {
        let start = stream::iter([Ok(Frame::data(Bytes::from_static(b"\x0a")))]);
        // What has come by then is sent.
        let broken = stream::once(async {
            tokio::task::yield_now().await;
            Err(Status::internal("reset"))
        });
        let broken = futures::StreamExt::chain(start, broken);
        Response::new(Body::new(StreamBody::new(broken)))
    };
    let table = [
        (response(200, &[html], page), "text/html"),
        (response(200, &[], page), "no OTLP"),
        (
            response(200, &[("content-type", "image/png")], "x"),
            "its answer is image/... and no OTLP",
        ),
        (
            response(200, &[("content-type", "secrets/hunter2; a=hunter2")], "x"),
            "its answer is of another content type and no OTLP",
        ),
        (response(200, &[PROTOBUF], "\u{7f}garbage"), "no OTLP"),
        (response(200, &[JSON], "not JSON"), "no OTLP/JSON"),
        (
            response(200, &[PROTOBUF, ("content-encoding", "br")], "x"),
            "compressed",
        ),
        (
            response(200, &[PROTOBUF, ("content-encoding", "gzip")], "x"),
            "decompressed",
        ),
        (huge, "more than 4194304 bytes"),
        (announced, "more than 4194304 bytes"),
        (cut, "its answer broke"),
    ];
    let (answers, told): (Vec<_>, Vec<_>) = table.into_iter().unzip();
    let sound = response(200, &[PROTOBUF], "");
    let backend = answering([sound].into_iter().chain(answers)).await;
    let slimspan = Slimspan::start(&config::over_http(backend.address)).await;
    send(&slimspan).await.unwrap();
    let before = slimspan.peak_memory();
    for told in told {
        let refused = send(&slimspan).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{told}: {refused}");
        assert!(retry_after(&refused).is_some(), "{told}: {refused}");
        assert!(refused.message().contains(told), "{told}: {refused}");
    }
    let peak = slimspan.peak_memory();
    let more = (peak - before) >> 20;
    assert!(more <= bound(16, 32), "{more} MiB more than before");
    measured(
        "P13",
        "program::http_answers, what is no OTLP",
        "told, and no more than 16 MiB more than for a sound answer, with answers without end",
        format_args!("{more} MiB more: peak {} MiB", peak >> 20),
    );
    slimspan.stop_well().await;
}

/// Credentials go nowhere else because a backend says so.
#[tokio::test]
async fn redirects_are_told_and_not_followed() {
    let elsewhere = Backend::start().await;
    let location = format!("http://{}/v1/traces?key=hunter2", elsewhere.address);
    for status in [301, 302, 303, 307, 308] {
        let backend = answering([response(status, &[("location", &location)], "")]).await;
        let slimspan = Slimspan::start(&config::over_http(backend.address)).await;
        let refused = send(&slimspan).await.unwrap_err();
        assert!(retry_after(&refused).is_none(), "{refused}");
        let told = elsewhere.address.to_string();
        assert!(refused.message().contains(&told), "{refused}");
        assert!(!refused.message().contains("hunter2"), "{refused}");
        slimspan.stop_well().await;
    }
    assert!(elsewhere.received().is_empty());
}

/// One span that the backend does not take is found by halving, whichever way it says so.
#[tokio::test]
async fn one_oversize_span_takes_no_neighbour_along() {
    const LIMIT: usize = 100_000;
    for (status, said) in [(413, ""), (400, "http: request body too large")] {
        let backend = Backend::replying_with(move |received| {
            let text = ("content-type", "text/plain");
            if received.message.len() > LIMIT {
                Reply::Raw(response(status, &[text], said))
            } else {
                Reply::Answer(Ok(Bytes::new()))
            }
        })
        .await;
        let slimspan = Slimspan::start(&config::over_http(backend.address)).await;
        let mut spans: Vec<Bytes> = (0..511).map(otlp::plain_span).collect();
        let neighbours = spans.concat();
        spans.insert(300, otlp::sized_span(LIMIT + 1));
        let sender = slimspan.sender().await;
        let answer = sender.send(Signal::Traces, &spans.concat().into()).await;
        let answer = slimspan::answer::Answer::from(answer.unwrap());
        assert_eq!(answer.rejected(), Some(1));
        let received = backend.received();
        assert!(received.len() <= 2 * 9 + 1, "{}", received.len());
        let taken = received
            .into_iter()
            .filter(|one| one.message.len() <= LIMIT);
        let taken: Vec<_> = taken.map(|one| one.message).collect();
        assert_eq!(taken.concat(), neighbours);
        let letters = std::fs::read_dir(slimspan.folder().join("data/dead_letters")).unwrap();
        assert_eq!(letters.count(), 2, "the request and its reason");
        slimspan.stop_well().await;
    }
}

/// What is larger than the backend takes goes in parts at once.
#[tokio::test]
async fn what_is_larger_than_the_limit_goes_in_parts() {
    const MIB: usize = 1 << 20;
    let backend = Backend::start().await;
    let mut config = config::over_http(backend.address);
    config["exporters"]["otlp_http"]["max_request_bytes"] = json!("4MiB");
    let slimspan = Slimspan::start(&config).await;
    let spans: Vec<Bytes> = (0..12).map(|n| otlp::sized_span(MIB - n)).collect();
    let request = Bytes::from(spans.concat());
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let received = backend.received();
    assert_eq!(received.len(), 3);
    let messages: Vec<_> = received.into_iter().map(|one| one.message).collect();
    assert_eq!(messages.concat(), request);
    slimspan.stop_well().await;
}

/// A backend that hangs holds a sender no longer than the exporter is told to wait, before its answer
/// and in the middle of it.
#[tokio::test]
async fn a_backend_that_hangs_is_given_up_in_time() {
    for in_its_answer in [false, true] {
        let backend = Backend::replying(move |_| async move {
            if !in_its_answer {
                std::future::pending::<()>().await;
            }
            let silence = stream::pending::<Result<Frame<Bytes>, Status>>();
            Reply::Raw(Response::new(Body::new(StreamBody::new(silence))))
        })
        .await;
        let mut config = config::over_http(backend.address);
        config["exporters"]["otlp_http"]["timeout"] = json!("300ms");
        let slimspan = Slimspan::start(&config).await;
        let begun = Instant::now();
        let refused = send(&slimspan).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(refused.code(), Code::Unavailable);
        let key = "exporters.otlp_http.timeout";
        assert!(refused.message().contains(key), "{refused}");
        slimspan.stop_well().await;
    }
}

/// A refusal counts by its status, however its body ends.
#[tokio::test]
async fn a_refusal_whose_body_hangs_is_a_refusal() {
    let backend = Backend::replying(|_| async {
        let silence = stream::pending::<Result<Frame<Bytes>, Status>>();
        let mut response = Response::new(Body::new(StreamBody::new(silence)));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        Reply::Raw(response)
    })
    .await;
    let slimspan = Slimspan::start(&config::over_http(backend.address)).await;
    let refused = send(&slimspan).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    slimspan.stop_well().await;
}

/// Taken or not, nobody knows: the sender is asked to come back, and it can.
#[tokio::test]
async fn a_connection_that_is_reset_after_the_request_is_no_success() {
    let hangs = Arc::new(Mutex::new(true));
    let still = Arc::clone(&hangs);
    let backend = Backend::replying(move |_| {
        let hangs = *still.lock().unwrap();
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Reply::Answer(Ok(Bytes::new()))
        }
    })
    .await;
    let network = Proxy::start(backend.address).await;
    let slimspan = Slimspan::start(&config::over_http(network.address)).await;
    let sender = slimspan.sender().await;
    let request = otlp::plain_span(1);
    let (refused, ()) = tokio::join!(sender.send(Signal::Traces, &request), async {
        backend.arrived(1).await;
        network.reset();
    });
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(retry_after(&status).is_some(), "{status}");
    *hangs.lock().unwrap() = false;
    sender.send(Signal::Traces, &request).await.unwrap();
    slimspan.stop_well().await;
}

/// A backend that is not there is no reason to lose anything, and what is queued waits for it.
#[tokio::test]
async fn a_queue_waits_for_a_backend_that_is_away() {
    let away = Refusing::start();
    let address = away.address;
    let mut config = config::over_http(address);
    let slimspan = Slimspan::start(&config).await;
    let status = send(&slimspan).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains(&address.to_string()), "{status}");
    let exporter = &mut config["exporters"]["otlp_http"];
    exporter["sending_queue"] = json!({ "enabled": true });
    exporter["retry_on_failure"] = json!({ "initial_interval": "10ms", "max_interval": "50ms" });
    slimspan.stop_well().await;
    let slimspan = Slimspan::start(&config).await;
    assert_eq!(send(&slimspan).await.unwrap(), Bytes::new());
    drop(away);
    let backend = Backend::start_at(address).await;
    let [received] = <[_; 1]>::try_from(backend.arrived(1).await).unwrap();
    assert_eq!(received.message, otlp::plain_span(1));
    slimspan.stop_well().await;
}

/// As HTTP writes it.
fn date(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
