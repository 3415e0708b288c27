//! One schedule from its beginning to its end.

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use slimspan_generators::Random;
use slimspan_proto::Signal;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::backend::{Backend, Verdict};
use super::path::{TENANT, pipelines};
use super::plan::{Place, Plan, Sender, Surroundings};
use super::spooled::Spooled;
use crate::answer::Answer;
use crate::backoff::seeded::Seeded;
use crate::client::Client;
use crate::pipeline::Pipelines;
use crate::refusal::Refusal;
use crate::storage::gated::{Ending, Gate, Waiting};
use crate::storage::spool::HeldSyncs;
use crate::telemetry::traces::Trace;

/// How long a sender waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a sender sends its request.
const ATTEMPTS: usize = 3;

/// Time goes on by so little only when everything has gone on that can.
const MOMENT: Duration = Duration::from_millis(1);

/// How long nothing happens, in milliseconds: less than a pause between attempts, as long as one, longer than an
/// attempt may take, longer than a sender waits, longer than anything is kept.
const PAUSES: [u64; 8] = [1, 60, 300, 1_100, 2_100, 5_100, 10_100, 31_000];

/// After so many choices nothing goes wrong any more.
const FAULTY: usize = 150;

/// And after so many everything has come to an end.
const ENDLESS: usize = 1_000;

/// What is wrong with a store that the checker has to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Nothing,
    /// One time in four it keeps nothing of what it says it has.
    Lies,
    /// Uploads go on in the background, and nobody waits for them.
    NobodyWaits,
    /// The disk of the spool syncs nothing.
    DiskLies,
}

/// How much has happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) sent: usize,
    pub(super) accepted: usize,
    pub(super) gone: usize,
    pub(super) asked: usize,
    pub(super) faults: usize,
    pub(super) expired: usize,
    pub(super) exports: usize,
    pub(super) joined: usize,
    pub(super) references: usize,
    pub(super) inline: usize,
    pub(super) dropped: usize,
    pub(super) early: usize,
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.gone += other.gone;
        self.asked += other.asked;
        self.faults += other.faults;
        self.expired += other.expired;
        self.exports += other.exports;
        self.joined += other.joined;
        self.references += other.references;
        self.inline += other.inline;
        self.dropped += other.dropped;
        self.early += other.early;
    }
}

/// What is told of a schedule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// What happened, in its order, without the time that passed between.
    pub(super) log: Vec<String>,
    pub(super) complaints: Vec<String>,
    pub(super) sum: Sum,
    /// The time that passed on its clock.
    pub(super) took: Duration,
}

/// What a sender does.
enum Sending {
    /// It has sent its request so many times, and waits for nothing.
    Idle(usize),
    UnderWay(usize, JoinHandle<Result<Answer, Refusal>>),
    Over,
}

/// What may happen next.
#[derive(Debug, Clone, Copy)]
enum Choice {
    /// A sender sends its request.
    Send(usize),
    /// One goes away.
    Leave(usize),
    /// The store answers.
    Store(u64),
    /// The backend answers.
    Backend(u64),
    /// The disk of the spool does what it was asked.
    Disk,
    /// Nothing, for a while.
    Pause,
}

struct Run<'s> {
    seed: u64,
    random: Random,
    wrong: Wrong,
    plan: Arc<Plan>,
    pipelines: Arc<Pipelines>,
    gate: Gate,
    backend: Backend,
    senders: Vec<Sending>,
    departures: usize,
    begun: Instant,
    spooled: Option<&'s Spooled>,
    /// The disk does nothing until it is its turn.
    held: Option<HeldSyncs<'s>>,
}

/// Goes through one schedule. All that is left to chance in it follows from the seed: the requests, the
/// configuration, what goes on when, and how it ends; and how long pauses between attempts are.
pub(super) fn schedule(surroundings: &Surroundings, seed: u64, place: Place, wrong: Wrong) -> Told {
    let _waits = Seeded::new(seed);
    // It outlives the runtime, and with that whoever uploads from it.
    let is_spooled = place == Place::Spool;
    let spooled = is_spooled.then(|| Spooled::new(wrong == Wrong::DiskLies));
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let run = Run::new(surroundings, seed, spooled.as_ref(), wrong);
        run.go().await
    })
}

