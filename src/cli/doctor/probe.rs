//! Whether a store lets slimspan do in a folder what it does there.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{Findings, Verdict};
use crate::storage::{Bucket, Store};

/// How far the clocks of this machine and of a store may be apart: signatures end at some minutes.
const SKEW: Duration = Duration::from_secs(30);

/// An object that is put, and goes again.
pub(super) struct Probe {
    /// For people.
    pub(super) place: String,
    pub(super) bucket: Bucket,
    /// Where it is put.
    pub(super) folder: String,
    /// Whether what is large comes there, too.
    pub(super) has_large: bool,
}

impl Probe {
    /// Does it all; whether anything could be put.
    pub(super) async fn try_all(&self, store: &Store, findings: &mut Findings) -> bool {
        let (place, bucket) = (&self.place, &self.bucket);
        let key = format!("{}/{:016x}", self.folder, rand::random::<u64>());
        let text = Bytes::from_static(b"slimspan doctor: it can be deleted\n");
        let now = SystemTime::now();
        if let Err(error) = bucket.put(&key, text.clone()).await {
            let what = format!(
                "{place}: {error}; slimspan needs the permission to put objects (s3:PutObject)"
            );
            findings.tell(Verdict::Wrong, what);
            return false;
        }
        findings.tell(
            Verdict::Well,
            format_args!("{place}: {store} takes objects"),
        );
        match bucket.get(&key).await {
            Ok(Some(found)) if found == text => {
                findings.tell(Verdict::Well, format_args!("{place}: they can be read"));
            }
            Ok(_) => findings.tell(
                Verdict::Wrong,
                format_args!(
                    "{place}: what was put is not what is there: the store loses or changes objects"
                ),
            ),
            Err(error) => findings.tell(
                Verdict::Wrong,
                format_args!(
                    "{place}: {error}; the artifact_server, restore and get need the permission to read \
                     (s3:GetObject)"
                ),
            ),
        }
        self.list(&key, now, findings).await;
        if self.has_large {
            self.put_in_parts(&key, text, findings).await;
        }
        match bucket.delete(&key).await {
            Ok(()) => findings.tell(Verdict::Well, format_args!("{place}: they can be deleted")),
            Err(error) => findings.tell(
                Verdict::Advice,
                format_args!(
                    "{place}: {error}; slimspan gc, rm and the API delete, and so does a slimspan that runs where a \
                     deletion is not finished (s3:DeleteObject). {key} is left there"
                ),
            ),
        }
        true
    }

    /// In place of the object that is there.
    async fn put_in_parts(&self, key: &str, text: Bytes, findings: &mut Findings) {
        let place = &self.place;
        match self.bucket.put_in_parts(key, text).await {
            Ok(()) => findings.tell(
                Verdict::Well,
                format_args!("{place}: they can be put in parts"),
            ),
            Err(error) => findings.tell(
                Verdict::Advice,
                format_args!(
                    "{place}: {error}; what is put through the artifact_server or by slimspan put and has more \
                     than 5 MiB comes in parts (multipart uploads, for which S3 wants s3:PutObject and \
                     s3:AbortMultipartUpload)"
                ),
            ),
        }
    }

    /// Whether it can be listed, and what its clock says.
    async fn list(&self, key: &str, now: SystemTime, findings: &mut Findings) {
        let place = &self.place;
        let listed = match self.bucket.list(&self.folder, None).await {
            Ok(listed) => listed,
            Err(error) => {
                findings.tell(
                    Verdict::Advice,
                    format_args!(
                        "{place}: {error}; the catalog, slimspan verify and gc need the permission to list \
                         (s3:ListBucket)"
                    ),
                );
                return;
            }
        };
        let Some(object) = listed.iter().find(|object| object.key == key) else {
            findings.tell(
                Verdict::Wrong,
                format_args!(
                    "{place}: what was put is not listed: the catalog of other replicas is not seen here"
                ),
            );
            return;
        };
        findings.tell(Verdict::Well, format_args!("{place}: they can be listed"));
        let apart = match object.written.duration_since(now) {
            Ok(ahead) => ahead,
            Err(error) => error.duration(),
        };
        if apart <= SKEW {
            findings.tell(
                Verdict::Well,
                format_args!("{place}: its clock and the one of this machine agree"),
            );
        } else {
            findings.tell(
                Verdict::Wrong,
                format_args!(
                    "{place}: its clock and the one of this machine are {} seconds apart: set the clock, with \
                     NTP for example",
                    apart.as_secs()
                ),
            );
        }
    }
}
