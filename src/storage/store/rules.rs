//! Rules of the bucket that delete what is to stay.

use super::Store;
use crate::storage::config::StoreConfig;
use crate::storage::s3::{LifecycleRules, lifecycle_rules};

impl Store {
    /// Looks in the background for such rules and warns of each. In the log the store is called `name`. What a
    /// bucket does not tell, and that there are other rules, `slimspan doctor` says.
    pub fn look_at_rules(&self, name: String) {
        let common = &self.shared.common;
        if common.folder.is_some() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let config = common.config.clone();
        runtime.spawn(async move { look(&name, &config).await });
    }
}

async fn look(name: &str, config: &StoreConfig) {
    let (rules, prefix) = lifecycle_rules(config).await;
    let rules = match rules {
        LifecycleRules::Told(rules) => rules,
        LifecycleRules::Untold(why) => {
            tracing::debug!("{name}: rules of the bucket were not looked at: {why}");
            return;
        }
    };
    let days = config.days_to_keep();
    for rule in &rules {
        let Some(after) = rule.deletes_too_early(days, &prefix) else {
            continue;
        };
        tracing::warn!(
            "{name}: the rule \"{}\" of the bucket deletes objects after {after} days, and with them files to \
             which references lead: make it {days} days and more, for what is in use is stored again after \
             refresh ({:?}), and catalog.retention may keep files for longer",
            rule.id,
            config.refresh
        );
    }
}
