//! What `sending_queue` promises: in memory until the process ends, on disk beyond it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan::journal::Journal;
use slimspan_proto::Signal;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use crate::support::backend::{Backend, Received};
use crate::support::conservation::{conserved_by_tenant, conserved_of};
use crate::support::frames::frame;
use crate::support::measured::{measured, seconds};
use crate::support::mounted::{Disk, Mounted};
use crate::support::pages::get;
use crate::support::queued::{dead_letters, ends, home, in_memory, on_disk, send_all, start_in};
use crate::support::references::files;
use crate::support::refusing::Refusing;
use crate::support::sender::{Call, PatientSender, open_body, retry_after};
use crate::support::slimspan::{Ended, Slimspan};
use crate::support::{config, otlp, soon};

fn messages(received: &[Received]) -> Vec<Bytes> {
    let mut messages: Vec<_> = received.iter().map(|one| one.message.clone()).collect();
    messages.sort();
    messages
}

fn spans(numbers: std::ops::Range<u64>) -> Vec<Bytes> {
    let mut spans: Vec<_> = numbers.map(otlp::plain_span).collect();
    spans.sort();
    spans
}

/// Acknowledged while the backend is away, killed twice, the second time in the middle of delivering:
/// everything arrives, and nothing that was delivered before comes again but what was under way.
#[tokio::test]
async fn what_is_on_disk_survives_being_killed_twice() {
    let away = Refusing::start();
    let address = away.address;
    let config = on_disk(address, json!({ "num_consumers": 2 }));
    let folder = home();
    let slimspan = start_in(&folder, &config).await;
    send_all(&slimspan, 0..40).await;
    slimspan.kill().await;

    drop(away);
    let gate = Arc::new(Semaphore::new(15));
    let backend = Backend::gated_at(address, &gate).await;
    let slimspan = start_in(&folder, &config).await;
    backend.arrived(17).await;
    // What was delivered is struck off a moment later.
    let queue = folder.path().join("data/file_storage/exporter_otlp_grpc");
    let struck_off = async {
        while Journal::open_read_only(&queue).unwrap().entries().len() > 25 {
            tokio::task::yield_now().await;
        }
    };
    soon("what was delivered is struck off", struck_off).await;
    slimspan.kill().await;

    gate.add_permits(1_000);
    let slimspan = start_in(&folder, &config).await;
    let until_all = async {
        loop {
            let received = backend.received();
            let mut arrived = messages(&received);
            arrived.dedup();
            if arrived.len() == 40 {
                return arrived;
            }
            backend.arrived(received.len() + 1).await;
        }
    };
    assert_eq!(soon("everything arrives", until_all).await, spans(0..40));
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let twice = backend.received().len() - 40;
    assert!(twice <= 2, "{twice}: no more than was under way");
}

/// A queue that is full asks senders to come back, and takes more when there is room.
#[tokio::test]
async fn a_full_queue_asks_senders_to_come_back() {
    for (queue, key) in [
        (json!({ "queue_size": 3 }), "sending_queue.queue_size"),
        (
            json!({ "queue_size": 3, "sizer": "items" }),
            "sending_queue.queue_size",
        ),
        (
            json!({ "queue_size": 400, "sizer": "bytes" }),
            "sending_queue.queue_size",
        ),
    ] {
        for config in [on_disk, in_memory] {
            let gate = Arc::new(Semaphore::new(0));
            let backend = Backend::gated(&gate).await;
            let slimspan = Slimspan::start(&config(backend.address, queue.clone())).await;
            let sender = slimspan.sender().await;
            let mut taken = 0;
            let full = loop {
                let answer = sender.send(Signal::Traces, &otlp::plain_span(taken)).await;
                match answer {
                    Ok(_) => taken += 1,
                    Err(status) => break status,
                }
            };
            assert_eq!((taken, full.code()), (3, Code::Unavailable), "{full}");
            assert!(
                retry_after(&full).is_some() && full.message().contains(key),
                "{full}"
            );
            gate.add_permits(1_000);
            backend.arrived(3).await;
            let again = async {
                while sender
                    .send(Signal::Traces, &otlp::plain_span(3))
                    .await
                    .is_err()
                {}
            };
            soon("there is room again", again).await;
            let ended = slimspan.stop().await;
            assert_eq!(ends(&ended), (4, 0, 0));
        }
    }
}

