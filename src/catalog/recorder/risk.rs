//! What others may delete, because they do not know yet what refers to it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// What is to be told where the oldest of what waits was recorded `since`: others may delete files to which it refers,
/// because they do not know of it, where it does not come into the bucket `within` that time.
pub(super) fn at_risk(since: Timestamp, now: Timestamp, within: Duration) -> String {
    let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
    if now.duration_since(since) < within / 2 {
        return String::new();
    }
    let until = since.checked_add(within).unwrap_or(Timestamp::MAX);
    format!(
        ". Some of it waits since {since:.0}. From {until:.0} on, whoever deletes a trace or runs slimspan gc may delete \
         files to which it refers: do neither until it is in the store"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_delete_is_told_in_time() {
        let since = Timestamp::UNIX_EPOCH;
        let day = Duration::from_hours(24);
        let after = |hours| at_risk(since, since + SignedDuration::from_hours(hours), day);
        assert_eq!(after(11), "");
        for hours in [12, 30] {
            let told = after(hours);
            assert!(told.contains("From 1970-01-02T00:00:00Z on"), "{told}");
        }
        assert_eq!(at_risk(since, since, Duration::MAX), "");
    }
}
