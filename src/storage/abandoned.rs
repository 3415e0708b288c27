//! What becomes of an upload in parts that nobody finishes: of which kinds of stores slimspan, a rule or the store
//! itself clears it away.

use super::config::StoreConfig;
use super::location::{Cloud, Location};
use super::s3::Uploads;

/// Who clears away such an upload to a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Abandoned {
    /// slimspan, which sees it and gives it up after a day, as long as it runs.
    GivenUp,
    /// Only a rule of the bucket: slimspan would, if it were told of it, and this is why it is not.
    Unseen(String),
    /// Only a rule of the bucket: on Google the client makes uploads of the XML API, which have no end of their own.
    Kept,
    /// The store: Azure discards blocks that were not committed a week after the last one came.
    Discarded,
}

/// The same for the bucket of a store, if it is one. S3 is asked what it tells of such uploads.
pub async fn abandoned(config: &StoreConfig) -> Option<Abandoned> {
    let Ok(Location::Bucket { cloud, prefix, .. }) = Location::parse(&config.url) else {
        return None;
    };
    let seen = match cloud {
        Cloud::Azure => return Some(Abandoned::Discarded),
        Cloud::Google => return Some(Abandoned::Kept),
        Cloud::Aws => Uploads::to(config)?.list(&prefix).await,
    };
    Some(match seen {
        Ok(_) => Abandoned::GivenUp,
        Err(why) => Abandoned::Unseen(why),
    })
}