/// With `block_on_overflow` senders wait for room, as long as they wait at all.
#[tokio::test]
async fn a_full_queue_may_let_senders_wait() {
    for config in [on_disk, in_memory] {
        let gate = Arc::new(Semaphore::new(0));
        let backend = Backend::gated(&gate).await;
        let queue = json!({ "queue_size": 1, "block_on_overflow": true });
        let slimspan = Slimspan::start(&config(backend.address, queue)).await;
        let sender = slimspan.sender().await;
        send_all(&slimspan, 0..1).await;
        backend.arrived(1).await;
        let call = Call::whole(frame(0, &otlp::plain_span(1)));
        let patient = PatientSender::connect(slimspan.addresses[0]).await;
        let late = patient.call(call.header("grpc-timeout", "1S")).await;
        let status = late.status();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(status.message().contains("queue_size"), "{status}");
        assert!(retry_after(status).is_some(), "{status}");

        let second = otlp::plain_span(2);
        let mut second = Box::pin(sender.send(Signal::Traces, &second));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
        assert!(early.is_err(), "{early:?}");
        gate.add_permits(1_000);
        second.await.unwrap();
        let ended = slimspan.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let items = conserved_of(Signal::Traces, &ended.stderr);
        assert_eq!((items.delivered, items.refused, items.queued), (2, 1, 0));
    }
}

/// The queue has its own limit on disk, and nothing that was acknowledged makes room for anything.
#[tokio::test]
async fn a_queue_without_room_on_disk_asks_senders_to_come_back() {
    let away = Refusing::start();
    let mut config = on_disk(away.address, json!({}));
    config["extensions"]["file_storage"]["max_bytes"] = json!("1MiB");
    config["extensions"]["health_check"] = json!({ "endpoint": "127.0.0.1:0" });
    let extensions = config["service"]["extensions"].as_array_mut().unwrap();
    extensions.push(json!("health_check"));
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let mut taken = 0;
    let full = loop {
        match sender
            .send(Signal::Traces, &otlp::sized_span(100_000))
            .await
        {
            Ok(_) => taken += 1,
            Err(status) => break status,
        }
    };
    assert!((5..=10).contains(&taken), "{taken}");
    assert_eq!(full.code(), Code::Unavailable);
    assert!(full.message().contains("file_storage.max_bytes"), "{full}");
    assert!(retry_after(&full).is_some());
    // And whoever asks where to send is told.
    let ready = get(slimspan.page("health_check"), "/ready").await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains("the queue is full"), "{ready:?}");
    let ended = slimspan.stop().await;
    assert_eq!(ends(&ended), (0, 0, taken));
}

