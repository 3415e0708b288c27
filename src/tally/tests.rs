use super::*;
use crate::refusal::Culprit;
use crate::telemetry::Counters;

/// Three spans.
const REQUEST: Bytes = Bytes::from_static(&[0x0a, 8, 0x12, 6, 0x12, 0, 0x12, 0, 0x12, 0]);

#[test]
fn every_item_has_one_end() {
    let counters = Arc::new(Counters::default());
    let tallies = &counters.items;
    let begin = || {
        let mut under_way = tallies.begin(Signal::Traces, &REQUEST, 0);
        under_way.counted(3);
        under_way
    };
    let ended = |under_way: UnderWay<'_>, outcome| {
        under_way.ended(&outcome, Ticket::new(Arc::clone(&counters), Signal::Traces));
    };
    ended(begin(), Ok(Answer::success()));
    ended(begin(), Ok(Answer::rejecting(1, "one")));
    ended(begin(), Ok(Answer::rejecting(99, "more than there were")));
    ended(
        begin(),
        Err(Refusal::unavailable(Culprit::Backend, "later")),
    );
    drop(begin());
    let cut_off = begin();
    // Its sender went away before it was read.
    drop(tallies.begin(Signal::Traces, &REQUEST, 0));
    assert_eq!(
        tallies.of(Signal::Traces).to_string(),
        "received 21 = delivered 5 + rejected 4 + refused 12 + queued 0"
    );
    ended(cut_off, Ok(Answer::success()));
    let lines: Vec<_> = tallies.lines().collect();
    assert_eq!(
        lines,
        [
            "traces: received 21 = delivered 8 + rejected 4 + refused 9 + queued 0",
            "metrics: received 0 = delivered 0 + rejected 0 + refused 0 + queued 0",
            "logs: received 0 = delivered 0 + rejected 0 + refused 0 + queued 0",
            "profiles: received 0 = delivered 0 + rejected 0 + refused 0 + queued 0",
        ]
    );
}

/// What could not even be read has an end like everything else.
#[test]
fn items_that_are_in_no_message_count_too() {
    let counters = Arc::new(Counters::default());
    let told = |line: &str| {
        let traces = counters.items.of(Signal::Traces);
        assert_eq!(traces.to_string(), line);
    };
    let mut under_way = counters.items.begin(Signal::Traces, &REQUEST, 2);
    under_way.counted(3);
    let ticket = Ticket::new(Arc::clone(&counters), Signal::Traces);
    under_way.ended(&Ok(Answer::rejecting(2, "unread")), ticket);
    told("received 5 = delivered 3 + rejected 2 + refused 0 + queued 0");
    drop(counters.items.begin(Signal::Traces, &REQUEST, 2));
    told("received 10 = delivered 3 + rejected 2 + refused 5 + queued 0");
}

/// Two queues take a request of three items, of which its sender was told that one is rejected.
#[test]
fn what_any_queue_holds_is_not_delivered_yet() {
    let counters = Arc::new(Counters::default());
    let told = |line: &str| {
        let traces = counters.items.of(Signal::Traces);
        assert_eq!(traces.to_string(), line);
    };
    for (rejected, last) in [
        (
            &[][..],
            "received 3 = delivered 2 + rejected 1 + refused 0 + queued 0",
        ),
        (
            &[1, 2],
            "received 6 = delivered 2 + rejected 4 + refused 0 + queued 0",
        ),
    ] {
        let mut under_way = counters.items.begin(Signal::Traces, &REQUEST, 0);
        under_way.counted(3);
        let ticket = Ticket::new(Arc::clone(&counters), Signal::Traces);
        ticket.queue();
        let queues = [Arc::clone(&ticket), Arc::clone(&ticket)];
        under_way.ended(&Ok(Answer::rejecting(1, "one")), ticket);
        for queue in queues {
            assert!(
                counters
                    .items
                    .of(Signal::Traces)
                    .to_string()
                    .ends_with("queued 2")
            );
            for items in rejected {
                queue.reject(*items);
            }
        }
        told(last);
    }
    let found = Ticket::found(Arc::clone(&counters), Signal::Traces, 5, &[]);
    told("received 11 = delivered 2 + rejected 4 + refused 0 + queued 5");
    drop(found);
    told("received 11 = delivered 7 + rejected 4 + refused 0 + queued 0");
}