impl<'s> Run<'s> {
    fn new(
        surroundings: &Surroundings,
        seed: u64,
        spooled: Option<&'s Spooled>,
        wrong: Wrong,
    ) -> Self {
        let mut random = Random::new(seed);
        let place = match spooled {
            None => Place::Store,
            Some(_) => Place::Spool,
        };
        let plan = Arc::new(Plan::new(&mut random, &surroundings.files, place));
        let gate = match wrong {
            Wrong::NobodyWaits => Gate::hasty(),
            Wrong::Nothing | Wrong::Lies | Wrong::DiskLies => Gate::default(),
        };
        let files = Arc::clone(&surroundings.files);
        let disk = spooled.map(|spooled| spooled.disk.clone());
        let backend = Backend::new(Arc::clone(&plan), files, gate.clone(), disk);
        let spool = spooled.map(|spooled| &spooled.spool);
        let (pipelines, store) = pipelines(surroundings, &plan, &gate, &backend, spool);
        if let Some(spooled) = spooled {
            spooled.upload(store, surroundings);
        }
        Self {
            seed,
            random,
            wrong,
            pipelines: Arc::new(pipelines),
            gate,
            backend,
            senders: plan.senders.iter().map(|_| Sending::Idle(0)).collect(),
            departures: plan.departures,
            plan,
            begun: Instant::now(),
            spooled,
            held: spooled.map(|spooled| spooled.disk.hold_syncs()),
        }
    }

    async fn go(mut self) -> Told {
        for step in 0.. {
            sleep(MOMENT).await;
            self.hear().await;
            let mut senders = self.senders.iter();
            if senders.all(|sender| matches!(sender, Sending::Over)) {
                break;
            }
            assert!(
                step < ENDLESS,
                "schedule {} does not end: {:#?}",
                self.seed,
                self.backend.book().log
            );
            let is_faulty = step < FAULTY;
            let choices = self.choices(is_faulty);
            let choice = self.random.pick(&choices);
            self.choose(choice, is_faulty).await;
        }
        let book = self.backend.book();
        Told {
            log: book.log.clone(),
            complaints: book.complaints.clone(),
            sum: book.sum,
            took: self.begun.elapsed(),
        }
    }

    /// What may happen now; what is likelier stands there more than once.
    fn choices(&self, is_faulty: bool) -> Vec<Choice> {
        let mut choices = vec![Choice::Pause];
        for (number, sending) in self.senders.iter().enumerate() {
            match sending {
                Sending::Idle(_) => choices.extend([Choice::Send(number); 3]),
                Sending::UnderWay(..) if is_faulty && self.departures > 0 => {
                    choices.push(Choice::Leave(number));
                }
                Sending::UnderWay(..) | Sending::Over => {}
            }
        }
        for waiting in self.gate.waiting() {
            choices.extend([Choice::Store(waiting.number); 4]);
        }
        for number in self.backend.waiting() {
            choices.extend([Choice::Backend(number); 4]);
        }
        if self.spooled.is_some() {
            choices.extend([Choice::Disk; 2]);
        }
        choices
    }

    async fn choose(&mut self, choice: Choice, is_faulty: bool) {
        match choice {
            Choice::Send(number) => self.send(number),
            Choice::Leave(number) => self.leave(number).await,
            Choice::Store(number) => self.answer(number, is_faulty),
            Choice::Disk => self.sync(is_faulty),
            Choice::Backend(number) => {
                use Verdict::{Accepted, Busy, Refused};
                let verdict = if is_faulty {
                    let verdicts = [Accepted, Accepted, Accepted, Accepted, Busy, Busy, Refused];
                    self.random.pick(&verdicts)
                } else {
                    Accepted
                };
                self.backend.answer(number, verdict);
            }
            Choice::Pause => {
                let pause = Duration::from_millis(self.random.pick(&PAUSES));
                self.backend.tell(format!("nothing for {pause:?}"));
                sleep(pause).await;
                if let Some(age) = self.plan.rule {
                    let expired = self.gate.expire(age);
                    self.backend.book().sum.expired += expired;
                }
            }
        }
    }

