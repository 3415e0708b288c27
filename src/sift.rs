//! What of a request can go on, and how: nobody loses a span for the one beside it.
//!
//! Backends refuse a request as a whole for a single item that they cannot read. So what no backend
//! can read is taken out and told to the sender, and what some cannot read goes on apart from the
//! rest.

use std::ops::Range;

use bytes::Bytes;
use slimspan_proto::{CheckError, Checked, Items, Malformed, Signal, Verdict, check, count};

use crate::admission::{Budget, Lease};
use crate::answer::Answer;
use crate::compute::{self, Panicked};
use crate::refusal::Refusal;

/// Larger requests are read on threads for such work: a mebibyte takes up to a millisecond.
const INLINE: usize = 256 * 1024;

/// The entries that a request may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryLimit {
    /// As many.
    pub most: usize,
    /// Where that is configured.
    pub key: String,
}

impl EntryLimit {
    /// The request has more.
    pub fn exceeded(&self) -> Refusal {
        Refusal::too_many(self.most, &self.key)
    }
}

/// A request without what no backend can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sifted {
    /// The same bytes as before where nothing was taken out.
    pub request: Bytes,
    /// How many items there were: spans, log records, data points of metrics, or profiles.
    pub count: usize,
    /// What was taken out, if anything was.
    pub rejected: Option<Rejected>,
    /// Which items of `request` go on apart from the others. Those of one range have the same
    /// oddity: that of a resource or scope around them.
    pub isolated: Vec<Range<usize>>,
    /// Keys and values that are indices of a dictionary which it does not have.
    pub indices: usize,
}

/// What was taken out of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// As many items; data points of metrics.
    pub count: usize,
    /// Why, without a word of what is in them.
    pub reason: String,
}

impl From<Rejected> for Answer {
    fn from(rejected: Rejected) -> Self {
        Self::rejecting(rejected.count, &rejected.reason)
    }
}

/// A request of which nothing goes on.
#[derive(Debug, PartialEq)]
pub struct Unfit {
    /// How many items there were.
    pub count: usize,
    /// What its sender is told.
    pub refusal: Refusal,
}

/// Sifts a request where that does no harm to other requests. What is left of one from which something
/// is taken out is a copy, which is charged to the `budget` before it is made.
pub async fn sift(
    signal: Signal,
    request: &Bytes,
    limit: &EntryLimit,
    budget: &Budget,
) -> Result<Sifted, Unfit> {
    let refuse = |refusal| Unfit {
        count: count(signal, request),
        refusal,
    };
    let most = limit.most;
    let checked = beside(request, move |request| check(signal, request, most)).await;
    let checked = checked.map_err(|error| {
        refuse(match error {
            CheckError::Malformed(malformed) => malformed.into(),
            CheckError::TooMany => limit.exceeded(),
        })
    })?;
    if checked.faults.is_empty() {
        return Ok(Sifted {
            request: request.clone(),
            count: checked.count,
            rejected: None,
            isolated: Vec::new(),
            indices: checked.indices,
        });
    }
    let mut lease = None;
    if takes_out(&checked) {
        let mut copy = budget.lease_for_copy();
        copy.charge_ahead(request.len()).await.map_err(refuse)?;
        lease = Some(copy);
    }
    let sifted = beside(request, move |request| {
        take_out(signal, request, &checked, lease)
    });
    sifted.await.map_err(|malformed| refuse(malformed.into()))
}

/// Whether something may be taken out, or has to go with nothing in it.
fn takes_out(checked: &Checked) -> bool {
    let mut faults = checked.faults.iter();
    faults.any(|fault| fault.items.is_empty() || matches!(fault.verdict, Verdict::Rejected(_)))
}

/// Reads a request where that does no harm to others.
async fn beside<T: Send + 'static>(
    request: &Bytes,
    read: impl FnOnce(&Bytes) -> T + Send + 'static,
) -> T {
    if request.len() <= INLINE {
        return read(request);
    }
    let shared = request.clone();
    let done = compute::run(move || read(&shared)).await;
    done.unwrap_or_else(Panicked::go_on)
}