/// One collector leaves requests in a queue on disk, and the next one finds them there.
#[test]
fn what_one_collector_leaves_and_another_finds_is_queued_throughout() {
    let counters = Arc::new(Counters::default());
    let told = |line: &str| {
        let traces = counters.items.of(Signal::Traces);
        assert_eq!(traces.to_string(), line);
    };
    let found = |items| Ticket::found(Arc::clone(&counters), Signal::Traces, items, &[]);
    let before: [Tickets; 2] = [found(3).into(), found(2).into()];
    told("received 5 = delivered 0 + rejected 0 + refused 0 + queued 5");
    for tickets in before {
        tickets.leave(&[]);
    }
    told("received 5 = delivered 0 + rejected 0 + refused 0 + queued 5");
    // One of another life, too.
    let after = [found(3), found(2), found(1)];
    told("received 6 = delivered 0 + rejected 0 + refused 0 + queued 6");
    drop(after);
    told("received 6 = delivered 6 + rejected 0 + refused 0 + queued 0");
}

#[test]
fn what_is_rejected_of_several_requests_is_rejected_once() {
    let counters = Arc::new(Counters::default());
    let tickets: Vec<_> = (0..3)
        .map(|_| Ticket::found(Arc::clone(&counters), Signal::Traces, 3, &[]))
        .collect();
    let together = Tickets::of(tickets.into_iter().map(|ticket| (ticket, 3)));
    together.reject(4);
    drop(together);
    assert_eq!(
        counters.items.of(Signal::Traces).to_string(),
        "received 9 = delivered 5 + rejected 4 + refused 0 + queued 0"
    );
}

/// One exporter refuses what another one's queue has taken: its sender sends it again.
#[test]
fn what_was_refused_is_not_queued() {
    let counters = Arc::new(Counters::default());
    let mut under_way = counters.items.begin(Signal::Traces, &REQUEST, 0);
    under_way.counted(3);
    let ticket = Ticket::new(Arc::clone(&counters), Signal::Traces);
    ticket.queue();
    let refused = Err(Refusal::unavailable(Culprit::Backend, "later"));
    under_way.ended(&refused, Arc::clone(&ticket));
    ticket.reject(3);
    drop(ticket);
    assert_eq!(
        counters.items.of(Signal::Traces).to_string(),
        "received 3 = delivered 0 + rejected 0 + refused 3 + queued 0"
    );
}

/// What is said of a tenant's traces.
fn of(counters: &Counters, tenant: &str) -> String {
    let tenant = counters.tenant(tenant);
    tenant.items.of(Signal::Traces).to_string()
}

/// So many items each.
fn shares(counters: &Counters, tenants: &[(&str, usize)]) -> Vec<Share> {
    let share =
        |(name, items): &(&str, usize)| Share::of(counters.tenant(name), Signal::Traces, *items);
    tenants.iter().map(share).collect()
}

/// A request of three items, of which acme has one and beta the other, and one is nobody's.
#[test]
fn every_item_of_a_tenant_has_one_end() {
    let counters = Arc::new(Counters::default());
    let mut begun = Vec::new();
    for _ in 0..5 {
        let ticket = Ticket::new(Arc::clone(&counters), Signal::Traces);
        let under_way = counters.items.begin(Signal::Traces, &REQUEST, 0);
        let mut under_way = under_way.with(&ticket);
        under_way.counted(3);
        let tickets = Tickets::from(Arc::clone(&ticket));
        tickets.belong_to(shares(&counters, &[("acme", 1), ("beta", 1)]));
        // Another pipeline comes to something else.
        tickets.belong_to(shares(&counters, &[("gamma", 2)]));
        begun.push((under_way, ticket));
    }
    let acme = counters.tenant("acme");
    assert_eq!(acme.items.of(Signal::Traces).read().under_way, 5);
    let outcomes = [
        Ok(Answer::rejecting(1, "nobody's")),
        Ok(Answer::rejecting(2, "and one that the backend rejects")),
        Ok(Answer::rejecting(99, "more than there were")),
        Err(Refusal::unavailable(Culprit::Backend, "later")),
    ];
    let mut begun = begun.into_iter();
    for (outcome, (under_way, ticket)) in outcomes.iter().zip(&mut begun) {
        under_way.ended(outcome, ticket);
    }
    // The sender of the last one goes away.
    drop(begun);
    assert_eq!(
        of(&counters, "acme"),
        "received 5 = delivered 1 + rejected 2 + refused 2 + queued 0"
    );
    assert_eq!(
        of(&counters, "beta"),
        "received 5 = delivered 2 + rejected 1 + refused 2 + queued 0"
    );
    assert_eq!(
        of(&counters, "gamma"),
        "received 0 = delivered 0 + rejected 0 + refused 0 + queued 0"
    );
    assert_eq!(
        counters.items.of(Signal::Traces).to_string(),
        "received 15 = delivered 3 + rejected 6 + refused 6 + queued 0"
    );
}

