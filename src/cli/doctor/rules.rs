//! What a bucket deletes by itself.

use super::{Findings, Verdict};
use crate::storage::{
    Abandoned, LifecycleRule, LifecycleRules, StoreConfig, abandoned, lifecycle_rules,
};

/// Whether rules of the bucket delete what is still in use, or leave what nobody needs.
pub(super) async fn look(place: &str, config: &StoreConfig, findings: &mut Findings) {
    let is_bucket = config.url.contains("://")
        && !config.url.starts_with("memory:")
        && !config.url.starts_with("file:");
    if !is_bucket {
        return;
    }
    let (rules, prefix) = lifecycle_rules(config).await;
    let rules = match rules {
        LifecycleRules::Told(rules) => rules,
        LifecycleRules::Untold(why) => {
            let days = config.days_to_refresh();
            findings.tell(
                Verdict::Advice,
                format_args!(
                    "{place}: rules of the bucket were not looked at: {why}. See yourself: one that deletes \
                     old objects has to keep them as long as references are to work, plus {days} days \
                     (refresh: {:?}, and a day), and may not be about catalog/",
                    config.refresh
                ),
            );
            unfinished(place, config, None, findings).await;
            return;
        }
    };
    let rules: Vec<_> = rules.iter().filter(|rule| rule.covers(&prefix)).collect();
    let mut expiring = rules
        .iter()
        .filter_map(|rule| Some((rule, rule.expires_after?)))
        .peekable();
    if expiring.peek().is_none() {
        findings.tell(
            Verdict::Well,
            format_args!("{place}: no rule of the bucket deletes objects"),
        );
    }
    for (rule, after) in expiring {
        let (verdict, what) = judge(rule, config.days_to_keep(), &prefix);
        let name = &rule.id;
        findings.tell(
            verdict,
            format_args!("{place}: the rule \"{name}\" of the bucket deletes objects after {after} days: {what}"),
        );
    }
    let has_rule = rules.iter().any(|rule| rule.aborts_after.is_some());
    unfinished(place, config, Some(has_rule), findings).await;
}

/// Whether what a killed process has uploaded in part is cleared away. It is not known of each bucket whether it has
/// a rule for that.
async fn unfinished(
    place: &str,
    config: &StoreConfig,
    has_rule: Option<bool>,
    findings: &mut Findings,
) {
    if has_rule == Some(true) {
        let what = "a rule of the bucket ends unfinished uploads";
        findings.tell(Verdict::Well, format_args!("{place}: {what}"));
    } else if let Some(abandoned) = abandoned(config).await {
        let (verdict, what) = cleared(&abandoned, has_rule);
        findings.tell(verdict, format_args!("{place}: {what}"));
    }
}

/// What is to be said where no rule is known.
fn cleared(abandoned: &Abandoned, has_rule: Option<bool>) -> (Verdict, String) {
    let rule = match has_rule {
        Some(_) => "no rule of the bucket ends unfinished uploads",
        None => "whether a rule of the bucket ends unfinished uploads is not known",
    };
    match abandoned {
        Abandoned::GivenUp => {
            let what = format!(
                "{rule}, and none is needed while slimspan runs: it sees them, and gives up those of artifacts \
                 after a day, for which it needs s3:AbortMultipartUpload, too"
            );
            (Verdict::Well, what)
        }
        Abandoned::Unseen(why) => {
            let what = format!(
                "{rule}, and slimspan does not see them: {why}. Add one, after 7 days or less \
                 (AbortIncompleteMultipartUpload), or let slimspan list them (s3:ListBucketMultipartUploads) and \
                 give them up (s3:AbortMultipartUpload), so that what a killed process left is not paid for"
            );
            (Verdict::Advice, what)
        }
        Abandoned::Kept => {
            let what = format!(
                "{rule}, and Google keeps and bills them until one does: see that it has one \
                 (AbortIncompleteMultipartUpload, with an age of 1 day)"
            );
            (Verdict::Advice, what)
        }
        Abandoned::Discarded => {
            let what =
                "Azure discards unfinished uploads after a week by itself: that takes no rule";
            (Verdict::Well, what.to_owned())
        }
    }
}

/// What comes of a rule that deletes.
fn judge(rule: &LifecycleRule, days: u64, prefix: &str) -> (Verdict, String) {
    if rule.deletes_too_early(days, prefix).is_some() {
        let what = format!(
            "files that are still in use are gone, because they are stored again only after refresh. Make it \
             {days} days and more, as long as references are to work"
        );
        return (Verdict::Wrong, what);
    }
    if rule.covers(&format!("{prefix}catalog/")) {
        let what = "what is listed goes with them, catalog/ and what was deleted included. Let the rule be \
                    about the folders of tenants, or let slimspan gc delete instead of it";
        return (Verdict::Advice, what.to_owned());
    }
    let what = "references older than that lead nowhere";
    (Verdict::Advice, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_judged_by_what_it_deletes_when() {
        let rule = |prefix: &str, after| LifecycleRule {
            prefix: prefix.to_owned(),
            expires_after: Some(after),
            ..LifecycleRule::default()
        };
        for (prefix, after, verdict, told) in [
            ("", 1, Verdict::Wrong, "still in use"),
            ("media/", 2, Verdict::Advice, "catalog/"),
            ("media/default/", 1, Verdict::Wrong, "still in use"),
            ("media/default/", 90, Verdict::Advice, "lead nowhere"),
            ("media/catalog/", 1, Verdict::Advice, "catalog/"),
        ] {
            let (found, what) = judge(&rule(prefix, after), 2, "media/");
            assert_eq!(found, verdict, "{prefix} {after}");
            assert!(what.contains(told), "{what}");
        }
    }

    /// A rule that does nothing is no advice, and one that nothing else does is.
    #[test]
    fn a_rule_for_unfinished_uploads_is_advised_where_nothing_else_ends_them() {
        let unseen = || Abandoned::Unseen("it answers HTTP 501".to_owned());
        for (abandoned, has_rule, verdict, told) in [
            (
                Abandoned::GivenUp,
                Some(false),
                Verdict::Well,
                "after a day",
            ),
            (
                Abandoned::GivenUp,
                None,
                Verdict::Well,
                "s3:AbortMultipartUpload",
            ),
            (unseen(), Some(false), Verdict::Advice, "HTTP 501. Add one"),
            (unseen(), None, Verdict::Advice, "is not known"),
            (Abandoned::Kept, None, Verdict::Advice, "an age of 1 day"),
            (
                Abandoned::Discarded,
                None,
                Verdict::Well,
                "after a week by itself",
            ),
        ] {
            let (found, what) = cleared(&abandoned, has_rule);
            assert_eq!(found, verdict, "{what}");
            assert!(what.contains(told), "{what}");
        }
    }
}