/// So has the disk itself, whatever `max_bytes` says, and who asks where to send is told as long as there is
/// no room.
#[tokio::test]
async fn a_disk_without_room_asks_senders_to_come_back() {
    let Some(disk) = Mounted::memory(4 << 20) else {
        return;
    };
    let away = Refusing::start();
    let mut config = on_disk(away.address, json!({}));
    config["extensions"]["file_storage"] =
        json!({ "directory": disk.path(), "max_bytes": "64MiB" });
    config["extensions"]["health_check"] = json!({ "endpoint": "127.0.0.1:0" });
    let extensions = config["service"]["extensions"].as_array_mut().unwrap();
    extensions.push(json!("health_check"));
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    sender
        .send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();
    let ready = async || get(slimspan.page("health_check"), "/ready").await;
    let filler = disk.path().join("filler");
    let mut full = File::create(&filler).unwrap();
    while full.write_all(&[1; 4096]).is_ok() {}
    drop(full);
    let request = otlp::sized_span(100_000);
    let refused = sender.send(Signal::Traces, &request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(retry_after(&refused).is_some(), "{refused}");
    let told = ready().await;
    assert_eq!(told.status, 503, "{told:?}");
    let exporter = "\"component\":\"exporters.otlp_grpc.sending_queue\"";
    assert!(told.body.contains("the queue is full"), "{told:?}");
    assert!(told.body.contains(exporter), "{told:?}");
    std::fs::remove_file(&filler).unwrap();
    sender.send(Signal::Traces, &request).await.unwrap();
    let told = ready().await;
    assert!(!told.body.contains("the queue is full"), "{told:?}");
    let ended = slimspan.stop().await;
    assert_eq!(ends(&ended), (0, 0, 2));
}

/// A disk on which others have taken all room: the queue waits with its senders for as long as that is so
/// (`SLIMSPAN_FULL_SECONDS`), and goes on without a restart. What it had acknowledged outlives a kill.
#[tokio::test]
async fn a_full_disk_asks_senders_to_come_back() {
    let Some(disk) = Mounted::memory(4 << 20) else {
        return;
    };
    let away = Refusing::start();
    let address = away.address;
    let mut config = on_disk(address, json!({}));
    let storage = &mut config["extensions"]["file_storage"];
    storage["directory"] = json!(disk.path().join("queues"));
    let folder = home();
    let slimspan = start_in(&folder, &config).await;
    let sender = slimspan.sender().await;
    let (mut number, mut taken) = (0, Vec::new());
    let mut send = async || {
        number += 1;
        let text = otlp::text(format!("{number} {}", "a".repeat(100_000)));
        let request = otlp::span([("text", text)]);
        let sent = sender.send(Signal::Traces, &request).await;
        sent.map(|_| taken.push(request))
    };
    send().await.unwrap();
    // All but some requests.
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![1; 3 << 20]).unwrap();
    let is_full = async { while send().await.is_ok() {} };
    soon("the disk is full", is_full).await;
    let end = Instant::now() + seconds("SLIMSPAN_FULL_SECONDS", Duration::from_secs(1));
    let mut refused = 0;
    while Instant::now() < end {
        let status = send().await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(retry_after(&status).is_some(), "{status}");
        let says = status.message();
        assert!(says.contains("its queue cannot be written"), "{status}");
        assert!(says.contains("No space left on device"), "{status}");
        refused += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let freed = Instant::now();
    std::fs::remove_file(&filler).unwrap();
    let has_room = async { while send().await.is_err() {} };
    soon("there is room again", has_room).await;
    let healed = freed.elapsed();
    for _ in 0..3 {
        send().await.unwrap();
    }
    slimspan.kill().await;
    drop(away);
    let backend = Backend::scripted_at(address, |_| async { Ok(Bytes::new()) }).await;
    let slimspan = start_in(&folder, &config).await;
    backend.arrived(taken.len()).await;
    taken.sort();
    assert!(messages(&backend.received()) == taken);
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    measured(
        "P8",
        "program::queue, a full disk",
        "0 acknowledged lost, all refusals retryable, serving 2 s after freeing",
        format_args!(
            "0 of {} lost, {refused} refusals, all retryable, serving {healed:.1?} after freeing",
            taken.len()
        ),
    );
}

/// What waits on disk while the configuration changes is neither delivered nor received twice by that.
#[tokio::test]
async fn a_reload_does_not_count_what_waits_as_delivered() {
    let away = Refusing::start();
    let config = on_disk(away.address, json!({}));
    let mut slimspan = Slimspan::start(&config).await;
    send_all(&slimspan, 0..3).await;
    for times in 1..=2 {
        slimspan.write(&config.to_string());
        slimspan.signal("HUP");
        slimspan
            .logs_times("reloaded the configuration", times)
            .await;
    }
    send_all(&slimspan, 3..4).await;
    let ended = slimspan.stop().await;
    let line = "traces: received 4 = delivered 0 + rejected 0 + refused 0 + queued 4";
    assert!(ended.stderr.contains(line), "{}", ended.stderr);
}

/// Nor as anybody else's than its tenants'. Another process knows whose it is where that is one tenant.
#[tokio::test]
async fn what_waits_stays_its_tenants() {
    let away = Refusing::start();
    let with_tenants = |backend| {
        let mut config = on_disk(backend, json!({}));
        config["processors"]["artifact"]["tenant"] = json!({ "from_attribute": "tenant.id" });
        config
    };
    let config = with_tenants(away.address);
    let folder = home();
    let mut slimspan = start_in(&folder, &config).await;
    let of = |tenant| otlp::span_of(Some(tenant), []);
    let both = Bytes::from([of("acme"), of("beta"), of("beta")].concat());
    let sender = slimspan.sender().await;
    for request in [of("acme"), of("beta"), both] {
        sender.send(Signal::Traces, &request).await.unwrap();
    }
    slimspan.write(&config.to_string());
    slimspan.signal("HUP");
    slimspan.logs("reloaded the configuration").await;
    let told = |ended: &Ended| {
        let by_tenant = conserved_by_tenant(Signal::Traces, &ended.stderr);
        let told = ["acme", "beta"].map(|tenant| by_tenant[tenant]);
        told.map(|of| (of.received, of.delivered, of.queued))
    };
    let ended = slimspan.stop().await;
    assert_eq!(told(&ended), [(2, 0, 2), (3, 0, 3)]);

    let backend = Backend::start().await;
    let slimspan = start_in(&folder, &with_tenants(backend.address)).await;
    backend.arrived(3).await;
    let ended = slimspan.stop().await;
    assert_eq!(told(&ended), [(1, 1, 0), (1, 1, 0)]);
    assert_eq!(conserved_of(Signal::Traces, &ended.stderr).delivered, 5);
}

/// What the backend refuses for good is kept, and what waits behind it is delivered.
#[tokio::test]
async fn what_is_refused_for_good_becomes_a_dead_letter() {
    for config in [on_disk, in_memory] {
        let backend = Backend::answering(|received| {
            if received.message == otlp::plain_span(1) {
                Err(Status::invalid_argument("a bad name"))
            } else if received.message == otlp::plain_span(2) {
                Ok(otlp::partial_success(1, "too old"))
            } else {
                Ok(Bytes::new())
            }
        })
        .await;
        let slimspan = Slimspan::start(&config(backend.address, json!({}))).await;
        send_all(&slimspan, 0..5).await;
        backend.arrived(5).await;
        let folder = slimspan.folder().to_owned();
        let kept = async {
            while dead_letters(&folder).len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        soon("both are kept", kept).await;
        let mut kept: Vec<_> = dead_letters(&folder);
        kept.sort();
        assert_eq!(kept, spans(1..3));
        let ended = slimspan.stop().await;
        assert_eq!(ends(&ended), (3, 2, 0));
    }
}

/// What a backend does not take yet, as that of a tenant over its limit, rests on disk: not even the last consumer
/// waits with it.
#[tokio::test]
async fn what_a_backend_does_not_take_yet_holds_up_nobody_else() {
    let backend = Backend::answering(|received| {
        if (0..4).any(|number| received.message == otlp::plain_span(number)) {
            Err(Status::unavailable("not this one"))
        } else {
            Ok(Bytes::new())
        }
    })
    .await;
    let config = on_disk(backend.address, json!({ "num_consumers": 2 }));
    let slimspan = Slimspan::start(&config).await;
    send_all(&slimspan, 0..24).await;
    let others = spans(4..24);
    let until_all = async {
        loop {
            let received = backend.received();
            let mut taken = messages(&received);
            taken.retain(|message| others.contains(message));
            if taken.len() == others.len() {
                return taken;
            }
            backend.arrived(received.len() + 1).await;
        }
    };
    assert_eq!(soon("the others arrive", until_all).await, others);
    // And it is asked for these again.
    backend.arrived(24 + 12).await;
    assert_eq!(ends(&slimspan.stop().await), (20, 0, 4));
}

/// What is only in memory is delivered before the end, or kept as dead letters where it cannot be.
#[tokio::test]
async fn a_stop_empties_the_queue_in_memory() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let config = in_memory(backend.address, json!({ "num_consumers": 2 }));
    let mut slimspan = Slimspan::start(&config).await;
    send_all(&slimspan, 0..20).await;
    slimspan.signal("TERM");
    slimspan.logs("stopping").await;
    gate.add_permits(1_000);
    let ended = slimspan.end().await;
    assert_eq!(messages(&backend.received()), spans(0..20));
    assert_eq!(ends(&ended), (20, 0, 0));

    let away = Refusing::start();
    let folder = home();
    let slimspan = start_in(&folder, &in_memory(away.address, json!({}))).await;
    send_all(&slimspan, 0..20).await;
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0));
    let mut kept = dead_letters(folder.path());
    kept.sort();
    assert_eq!(kept, spans(0..20));
    assert_eq!(ends(&ended), (0, 20, 0));
}