/// So many items of each tenant.
type OfEach<'t> = &'t [(&'t str, usize)];

/// A queue on disk has requests of one tenant and of two, and one collector leaves them to the next.
#[test]
fn what_waits_is_queued_for_its_tenants_throughout() {
    let counters = Arc::new(Counters::default());
    let told = |acme: &str, beta: &str| {
        assert_eq!(of(&counters, "acme"), acme);
        assert_eq!(of(&counters, "beta"), beta);
    };
    let both = ["acme".to_owned(), "beta".to_owned()];
    let owners: [(&[String], OfEach); 3] = [
        (&both[..1], &[("acme", 3)]),
        (&both, &[("acme", 1), ("beta", 2)]),
        (&both, &[("acme", 2), ("beta", 1)]),
    ];
    for (tenants, of_each) in owners {
        let ticket = Ticket::new(Arc::clone(&counters), Signal::Traces);
        let under_way = counters.items.begin(Signal::Traces, &REQUEST, 0);
        let mut under_way = under_way.with(&ticket);
        under_way.counted(3);
        let tickets = Tickets::from(Arc::clone(&ticket));
        tickets.belong_to(shares(&counters, of_each));
        tickets.queue();
        under_way.ended(&Ok(Answer::success()), ticket);
        tickets.leave(tenants);
    }
    told(
        "received 6 = delivered 0 + rejected 0 + refused 0 + queued 6",
        "received 3 = delivered 0 + rejected 0 + refused 0 + queued 3",
    );
    let found = |tenants: &[String]| {
        Tickets::from(Ticket::found(
            Arc::clone(&counters),
            Signal::Traces,
            3,
            tenants,
        ))
    };
    let waiting = owners.map(|(tenants, _)| found(tenants));
    told(
        "received 6 = delivered 0 + rejected 0 + refused 0 + queued 6",
        "received 3 = delivered 0 + rejected 0 + refused 0 + queued 3",
    );
    // Those of an earlier process: how many are whose of several tenants, nobody knows.
    let earlier = [found(&both[1..]), found(&both)];
    for tickets in &waiting {
        tickets.reject(1);
    }
    drop((waiting, earlier));
    told(
        "received 6 = delivered 4 + rejected 2 + refused 0 + queued 0",
        "received 6 = delivered 5 + rejected 1 + refused 0 + queued 0",
    );
    assert_eq!(
        counters.items.of(Signal::Traces).to_string(),
        "received 15 = delivered 12 + rejected 3 + refused 0 + queued 0"
    );
}

/// Pipelines of one request see other tenants in it, or none. Whose it is the first one says; beside it in the queue
/// of another one stands what that one says.
#[test]
fn what_waits_as_somebody_elses_is_queued_for_its_tenants_until_it_is_delivered() {
    let counters = Arc::new(Counters::default());
    let told = |acme: &str, beta: &str| {
        assert_eq!(of(&counters, "acme"), acme);
        assert_eq!(of(&counters, "beta"), beta);
    };
    let gamma = ["gamma".to_owned()];
    let beside: [&[String]; 2] = [&gamma, &[]];
    for tenants in beside {
        let ticket = Ticket::new(Arc::clone(&counters), Signal::Traces);
        let under_way = counters.items.begin(Signal::Traces, &REQUEST, 0);
        let mut under_way = under_way.with(&ticket);
        under_way.counted(3);
        let tickets = Tickets::from(Arc::clone(&ticket));
        tickets.belong_to(shares(&counters, &[("acme", 1), ("beta", 2)]));
        tickets.queue();
        under_way.ended(&Ok(Answer::success()), ticket);
        tickets.leave(tenants);
    }
    let found = |tenants: &[String]| {
        let counters = Arc::clone(&counters);
        Tickets::from(Ticket::found(counters, Signal::Traces, 3, tenants))
    };
    // Several reloads, in which nothing is delivered.
    for _ in 0..2 {
        let waiting = beside.map(found);
        told(
            "received 2 = delivered 0 + rejected 0 + refused 0 + queued 2",
            "received 4 = delivered 0 + rejected 0 + refused 0 + queued 4",
        );
        for (tickets, tenants) in waiting.iter().zip(beside) {
            tickets.leave(tenants);
        }
    }
    drop(beside.map(found));
    told(
        "received 2 = delivered 2 + rejected 0 + refused 0 + queued 0",
        "received 4 = delivered 4 + rejected 0 + refused 0 + queued 0",
    );
    assert_eq!(
        of(&counters, "gamma"),
        "received 0 = delivered 0 + rejected 0 + refused 0 + queued 0"
    );
    assert_eq!(
        counters.items.of(Signal::Traces).to_string(),
        "received 6 = delivered 6 + rejected 0 + refused 0 + queued 0"
    );
}
