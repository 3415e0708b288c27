//! A bad network on all three sides, and the proxy that makes it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::conserved::conserved;
use super::load::Load;
use crate::support::checker::{Rules, Scenario};
use crate::support::fault_store::FaultStore;
use crate::support::insistent::PATIENCE;
use crate::support::measured::{measured, number};
use crate::support::proxy::{Conditions, Proxy};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;
use crate::support::verifying::Verifying;
use crate::support::{config, soon};

/// How long the network is as it is, at most.
const LONGEST: Duration = Duration::from_millis(200);

const GOOD: Conditions = Conditions {
    latency: Duration::ZERO,
    bytes_per_second: None,
    piece: None,
    silent: false,
    reset_after: None,
};

/// Between sender, slimspan, store and backend things get worse and better all the time: nothing is
/// lost, no reference is early, and what arrives twice had lost its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_network_loses_nothing() {
    let seed = Seed::any();
    let store = FaultStore::start(seed.number(), &[]).await;
    let backend = Verifying::start(store.fetch()).await;
    let (to_store, to_backend) = (
        Proxy::start(store.address).await,
        Proxy::start(backend.address).await,
    );
    let mut config = config::with_s3(to_backend.address, to_store.address);
    config["extensions"]["artifact_store"]["timeout"] = "400ms".into();
    config["exporters"]["otlp_grpc"]["timeout"] = "400ms".into();
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    let slimspan = Slimspan::start(&config).await;
    let to_slimspan = Proxy::start(slimspan.addresses[0]).await;

    let (_here, whereabouts) = watch::channel(Some(to_slimspan.address.into()));
    let changes = number("SLIMSPAN_NETWORK_CHANGES", 30);
    // One that is unlucky gets through when the network is good again.
    let patience = PATIENCE + LONGEST * u32::try_from(changes).unwrap();
    let load = Load::small(seed.number(), 8, usize::MAX);
    let sending = load.begin_patiently(&whereabouts, patience);
    let proxies = [&to_slimspan, &to_store, &to_backend];
    let mut random = seed.random();
    for _ in 0..changes {
        let proxy = random.pick(&proxies);
        match random.below(7) {
            0 => proxy.reset(),
            1 => proxy.set(Conditions {
                latency: Duration::from_millis(5),
                ..GOOD
            }),
            2 => proxy.set(Conditions {
                bytes_per_second: Some(200_000),
                ..GOOD
            }),
            3 => proxy.set(Conditions {
                piece: Some(100),
                ..GOOD
            }),
            4 => proxy.set(Conditions {
                reset_after: Some(50_000),
                ..GOOD
            }),
            5 => proxy.set(Conditions {
                silent: true,
                ..GOOD
            }),
            _ => proxy.set(GOOD),
        }
        // How long it stays so.
        let longest = LONGEST.as_millis() as usize;
        tokio::time::sleep(Duration::from_millis(random.below(longest) as u64)).await;
    }
    for proxy in proxies {
        proxy.set(GOOD);
        proxy.reset();
    }
    let acknowledged = sending.ledger.acknowledged();
    let ledger = &sending.ledger;
    ledger
        .until("requests pass again", |ledger| {
            ledger.acknowledged() > acknowledged
        })
        .await;
    let entries = sending.stop().await.entries();
    conserved(&entries, &slimspan.stop().await);
    let checked = Scenario {
        entries: &entries,
        receipts: &backend.receipts(),
        fetch: &store.fetch(),
        objects: &store.objects(),
        rules: Rules {
            lost_answers: true,
            // A file was stored, and its request, which was to come back, had other files.
            ..Rules::STRICT
        },
    }
    .assert();
    measured(
        "P1, P3, P4",
        "delivery::network",
        "0 lost, 0 early, nothing twice but for a lost answer",
        format_args!(
            "0 lost, 0 early in {changes} changes and {} connections: {checked}",
            to_slimspan.connections() + to_store.connections() + to_backend.connections()
        ),
    );
}

/// A server that says what it hears.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

/// Sends as many bytes and waits until they are back.
async fn round_trip(stream: &mut TcpStream, len: usize) -> std::io::Result<Duration> {
    let sent: Vec<u8> = (0..len).map(|at| at as u8).collect();
    let begun = Instant::now();
    let (mut from, mut to) = stream.split();
    let mut back = vec![0; len];
    let both = futures::future::try_join(to.write_all(&sent), from.read_exact(&mut back));
    soon("an echo", both).await?;
    assert!(back == sent);
    Ok(begun.elapsed())
}

#[tokio::test]
async fn the_proxy_is_slow_and_silent_as_it_is_told() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    round_trip(&mut stream, 300_000).await.unwrap();

    proxy.set(Conditions {
        latency: Duration::from_millis(40),
        ..GOOD
    });
    let took = round_trip(&mut stream, 10).await.unwrap();
    assert!(took >= Duration::from_millis(80), "{took:?}");

    proxy.set(Conditions {
        bytes_per_second: Some(1_000_000),
        ..GOOD
    });
    let took = round_trip(&mut stream, 200_000).await.unwrap();
    assert!(took >= Duration::from_millis(200), "{took:?}");

    // Each of twenty pieces is late by a little.
    proxy.set(Conditions {
        latency: Duration::from_millis(5),
        piece: Some(100),
        ..GOOD
    });
    let took = round_trip(&mut stream, 2_000).await.unwrap();
    assert!(took >= Duration::from_millis(100), "{took:?}");

    proxy.set(Conditions {
        silent: true,
        ..GOOD
    });
    let silence = Duration::from_millis(100);
    let nothing = tokio::time::timeout(silence, round_trip(&mut stream, 10)).await;
    assert!(nothing.is_err());
    proxy.set(GOOD);
    let mut late = [0; 10];
    soon("what was held back", stream.read_exact(&mut late))
        .await
        .unwrap();
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn the_proxy_resets_as_it_is_told() {
    let proxy = Proxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    round_trip(&mut stream, 10).await.unwrap();
    proxy.reset();
    let error = soon("the reset", stream.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);

    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    proxy.set(Conditions {
        reset_after: Some(1_000),
        ..GOOD
    });
    round_trip(&mut stream, 900).await.unwrap();
    let error = round_trip(&mut stream, 200).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