/// Takes out what is rejected, and finds what is isolated in what is left. The lease is that of the
/// copy which is made for it.
fn take_out(
    signal: Signal,
    request: &Bytes,
    checked: &Checked,
    lease: Option<Lease>,
) -> Result<Sifted, Malformed> {
    let items = Items::read(signal, request)?;
    let mut rejected = vec![false; items.len()];
    let mut wrong = None;
    let mut first: Option<(usize, Malformed)> = None;
    let mut is_bare = false;
    for fault in &checked.faults {
        is_bare |= fault.items.is_empty();
        if let Verdict::Rejected(malformed) = fault.verdict {
            rejected
                .get_mut(fault.items.clone())
                .unwrap_or_default()
                .fill(true);
            wrong = wrong.or(Some(malformed));
            // Nothing is lost with a resource that holds nothing.
            let is_earlier = first.is_none_or(|(item, _)| fault.items.start < item);
            if is_earlier && !fault.items.is_empty() {
                first = Some((fault.items.start, malformed));
            }
        }
    }
    if let Some(malformed) = first.map(|(_, malformed)| malformed).or(wrong)
        && rejected.iter().all(|is_rejected| *is_rejected)
    {
        // OTLP calls it a partial success where a part is accepted.
        return Err(malformed);
    }
    let is_rejected = |index: usize| rejected.get(index).is_some_and(|is_rejected| *is_rejected);
    let lost = || (0..items.len()).filter(|index| is_rejected(*index));
    let what = match signal {
        Signal::Traces => "spans",
        Signal::Logs => "log records",
        Signal::Metrics => "metrics",
        Signal::Profiles => "profiles",
    };
    let told = first.map(|(item, malformed)| Rejected {
        count: lost().map(|index| items.weight(index)).sum(),
        reason: format!(
            "slimspan rejected {} of {} {what}, the first of them number {}: {}",
            lost().count(),
            items.len(),
            item + 1,
            malformed.reason,
        ),
    });
    // A resource that is not sound has to go also where it holds nothing.
    let is_changed = wrong.is_some() || is_bare && !items.is_empty();
    Ok(Sifted {
        request: if is_changed {
            let carved = items.carve(|index| !is_rejected(index));
            match lease {
                Some(lease) => lease.hold(carved),
                None => carved,
            }
        } else {
            request.clone()
        },
        count: checked.count,
        rejected: told,
        isolated: isolated(checked, &rejected),
        indices: checked.indices,
    })
}