    /// Lets the disk of the spool do what it was asked.
    fn sync(&mut self, is_faulty: bool) {
        if let Some(spooled) = self.spooled {
            let fails = is_faulty && self.plan.has_faults && self.random.one_in(3);
            self.backend.tell(format!("the disk fails: {fails}"));
            self.held = Some(spooled.sync(fails, self.held.take()));
        }
    }

    fn send(&mut self, number: usize) {
        let Sending::Idle(times) = self.senders[number] else {
            return;
        };
        let Sender {
            tenant, request, ..
        } = &self.plan.senders[number];
        let mut metadata = HeaderMap::new();
        if self.plan.has_tenants {
            metadata.insert(TENANT, HeaderValue::from_static(tenant));
        }
        let client = Arc::new(Client::unknown().with_metadata(metadata));
        let (pipelines, request) = (Arc::clone(&self.pipelines), request.clone());
        // What was accepted of an earlier attempt is no answer to this one.
        self.backend.has_accepted(number);
        self.backend.tell(format!("sender {number} sends"));
        self.backend.book().sum.sent += 1;
        let sent = tokio::spawn(async move {
            let deadline = Instant::now() + PATIENCE;
            let trace = Trace::default();
            let sent = pipelines.consume(Signal::Traces, request, client, deadline, trace);
            sent.await
        });
        self.senders[number] = Sending::UnderWay(times + 1, sent);
    }

    /// As a receiver drops a request whose stream was reset.
    async fn leave(&mut self, number: usize) {
        let Sending::UnderWay(times, sent) = &mut self.senders[number] else {
            return;
        };
        sent.abort();
        let left = sent.await;
        assert!(left.is_err_and(|error| error.is_cancelled()));
        self.senders[number] = idle(*times);
        self.departures -= 1;
        self.backend.tell(format!("sender {number} goes away"));
        self.backend.book().sum.gone += 1;
    }

    /// Takes note of what senders were told.
    async fn hear(&mut self) {
        for (number, sending) in self.senders.iter_mut().enumerate() {
            let Sending::UnderWay(times, sent) = sending else {
                continue;
            };
            if !sent.is_finished() {
                continue;
            }
            let (told, next) = match sent.await.unwrap() {
                Ok(answer) => {
                    let is_true = self.backend.has_accepted(number) && answer.rejected().is_none();
                    let mut book = self.backend.book();
                    book.sum.accepted += 1;
                    if !is_true {
                        let told = format!("sender {number} is told what the backend did not say");
                        book.complaints.push(told);
                    }
                    ("OK", Sending::Over)
                }
                Err(refusal) if refusal.is_retryable() => ("later", idle(*times)),
                Err(_) => ("no", Sending::Over),
            };
            self.backend.tell(format!("sender {number} is told {told}"));
            *sending = next;
        }
    }

    /// Lets the store answer.
    fn answer(&mut self, number: u64, is_faulty: bool) {
        let ending = if self.wrong == Wrong::Lies && self.random.one_in(4) {
            Ending::Lie
        } else if is_faulty && self.plan.has_faults && self.random.one_in(2) {
            self.random.pick(&[
                Ending::Reset,
                Ending::Reset,
                Ending::ResetAfter,
                Ending::Hang,
                Ending::HangAfter,
                Ending::Conflict,
                Ending::Denied,
            ])
        } else {
            Ending::Done
        };
        let waiting = self.gate.waiting().into_iter();
        let waiting = waiting.filter(|waiting| waiting.number == number);
        for Waiting { action, key, .. } in waiting {
            self.backend.tell(format!("{action} {key}: {ending:?}"));
        }
        let mut book = self.backend.book();
        book.sum.asked += 1;
        book.sum.faults += usize::from(ending != Ending::Done);
        drop(book);
        self.gate.end(number, ending);
    }
}

/// What a sender does that has sent its request so many times and was not told OK.
fn idle(times: usize) -> Sending {
    if times < ATTEMPTS {
        Sending::Idle(times)
    } else {
        Sending::Over
    }
}
