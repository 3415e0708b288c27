//! A backend that looks for every file in the store at the very moment when a request comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use memchr::memmem;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::plan::{File, Plan, name};
use super::run::Sum;
use crate::answer::Answer;
use crate::config::OnStoreFailure;
use crate::exporters::Taker;
use crate::refusal::{Culprit, Refusal};
use crate::storage::gated::Gate;
use crate::storage::spool::FaultyDisk;

/// What a request is answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    Accepted,
    /// It may be taken another time.
    Busy,
    /// It never is.
    Refused,
}

/// A backend of which somebody else decides when it answers, and what. Clones are one.
#[derive(Debug, Clone)]
pub(super) struct Backend {
    plan: Arc<Plan>,
    files: Arc<[File]>,
    gate: Gate,
    /// That of the spool, if there is one.
    disk: Option<FaultyDisk>,
    book: Arc<Mutex<Book>>,
}

/// What has happened.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) log: Vec<String>,
    pub(super) complaints: Vec<String>,
    pub(super) sum: Sum,
    /// Requests that are not answered yet, each with its senders.
    waiting: BTreeMap<u64, (Vec<usize>, oneshot::Sender<Verdict>)>,
    next: u64,
    /// The senders of what was accepted.
    accepted: BTreeSet<usize>,
}

impl Backend {
    pub(super) fn new(
        plan: Arc<Plan>,
        files: Arc<[File]>,
        gate: Gate,
        disk: Option<FaultyDisk>,
    ) -> Self {
        Self {
            plan,
            files,
            gate,
            disk,
            book: Arc::default(),
        }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    pub(super) fn tell(&self, what: String) {
        self.book().log.push(what);
    }

    /// The requests for whose answer somebody waits.
    pub(super) fn waiting(&self) -> Vec<u64> {
        let mut book = self.book();
        book.waiting.retain(|_, (_, told)| !told.is_closed());
        book.waiting.keys().copied().collect()
    }

    /// Answers one of them.
    pub(super) fn answer(&self, number: u64, verdict: Verdict) {
        let mut book = self.book();
        if let Some((senders, told)) = book.waiting.remove(&number) {
            book.log
                .push(format!("the backend to {senders:?}: {verdict:?}"));
            if matches!(verdict, Verdict::Accepted) {
                book.accepted.extend(senders);
            }
            // Fails where nobody waits for it any more.
            let _ = told.send(verdict);
        }
    }

    /// Whether the request of a sender was accepted since this was asked last.
    pub(super) fn has_accepted(&self, sender: usize) -> bool {
        self.book().accepted.remove(&sender)
    }

    /// Whether a file is where a reference may lead, whole, and stays there.
    fn is_kept(&self, key: &str, file: &File) -> bool {
        let stored = self.gate.kept(key);
        let mut disk = self.disk.iter();
        stored.is_some_and(|bytes| bytes == file.bytes)
            || disk.any(|disk| disk.has_synced(&file.bytes))
    }

    /// Looks at a request, now; its answer comes later.
    fn look(&self, request: &[u8]) -> oneshot::Receiver<Verdict> {
        let has = |text: &str| memmem::find(request, text.as_bytes()).is_some();
        let senders = (0..self.plan.senders.len()).filter(|sender| has(&name(*sender)));
        let senders: Vec<_> = senders.collect();
        let mut book = self.book();
        let mut seen = BTreeMap::new();
        for sender in &senders {
            let of_sender = &self.plan.senders[*sender];
            for number in &of_sender.files {
                let file = &self.files[*number];
                let key = file.key(of_sender.tenant);
                let is_moved = has(&format!("memory:///{key}"));
                let is_dropped = has(&format!("artifact://dropped/{}", file.digest));
                let is_inline = !is_moved && !is_dropped && has(&file.value);
                if is_moved && !self.is_kept(&key, file) {
                    book.sum.early += 1;
                    let early = format!("file {number} of sender {sender} is not there");
                    book.log.push(early.clone());
                    book.complaints.push(early);
                }
                let may_drop = self.plan.on_failure == OnStoreFailure::Drop;
                if is_dropped && !may_drop || !(is_moved || is_dropped || is_inline) {
                    let lost = format!("file {number} of sender {sender} is given up");
                    book.complaints.push(lost);
                }
                let stands = (is_moved, is_dropped, is_inline);
                if seen.insert(key, stands).is_none() {
                    let sum = &mut book.sum;
                    sum.references += usize::from(is_moved);
                    sum.dropped += usize::from(is_dropped);
                    sum.inline += usize::from(is_inline);
                }
            }
        }
        if senders.is_empty() {
            book.complaints.push("a request is nobody's".to_owned());
        }
        book.sum.exports += 1;
        book.sum.joined += usize::from(senders.len() > 1);
        book.log
            .push(format!("{senders:?} at the backend, with {seen:?}"));
        let (told, verdict) = oneshot::channel();
        let number = book.next;
        book.next += 1;
        book.waiting.insert(number, (senders, told));
        verdict
    }
}

impl Taker for Backend {
    fn take(
        &self,
        request: Bytes,
        left: Option<Duration>,
    ) -> BoxFuture<'static, Result<Answer, Refusal>> {
        let verdict = self.look(&request);
        let left = left.unwrap_or(Duration::MAX);
        async move {
            match timeout(left, verdict).await {
                Ok(Ok(Verdict::Accepted)) => Ok(Answer::success()),
                Ok(Ok(Verdict::Busy)) => Err(Refusal::unavailable(Culprit::Backend, "busy")),
                Ok(Ok(Verdict::Refused)) => Err(Refusal::malformed("no")),
                Ok(Err(_)) | Err(_) => {
                    Err(Refusal::unavailable(Culprit::Backend, "silent").in_doubt(true))
                }
            }
        }
        .boxed()
    }
}
