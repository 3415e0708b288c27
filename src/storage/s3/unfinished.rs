//! Uploads in parts that nobody has finished.
//!
//! A process that is killed leaves its own. No listing of objects shows them, and they are paid for.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use object_store::aws::AmazonS3;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;

use super::xml::{elements, first, text};
use super::{ask, bucket};
use crate::storage::config::StoreConfig;
use crate::storage::location::{Cloud, Location};

/// How often they are looked for.
pub(in crate::storage) const EVERY: Duration = Duration::from_hours(6);

/// Whoever began so long ago goes on no more: what is uploaded to the artifact server has a limit of minutes.
/// By this machine's clock, which the store's is near: else it would refuse the signature of the question.
const OLD: Duration = Duration::from_hours(24);

/// A page has a thousand; a store that always says that there are more is not asked for ever.
const PAGES: usize = 100;

/// The uploads to a bucket.
pub(in crate::storage) struct Uploads {
    bucket: AmazonS3,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::storage) struct Upload {
    /// Of what.
    pub(in crate::storage) key: String,
    id: String,
    began: Timestamp,
}

impl Uploads {
    /// Those to the bucket of this store, if it is one on S3.
    pub(in crate::storage) fn to(config: &StoreConfig) -> Option<Self> {
        match Location::parse(&config.url) {
            Ok(Location::Bucket {
                cloud: Cloud::Aws,
                url,
                ..
            }) => Some(Self {
                bucket: bucket(&url, config).ok()?,
            }),
            _ => None,
        }
    }

    /// Those below `prefix` that have been there for a day, or why nobody knows.
    pub(in crate::storage) async fn old(&self, prefix: &Path) -> Result<Vec<Upload>, String> {
        let limit = Timestamp::now() - OLD;
        let mut found = Vec::new();
        let mut markers = [String::new(), String::new()];
        for _ in 0..PAGES {
            let [key, id] = &markers;
            let mut about = vec![("uploads", ""), ("prefix", prefix.as_ref())];
            if !key.is_empty() {
                about.extend([("key-marker", key.as_str()), ("upload-id-marker", id)]);
            }
            let (status, page) = ask(&self.bucket, &about).await?;
            match status {
                StatusCode::OK => {}
                StatusCode::FORBIDDEN => {
                    let permission = "s3:ListBucketMultipartUploads";
                    return Err(format!("that needs the permission {permission}"));
                }
                status => return Err(format!("it answers HTTP {status}")),
            }
            found.extend(uploads(&page).filter(|upload| upload.began < limit));
            let names = ["NextKeyMarker", "NextUploadIdMarker"];
            let next = names.map(|name| text(&page, name).unwrap_or_default());
            if first(&page, "IsTruncated") != Some("true") || next == markers {
                break;
            }
            markers = next;
        }
        Ok(found)
    }

    /// Gives one up; what is no more is none, too.
    pub(in crate::storage) async fn abort(&self, upload: &Upload) -> object_store::Result<()> {
        let key = Path::parse(&upload.key)?;
        match self.bucket.abort_multipart(&key, &upload.id).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            done => done,
        }
    }
}

/// The uploads on a page.
fn uploads(page: &str) -> impl Iterator<Item = Upload> {
    elements(page, "Upload").filter_map(|upload| {
        Some(Upload {
            key: text(upload, "Key")?,
            id: text(upload, "UploadId")?,
            began: first(upload, "Initiated")?.trim().parse().ok()?,
        })
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_read_as_the_store_writes_them() {
        let page = "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"x\"><Bucket>b</Bucket>\
            <KeyMarker></KeyMarker><UploadIdMarker/><IsTruncated>false</IsTruncated>\
            <Upload><Key>a&amp;b/c</Key><UploadId>one</UploadId><Initiator><ID>i</ID></Initiator>\
            <Initiated>2026-11-20T20:48:33.000Z</Initiated></Upload>\
            <Upload><Key>d</Key><UploadId>two</UploadId><Initiated>yesterday</Initiated></Upload>\
            <Upload><Key>e</Key></Upload></ListMultipartUploadsResult>";
        let found: Vec<_> = uploads(page).collect();
        let expected = Upload {
            key: "a&b/c".to_owned(),
            id: "one".to_owned(),
            began: "2026-11-20T20:48:33Z".parse().unwrap(),
        };
        assert_eq!(found, [expected]);
    }
}