/// A backend that says nothing takes no more of the time than it takes to see that.
#[tokio::test]
async fn a_stop_keeps_what_a_backend_that_hangs_does_not_take() {
    let backend = Backend::hanging().await;
    let mut config = in_memory(backend.address, json!({ "num_consumers": 3 }));
    config["exporters"]["otlp_grpc"]["timeout"] = json!("300ms");
    let folder = home();
    let slimspan = start_in(&folder, &config).await;
    send_all(&slimspan, 0..300).await;
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut kept = dead_letters(folder.path());
    kept.sort();
    assert_eq!(kept.len(), 300, "{}", ended.stderr);
    assert_eq!(kept, spans(0..300));
    assert_eq!(ends(&ended), (0, 300, 0));
}

/// A client that stalls in the middle of its request has its grace, and what was acknowledged before is
/// delivered after that.
#[tokio::test]
async fn a_stalled_client_costs_the_queue_in_memory_nothing() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let mut config = in_memory(backend.address, json!({ "num_consumers": 2 }));
    config["exporters"]["otlp_grpc"]["timeout"] = json!("1m");
    let folder = home();
    let mut slimspan = start_in(&folder, &config).await;
    send_all(&slimspan, 0..20).await;
    let stalled = slimspan.sender().await;
    let half = frame(0, &otlp::sized_span(600_000)).slice(..300_000);
    let (_open, body) = open_body(half);
    let stalled = tokio::spawn(async move { stalled.try_call(Call::traces(body)).await });
    backend.arrived(2).await;
    slimspan.signal("TERM");
    slimspan.logs("stopping").await;
    // It was told that it has to come back, or its connection has ended.
    if let Ok(answer) = soon("its grace ends", stalled).await.unwrap() {
        assert_eq!(answer.status().code(), Code::Unavailable, "{answer:?}");
    }
    gate.add_permits(1_000);
    let ended = slimspan.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(messages(&backend.received()), spans(0..20));
    assert_eq!(ends(&ended), (20, 0, 0));
    assert_eq!(dead_letters(folder.path()), <[Bytes; 0]>::default());
}

