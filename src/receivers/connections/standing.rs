//! The connections of a listener, which stay when another configuration takes over, and who answers their
//! requests: one configuration, then another, and between the two nobody.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use futures::future::join_all;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::Service as _;
use tower::util::BoxCloneSyncService;

use super::slots::{Introduction, Limits, Slots};
use super::vouched::Vouched;
use crate::receivers::heads;
use crate::tls::Authorities;

/// What answers requests.
pub(in crate::receivers) type Service =
    BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// What the sender of a request with these headers is told when nobody answers it.
pub(in crate::receivers) type Excuse = fn(&HeaderMap) -> fn() -> Response<Body>;

/// The connections of one listener.
#[derive(Debug)]
pub struct Standing {
    pub(super) slots: Arc<Slots>,
    /// Held by who accepts.
    pub(super) connections: Mutex<JoinSet<()>>,
    /// Tells their peers to send no more.
    pub(super) end: CancellationToken,
    /// Who vouched for their peers.
    pub(super) vouched: Vouched,
    excuse: Excuse,
    now: watch::Sender<Now>,
    /// Whether they go on when who answers them now has ended.
    stays: AtomicBool,
}

/// Who answers.
#[derive(Debug)]
enum Now {
    One(Turn),
    /// Requests wait for the next one.
    Nobody,
    /// Nobody will.
    Over,
}

/// The time in which one configuration answers.
#[derive(Debug)]
struct Turn {
    service: Service,
    under_way: TaskTracker,
    cut: CancellationToken,
}

/// A request, and who answers it.
struct Taken {
    service: Service,
    cut: CancellationToken,
    _under_way: TaskTrackerToken,
}

/// One configuration answers until this is dropped, and what is still under way then is refused.
#[derive(Debug)]
pub(super) struct OnDuty<'a> {
    standing: &'a Standing,
    under_way: TaskTracker,
    cut: CancellationToken,
}

/// Answers the requests of a connection, whoever does that. Clones are of the same.
#[derive(Debug, Clone)]
pub(in crate::receivers) struct Answering {
    now: watch::Receiver<Now>,
    excuse: Excuse,
    introduction: Introduction,
}

impl Standing {
    /// No connections yet.
    pub(in crate::receivers) fn new(limits: Limits, excuse: Excuse) -> Self {
        Self {
            slots: Slots::new(limits),
            connections: Mutex::default(),
            end: CancellationToken::new(),
            vouched: Vouched::default(),
            excuse,
            now: watch::Sender::new(Now::Nobody),
            stays: AtomicBool::new(false),
        }
    }

    /// From here on `service` answers, also those that have waited for it.
    pub(super) fn begin(&self, service: Service) -> OnDuty<'_> {
        let (under_way, cut) = (TaskTracker::new(), CancellationToken::new());
        self.now.send_replace(Now::One(Turn {
            service,
            under_way: under_way.clone(),
            cut: cut.clone(),
        }));
        OnDuty {
            standing: self,
            under_way,
            cut,
        }
    }

    pub(super) fn answering(&self, introduction: Introduction) -> Answering {
        Answering {
            now: self.now.subscribe(),
            excuse: self.excuse,
            introduction,
        }
    }

    /// Whether they go on when who answers them now has ended.
    pub(super) fn stays(&self) -> bool {
        self.stays.load(Ordering::Acquire)
    }

    /// Refuses what is under way: whoever still waits for an answer is told to come again.
    pub(crate) fn refuse(&self) {
        if let Now::One(turn) = &*self.now.borrow() {
            turn.cut.cancel();
        }
    }

    /// Nobody answers what comes from here on, until another one does. What is over stays so.
    fn unattended(&self) {
        self.now.send_if_modified(|now| {
            let was_attended = matches!(now, Now::One(_));
            if was_attended {
                *now = Now::Nobody;
            }
            was_attended
        });
    }

    /// Tells all peers to send no more, and waits until the connections have ended.
    pub(super) async fn close(&self, connections: &mut JoinSet<()>) {
        self.end.cancel();
        while connections.join_next().await.is_some() {}
    }
}

