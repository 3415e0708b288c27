use crate::telemetry::Counters;

/// Something that is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The component, as the configuration names it.
    pub component: String,
    /// What is the matter, without a word of what others said about it: they may quote what was sent.
    pub problem: &'static str,
}

/// What is not well now, as far as it was seen lately.
pub fn troubles(counters: &Counters) -> Vec<Trouble> {
    let sight = counters.look();
    let mut troubles = Vec::new();
    for store in &sight.stores {
        let component = format!("extensions.{}", store.store);
        if store.failing {
            troubles.push(Trouble {
                component: component.clone(),
                problem: "the store failed lately and is hardly asked any more; the log says why",
            });
        }
        if store.spool.is_some_and(|spool| spool.is_full) {
            troubles.push(Trouble {
                component: format!("{component}.spool"),
                problem: "the spool is full; raise max_bytes or mend the store",
            });
        }
    }
    for exporter in counters.exporters() {
        if exporter.is_failing() {
            troubles.push(Trouble {
                component: format!("exporters.{}", exporter.exporter),
                problem: "the last attempts to reach the backend failed; the log says why",
            });
        }
    }
    for queue in &sight.queues {
        if queue.is_full || queue.size >= queue.capacity {
            troubles.push(Trouble {
                component: format!("exporters.{}.sending_queue", queue.exporter),
                problem: "the queue is full",
            });
        }
    }
    troubles
}