/// The items that go apart, by their indices among those that are left.
fn isolated(checked: &Checked, rejected: &[bool]) -> Vec<Range<usize>> {
    let odd = checked.faults.iter();
    let odd = odd.filter(|fault| fault.verdict == Verdict::Isolated);
    let mut odd: Vec<_> = odd.map(|fault| fault.items.clone()).collect();
    // Outer ranges first: what is in one goes with it.
    odd.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut isolated = Vec::new();
    let (mut seen, mut left) = (0, 0);
    let mut left_until = |index: usize| {
        let more = rejected.get(seen..index).unwrap_or_default();
        left += more.iter().filter(|is_rejected| !**is_rejected).count();
        seen = seen.max(index);
        left
    };
    let mut end = 0;
    for range in odd {
        if range.end <= end {
            continue;
        }
        end = range.end;
        let range = left_until(range.start)..left_until(range.end);
        if !range.is_empty() {
            isolated.push(range);
        }
    }
    isolated
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::admission::Limits;

    const NO_LIMIT: usize = usize::MAX;

    fn up_to(most: usize) -> EntryLimit {
        let key = "receivers.otlp.protocols.grpc.max_items".to_owned();
        EntryLimit { most, key }
    }

    fn field(number: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        prost::encode_length_delimiter(body.len(), &mut out).unwrap();
        out.extend_from_slice(body);
        out
    }

    fn spans(spans: &[&[u8]]) -> Vec<u8> {
        let spans: Vec<_> = spans.iter().map(|span| field(2, span)).collect();
        field(2, &spans.concat())
    }

    const BROKEN: &[u8] = &[0x0f];
    const ODD: &[u8] = &[0x2a, 1, 0xff];

    fn sifted(request: Vec<u8>) -> Sifted {
        sift_now(Signal::Traces, &request.into(), &up_to(NO_LIMIT)).unwrap()
    }

    fn budget() -> Budget {
        Budget::new(Limits {
            limit_mib: 128,
            spike_mib: 25,
        })
    }

    fn sift_now(signal: Signal, request: &Bytes, limit: &EntryLimit) -> Result<Sifted, Unfit> {
        let budget = budget();
        let sifting = sift(signal, request, limit, &budget);
        sifting.now_or_never().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_copied_is_charged_before_it_is() {
        let budget = budget();
        let large = field(5, &vec![b'a'; 65_536]);
        let limit = up_to(NO_LIMIT);
        let sound = Bytes::from(field(1, &spans(&[&large])));
        let odd = Bytes::from(field(1, &spans(&[&large, ODD])));
        for request in [sound, odd] {
            let sifted = sift(Signal::Traces, &request, &limit, &budget)
                .await
                .unwrap();
            assert_eq!(sifted.request, request);
            assert_eq!(budget.in_flight(), 0, "it is the same bytes");
        }
        // Small ones are read here, and others on a thread for such work.
        for times in [1, 9] {
            let spans = spans(&[[&large[..]].repeat(times), vec![BROKEN]].concat());
            let request = Bytes::from(field(1, &spans));
            let sifted = sift(Signal::Traces, &request, &limit, &budget)
                .await
                .unwrap();
            assert_eq!(sifted.rejected.unwrap().count, 1);
            let part = sifted.request.slice(..1);
            drop(sifted.request);
            let charged = budget.in_flight();
            let expected = request.len() as u64..request.len() as u64 + 1024;
            assert!(expected.contains(&charged), "{charged}");
            drop(part);
            assert_eq!(budget.in_flight(), 0);

            let mut all = budget.lease_for_more();
            let limit_of_all = usize::try_from(budget.limit()).unwrap();
            all.charge(limit_of_all / 2).await.unwrap();
            let unfit = sift(Signal::Traces, &request, &limit, &budget).await;
            let unfit = unfit.unwrap_err();
            assert_eq!(unfit.count, times + 1);
            assert!(unfit.refusal.is_retryable());
            assert!(unfit.refusal.to_string().contains("memory_limiter"));
        }
    }

    #[test]
    fn what_is_sound_stays_the_same_bytes() {
        let request = Bytes::from(field(1, &spans(&[b"", b""])));
        let sifted = sift_now(Signal::Traces, &request, &up_to(NO_LIMIT)).unwrap();
        assert_eq!(sifted.request.as_ptr(), request.as_ptr());
        assert_eq!((sifted.count, sifted.rejected), (2, None));
        assert!(sifted.isolated.is_empty());
    }

    #[test]
    fn odd_items_are_counted_among_those_that_are_left() {
        let odd_resource = field(1, &field(1, &field(1, b"\xff")));
        let sifted = sifted(
            [
                field(1, &spans(&[b"", BROKEN, ODD, b""])),
                field(1, &[odd_resource, spans(&[b"", BROKEN, ODD])].concat()),
                field(1, &spans(&[BROKEN, b"", ODD])),
            ]
            .concat(),
        );
        assert_eq!(sifted.isolated, [1..2, 3..5, 6..7]);
        assert_eq!(sifted.count, 10);
        let rejected = sifted.rejected.unwrap();
        assert_eq!(rejected.count, 3);
        assert_eq!(
            rejected.reason,
            "slimspan rejected 3 of 10 spans, the first of them number 2: \
             wire type 7 does not exist"
        );
        assert_eq!(count(Signal::Traces, &sifted.request), 7);
        assert_eq!(
            check(Signal::Traces, &sifted.request, NO_LIMIT)
                .unwrap()
                .faults
                .len(),
            4,
            "the odd resource and three odd spans"
        );
    }

    #[test]
    fn what_is_wrong_above_items_is_told_by_those_below() {
        let sound = field(1, &spans(&[b""]));
        // A varint, where a scope stands or a span.
        let varint = [2 << 3, 1];
        let of_resource = field(1, &[&varint[..], &spans(&[b"", b""])].concat());
        let of_scope = field(1, &field(2, &[&varint[..], &field(2, b"")].concat()));
        for (wrong, rejected) in [(of_resource, 2), (of_scope, 1)] {
            let sifted = sifted([&sound[..], &wrong, &sound].concat());
            assert_eq!(sifted.request, sound.repeat(2));
            let told = sifted.rejected.unwrap();
            assert_eq!(told.count, rejected);
            let reason = format!("rejected {rejected} of {} spans, the first", rejected + 2);
            assert!(told.reason.contains(&reason), "{}", told.reason);
            assert!(told.reason.contains("number 2"), "{}", told.reason);
        }
    }

    #[test]
    fn nothing_is_told_of_a_wrong_resource_that_holds_nothing() {
        let wrong = field(1, &field(1, BROKEN));
        let sound = field(1, &spans(&[b""]));
        let sifted = sifted([&wrong[..], &sound].concat());
        assert_eq!(sifted.request, sound);
        assert_eq!(sifted.rejected, None);
        // What is wrong with another is told, and not what is wrong with this.
        let broken = field(1, &spans(&[b"", BROKEN]));
        let sifted = self::sifted([&wrong[..], &broken].concat());
        assert_eq!(sifted.request, sound);
        let told = sifted.rejected.unwrap();
        assert_eq!(
            (told.count, told.reason.as_str()),
            (
                1,
                "slimspan rejected 1 of 2 spans, the first of them number 2: wire type 7 does not \
                 exist"
            )
        );
        // Alone, it makes a request that nobody can read.
        assert!(sift_now(Signal::Traces, &wrong.into(), &up_to(NO_LIMIT)).is_err());
    }

    #[test]
    fn nothing_sound_is_no_partial_success() {
        let request = field(1, &spans(&[BROKEN, BROKEN]));
        let unfit = sift_now(Signal::Traces, &request.into(), &up_to(NO_LIMIT)).unwrap_err();
        assert_eq!(unfit.count, 2);
        assert!(!unfit.refusal.is_retryable());
    }

    #[test]
    fn an_odd_resource_goes_with_what_it_holds_or_alone() {
        let odd = field(3, b"\xff");
        let sound = field(1, &spans(&[b""]));
        let sifted = sifted([field(1, &odd), sound.clone()].concat());
        assert_eq!(sifted.request, sound);
        assert!(sifted.isolated.is_empty());
        // Beside nothing, it harms nobody.
        let alone = field(1, &odd);
        assert_eq!(self::sifted(alone.clone()).request, alone);
    }

    #[test]
    fn too_many_are_counted_and_refused() {
        let request = field(1, &spans(&[&b""[..]; 10]));
        let unfit = sift_now(Signal::Traces, &request.into(), &up_to(11)).unwrap_err();
        assert_eq!(unfit.count, 10);
        assert!(
            unfit
                .refusal
                .to_string()
                .contains("protocols.grpc.max_items")
        );
        assert!(!unfit.refusal.is_retryable());
    }
}
