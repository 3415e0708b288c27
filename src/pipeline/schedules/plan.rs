//! What there is in a schedule before anything has happened.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use slimspan_artifact::Digest;
use slimspan_generators::wire::nested;
use slimspan_generators::{Random, fake_file};

use crate::admission::{Budget, Limits};
use crate::config::OnStoreFailure;
use crate::telemetry::Counters;

/// From this size on files are taken out.
pub(super) const THRESHOLD: usize = 256;

/// The last one is large enough to be recalled when it comes again, and all are small enough to be decoded and
/// hashed where the request is: on no thread of their own.
const SIZES: [usize; 3] = [400, 700, 13_000];

/// For how long an object stays in a bucket of which a rule deletes what is old. An artifact counts as stored for
/// three seconds then; what left within these may be on its way for two deadlines.
const RULE: Duration = Duration::from_secs(30);

/// What all schedules share.
pub(super) struct Surroundings {
    pub(super) files: Arc<[File]>,
    pub(super) budget: Budget,
    pub(super) counters: Arc<Counters>,
}

/// A file that senders have.
#[derive(Debug)]
pub(super) struct File {
    pub(super) digest: Digest,
    pub(super) bytes: Bytes,
    /// As it stands in a request.
    pub(super) value: String,
}

/// A request that is sent, maybe more than once.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) tenant: &'static str,
    /// Numbers of files.
    pub(super) files: Vec<usize>,
    pub(super) request: Bytes,
}

/// Where a file has to be before a reference to it may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Store,
    /// On the disk of a spool, or in the store.
    Spool,
}

/// What there is in a schedule before anything has happened.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) place: Place,
    pub(super) senders: Vec<Sender>,
    pub(super) has_tenants: bool,
    pub(super) has_batches: bool,
    pub(super) on_failure: OnStoreFailure,
    pub(super) timeout: Duration,
    pub(super) max_concurrent_puts: usize,
    pub(super) known_digests: u64,
    pub(super) refresh: Duration,
    /// After which time the bucket deletes what nobody has put again, if it does.
    pub(super) rule: Option<Duration>,
    /// Whether anything goes wrong.
    pub(super) has_faults: bool,
    /// How often a sender goes away.
    pub(super) departures: usize,
}

impl Surroundings {
    pub(super) fn new() -> Self {
        let mut random = Random::new(0);
        let files = SIZES.map(|size| {
            let bytes = Bytes::from(fake_file(&mut random, size));
            File {
                digest: Digest::of(&bytes),
                value: format!("data:image/png;base64,{}", STANDARD.encode(&bytes)),
                bytes,
            }
        });
        Self {
            files: files.into(),
            budget: Budget::new(Limits {
                limit_mib: 512,
                spike_mib: 100,
            }),
            counters: Arc::default(),
        }
    }
}

impl File {
    /// Where the store keeps that of a tenant.
    pub(super) fn key(&self, tenant: &str) -> String {
        let digest = self.digest.to_string();
        format!("{tenant}/sha256/{}/{digest}", &digest[..2])
    }
}

/// What a request has in it that no other sender's has.
pub(super) fn name(sender: usize) -> String {
    format!("sender {sender};")
}

impl Sender {
    fn new(number: usize, tenant: &'static str, files: Vec<usize>, all: &[File]) -> Self {
        let mut span = nested(&[5], name(number));
        for file in &files {
            let key = nested(&[1], format!("picture {file}"));
            let attribute = [key, nested(&[2, 1], &all[*file].value)].concat();
            span.extend(nested(&[9], attribute));
        }
        Self {
            tenant,
            files,
            request: Bytes::from(nested(&[1, 2, 2], span)),
        }
    }
}

impl Plan {
    pub(super) fn new(random: &mut Random, files: &[File], place: Place) -> Self {
        let is_spooled = place == Place::Spool;
        let has_tenants = random.one_in(4) && !is_spooled;
        let senders = (0..2 + random.below(4)).map(|number| {
            let tenants: &[&str] = if has_tenants {
                &["acme", "beta"]
            } else {
                &["default"]
            };
            let tenant = random.pick(tenants);
            let mut of_sender: Vec<usize> = (0..files.len()).collect();
            of_sender.retain(|_| random.one_in(2));
            if of_sender.is_empty() {
                of_sender.push(random.below(files.len()));
            }
            Sender::new(number, tenant, of_sender, files)
        });
        let senders = senders.collect();
        let seconds = Duration::from_secs;
        let day = (Duration::from_hours(24), None);
        let (refresh, rule) = random.pick(&[
            day,
            day,
            (seconds(3), Some(RULE)),
            (Duration::ZERO, Some(RULE)),
        ]);
        let max_concurrent_puts = random.pick(&[16, 2, 1]);
        Self {
            place,
            senders,
            has_tenants,
            has_batches: random.one_in(3),
            on_failure: random.pick(&[
                OnStoreFailure::Refuse,
                OnStoreFailure::Refuse,
                OnStoreFailure::Forward,
                OnStoreFailure::Drop,
            ]),
            timeout: seconds(random.pick(&[10, 3, 1])),
            // Two uploads at a time would be read from the spool by two threads.
            max_concurrent_puts: if is_spooled { 1 } else { max_concurrent_puts },
            known_digests: random.pick(&[1000, 1000, 0]),
            refresh,
            // What has waited in a spool may be on its way for longer.
            rule: rule.filter(|_| !is_spooled),
            has_faults: !random.one_in(3),
            departures: random.below(3),
        }
    }
}