/// One whose request never ends takes all the time that receivers have, and no more: what was
/// acknowledged before is kept where nobody takes it.
#[tokio::test]
async fn a_client_that_never_ends_leaves_the_queue_in_memory_its_time() {
    let backend = Backend::hanging().await;
    let mut config = in_memory(backend.address, json!({ "num_consumers": 2 }));
    config["exporters"]["otlp_grpc/logs"] = config::exporter(backend.address);
    config["exporters"]["otlp_grpc/logs"]["timeout"] = json!("5m");
    config["service"]["pipelines"]["logs"]["exporters"] = json!(["otlp_grpc/logs"]);
    let folder = home();
    let mut slimspan = start_in(&folder, &config).await;
    send_all(&slimspan, 0..20).await;
    let client = slimspan.sender().await;
    let log = otlp::log(otlp::text("a log"), []);
    let pending = tokio::spawn(async move { client.send(Signal::Logs, &log).await });
    let is_log = |received: &Received| received.signal == Signal::Logs;
    let mut arrived = 3;
    while !backend.arrived(arrived).await.iter().any(is_log) {
        arrived += 1;
    }
    slimspan.signal("TERM");
    slimspan.logs("stopping").await;
    let ended = slimspan.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(pending.await.unwrap().is_err());
    let mut kept = dead_letters(folder.path());
    kept.sort();
    assert_eq!(kept, spans(0..20));
    assert_eq!(ends(&ended), (0, 20, 0));
}