impl OnDuty<'_> {
    /// Answers what is under way, and nothing that comes after that.
    pub(super) async fn finish(self) {
        self.standing.unattended();
        self.under_way.close();
        self.under_way.wait().await;
    }
}

impl Drop for OnDuty<'_> {
    fn drop(&mut self) {
        self.standing.unattended();
        self.cut.cancel();
    }
}

impl Turn {
    fn take(&self) -> Taken {
        Taken {
            service: self.service.clone(),
            cut: self.cut.clone(),
            _under_way: self.under_way.token(),
        }
    }
}

impl Answering {
    /// Answers a request as soon as there is somebody who does, who is to make its [`Introduction`]. A head that is
    /// too large is gone when this returns.
    pub(in crate::receivers) fn answer(
        mut self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static {
        heads::limit(&mut request);
        let excuse = (self.excuse)(request.headers());
        let extensions = request.extensions_mut();
        extensions.insert(self.introduction.clone());
        async move {
            let Some(mut taken) = self.taken().await else {
                return Ok(excuse());
            };
            tokio::select! {
                biased;
                answer = taken.service.call(request) => answer,
                () = taken.cut.cancelled() => Ok(excuse()),
            }
        }
    }

    /// None where nobody will answer.
    async fn taken(&mut self) -> Option<Taken> {
        let somebody = self.now.wait_for(|now| !matches!(now, Now::Nobody)).await;
        // Seen and taken at once: who ends from here on waits for the request.
        match &*somebody.ok()? {
            Now::One(turn) => Some(turn.take()),
            Now::Nobody | Now::Over => None,
        }
    }
}

/// The connections of all listeners, by the path of each in the configuration.
#[derive(Debug, Default)]
pub struct Standings {
    by_path: BTreeMap<String, Arc<Standing>>,
}

impl Standings {
    /// The connections of the listener at `path`, or a place for them, for who is about to answer there. They end
    /// with that one, unless they are kept meanwhile, which may be before it has begun.
    pub(crate) fn at(&mut self, path: &str, new: impl FnOnce() -> Standing) -> Arc<Standing> {
        let there = self.by_path.get(path);
        // Where they were told to end, so would every one that is to come.
        if let Some(standing) = there.filter(|standing| !standing.end.is_cancelled()) {
            standing.stays.store(false, Ordering::Release);
            return Arc::clone(standing);
        }
        let standing = Arc::new(new());
        self.by_path.insert(path.to_owned(), Arc::clone(&standing));
        standing
    }

    /// Keeps the connections of the listeners at these paths when who answers them ends, which is about to
    /// happen. The others end with it, and so do those at a path where others than these vouched for a peer: that one
    /// might not be let in any more.
    pub fn keep(&mut self, paths: &BTreeMap<String, Authorities>) {
        self.by_path.retain(|path, standing| {
            let authorities = paths.get(path);
            let stays = authorities.is_some_and(|these| standing.vouched.only_by(these));
            standing.stays.store(stays, Ordering::Release);
            stays
        });
    }

    /// Those that are kept are for nobody: requests that wait are refused, and so is what comes. What is under way is
    /// still answered by who answers it, and that one need not have ended.
    pub fn nobody_comes(&self) {
        for standing in self.by_path.values() {
            standing.now.send_replace(Now::Over);
            standing.end.cancel();
        }
    }

    /// Ends those that were kept and are not wanted after all: requests that wait are refused.
    pub async fn end(&mut self) {
        let closing = std::mem::take(&mut self.by_path).into_values();
        let closing = closing.map(|standing| async move {
            let mut connections = standing.connections.lock().await;
            standing.now.send_replace(Now::Over);
            standing.close(&mut connections).await;
        });
        join_all(closing).await;
    }
}

#[cfg(test)]
mod tests;