/// Whoever renames an exporter hears of what waits for the old one.
#[tokio::test]
async fn a_queue_that_nobody_has_any_more_is_told() {
    let away = Refusing::start();
    let address = away.address;
    let config = on_disk(address, json!({}));
    let folder = home();
    let slimspan = start_in(&folder, &config).await;
    send_all(&slimspan, 0..3).await;
    let ended = slimspan.stop().await;
    assert_eq!(ends(&ended), (0, 0, 3));
    let mut off = config.clone();
    off["exporters"]["otlp_grpc"]["sending_queue"]["enabled"] = json!(false);
    let off_again = off.clone();
    let text = config.to_string();
    let renamed = text.replace("\"otlp_grpc\"", "\"otlp_grpc/new\"");
    let storage = "exporters.otlp_grpc.sending_queue.storage";
    for (other, key) in [
        (
            off,
            format!("set {storage} to file_storage again, and enable it"),
        ),
        (
            serde_json::from_str(&renamed).unwrap(),
            format!("bring back exporters.otlp_grpc, with {storage}: file_storage, in a pipeline"),
        ),
    ] {
        let ended = start_in(&folder, &other).await.stop().await;
        let Ended { stdout, stderr, .. } = &ended;
        for told in [stdout, stderr] {
            assert!(told.contains("3 acknowledged requests of"), "{told}");
            assert!(told.contains("wait for otlp_grpc"), "{told}");
            assert!(told.contains(&key), "{told}");
        }
        assert!(stderr.contains("exporter_otlp_grpc "), "{stderr}");
        assert_eq!(ends(&ended), (0, 0, 0), "they are not this one's");
    }
    // Who gives it back its name has them delivered.
    drop(away);
    let backend = Backend::start_at(address).await;
    let slimspan = start_in(&folder, &config).await;
    backend.arrived(3).await;
    let ended = slimspan.stop().await;
    assert_eq!(messages(&backend.received()), spans(0..3));
    assert!(
        !ended.stderr.contains("nothing delivers them"),
        "{}",
        ended.stderr
    );
    let ended = start_in(&folder, &off_again).await.stop().await;
    assert!(
        !ended.stderr.contains("wait for otlp_grpc"),
        "{}",
        ended.stderr
    );
}

/// What another process has open waits for nobody in vain, and is called forgotten only when that one has gone.
#[tokio::test]
async fn a_queue_that_another_process_has_is_not_forgotten() {
    let away = Refusing::start();
    let mut config = on_disk(away.address, json!({}));
    let storage = tempfile::tempdir().unwrap();
    config["extensions"]["file_storage"]["directory"] = json!(storage.path());
    let renamed = config.to_string();
    let renamed = renamed.replace("\"otlp_grpc\"", "\"otlp_grpc/other\"");
    let renamed: Value = serde_json::from_str(&renamed).unwrap();
    let first = Slimspan::start(&config).await;
    send_all(&first, 0..3).await;
    let forgotten = "and nothing delivers them";
    let second = Slimspan::start(&renamed).await.stop().await;
    assert_eq!(second.code, Some(0));
    let Ended { stdout, stderr, .. } = &second;
    let used = "the queue of otlp_grpc, is in use by another process";
    assert!(stderr.contains(used), "{stderr}");
    assert!(!stderr.contains(forgotten), "{stderr}");
    assert!(
        stdout.contains("another process has the queue of otlp_grpc"),
        "{stdout}"
    );
    // Looking has taken nothing of it.
    assert_eq!(ends(&first.stop().await), (0, 0, 3));
    let third = Slimspan::start(&renamed).await.stop().await;
    assert!(third.stderr.contains(forgotten), "{}", third.stderr);
    assert!(!third.stderr.contains(used), "{}", third.stderr);
}

/// With `wait_for_result` the backend's answer is the sender's.
#[tokio::test]
async fn a_queue_may_wait_for_the_answer() {
    let backend = Backend::answering(|received| {
        if received.message == otlp::plain_span(1) {
            Err(Status::invalid_argument("a bad name"))
        } else {
            Ok(otlp::partial_success(1, "too old"))
        }
    })
    .await;
    let config = in_memory(backend.address, json!({ "wait_for_result": true }));
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let answer = sender.send(Signal::Traces, &otlp::plain_span(0)).await;
    assert_eq!(answer.unwrap(), otlp::partial_success(1, "too old"));
    let answer = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
    assert!(
        dead_letters(slimspan.folder()).is_empty(),
        "the senders know"
    );
}

/// What was acknowledged while the backend is away survives a power cut, unless it was not to be
/// synced.
#[tokio::test]
async fn a_power_cut_loses_nothing() {
    const SPANS: u64 = 30;
    let mut left = Vec::new();
    for fsync in [true, false] {
        let Some(disk) = Disk::new(32 << 20) else {
            return;
        };
        let away = Refusing::start();
        let mut config = on_disk(away.address, json!({}));
        config["extensions"]["file_storage"]["fsync"] = json!(fsync);
        let storage = |path: &Path| json!(path.join("queue"));
        config["extensions"]["file_storage"]["directory"] = storage(disk.path());
        let slimspan = Slimspan::start(&config).await;
        send_all(&slimspan, 0..SPANS).await;
        slimspan.signal("STOP");
        let after = disk.cut();
        slimspan.kill().await;

        let backend = Backend::start_at({
            let address = away.address;
            drop(away);
            address
        })
        .await;
        config["extensions"]["file_storage"]["directory"] = storage(after.path());
        let slimspan = Slimspan::start(&config).await;
        if fsync {
            backend.arrived(SPANS as usize).await;
            assert_eq!(messages(&backend.received()), spans(0..SPANS));
        }
        slimspan.stop().await;
        left.push(backend.received().len());
    }
    assert!(left[1] < left[0], "{left:?}: the rig sees no loss");
    measured(
        "P2",
        "program::queue, sending_queue in file_storage",
        "0 acknowledged lost; without fsync what was written last is",
        format_args!("{} of {SPANS} left, {} without fsync", left[0], left[1]),
    );
}

/// Two processes must not empty one queue.
#[tokio::test]
async fn a_queue_has_one_owner() {
    let away = Refusing::start();
    let mut config = on_disk(away.address, json!({}));
    let folder = tempfile::tempdir().unwrap();
    config["extensions"]["file_storage"]["directory"] = json!(folder.path().join("queue"));
    let _first = Slimspan::start(&config).await;
    let mut second = Slimspan::spawn(home(), &config.to_string());
    assert!(!second.ready().await);
    let second = second.end().await;
    assert_eq!(second.code, Some(1));
    assert!(
        second.stderr.contains("in use by another process"),
        "{}",
        second.stderr
    );
    assert!(
        second.stderr.contains("extensions.file_storage"),
        "{}",
        second.stderr
    );
}

/// Who else may look into the folder of all queues is as somebody says; a queue in it is for slimspan alone.
#[tokio::test]
async fn the_folder_of_queues_has_the_permissions_that_are_wanted() {
    use std::os::unix::fs::PermissionsExt as _;

    let away = Refusing::start();
    let mut config = on_disk(away.address, json!({}));
    let folder = tempfile::tempdir().unwrap();
    let queues = folder.path().join("above/queues");
    let storage = &mut config["extensions"]["file_storage"];
    storage["directory"] = json!(queues);
    storage["directory_permissions"] = json!("0710");
    let _slimspan = Slimspan::start(&config).await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&queues) & !0o010, 0o700);
    assert_eq!(mode(&queues.join("exporter_otlp_grpc")), 0o700);
}

/// One that starts while another ends waits for it, as long as `timeout` says.
#[tokio::test]
async fn a_start_waits_for_the_folder_of_a_queue() {
    let away = Refusing::start();
    let mut config = on_disk(away.address, json!({}));
    let folder = tempfile::tempdir().unwrap();
    let storage = &mut config["extensions"]["file_storage"];
    storage["directory"] = json!(folder.path().join("queue"));
    let first = Slimspan::start(&config).await;
    send_all(&first, 0..3).await;
    config["extensions"]["file_storage"]["timeout"] = json!("1h");
    let mut second = Slimspan::spawn(home(), &config.to_string());
    let early = tokio::time::timeout(Duration::from_millis(500), second.ready());
    assert!(early.await.is_err(), "{}", second.stderr());
    first.kill().await;
    assert!(second.ready().await, "{}", second.stderr());
    assert_eq!(ends(&second.stop().await), (0, 0, 3));
}

/// What a queue in memory has is in no file, so a power cut takes it as a kill does.
#[tokio::test]
async fn what_waits_in_memory_is_nowhere_else() {
    let away = Refusing::start();
    let config = in_memory(away.address, json!({}));
    let folder = home();
    let slimspan = start_in(&folder, &config).await;
    let mark = "a text like no other";
    let request = otlp::span([("text", otlp::text(mark))]);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let written = |folder: &Path| {
        let mut files = files(folder).into_iter();
        files.any(|file| {
            let bytes = std::fs::read(file).unwrap();
            bytes
                .windows(mark.len())
                .any(|window| window == mark.as_bytes())
        })
    };
    assert!(!written(folder.path()));
    // On disk, the same would find it.
    slimspan.kill().await;
    let slimspan = start_in(&folder, &on_disk(away.address, json!({}))).await;
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    assert!(written(folder.path()));
    // And what there was in memory is not there again.
    assert_eq!(ends(&slimspan.stop().await), (0, 0, 1));
}
