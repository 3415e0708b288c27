//! Uploads in parts that nobody has finished.
//!
//! A process that is killed leaves its own. No listing of objects shows them, and they are paid for.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use object_store::multipart::MultipartStore as _;
use object_store::path::Path;

use super::Asked;
use super::xml::{elements, first, text};
use crate::storage::config::StoreConfig;
use crate::storage::location::{Cloud, Location};

/// How often they are looked for.
pub(in crate::storage) const EVERY: Duration = Duration::from_hours(6);

/// Whoever began so long ago goes on no more: what is uploaded to the artifact server has a limit of minutes.
/// By this machine's clock, which the store's is near: else it would refuse the signature of the question.
const OLD: Duration = Duration::from_hours(24);

/// A page has a thousand; a store that always says that there are more is not asked for ever.
const PAGES: usize = 100;

/// So many are looked at each time.
pub(in crate::storage) const MOST: usize = PAGES * 1000;

/// The uploads that were listed.
#[derive(Debug)]
pub(in crate::storage) struct Listed {
    /// Those that have been there for a day.
    pub(in crate::storage) old: Vec<Upload>,
    /// Whether there are more than it was asked for.
    pub(in crate::storage) is_cut: bool,
}

/// The uploads to a bucket.
pub(in crate::storage) struct Uploads {
    bucket: Asked,
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
                bucket: Asked::of(&url, config).ok()?,
            }),
            _ => None,
        }
    }

    /// Those below `prefix`, or why nobody knows.
    pub(in crate::storage) async fn list(&self, prefix: &Path) -> Result<Listed, String> {
        let limit = Timestamp::now() - OLD;
        let mut old = Vec::new();
        let mut markers = [String::new(), String::new()];
        for _ in 0..PAGES {
            let [key, id] = &markers;
            let mut about = vec![("uploads", ""), ("prefix", prefix.as_ref())];
            if !key.is_empty() {
                about.extend([("key-marker", key.as_str()), ("upload-id-marker", id)]);
            }
            let (status, page) = self.bucket.ask(&about).await?;
            match status {
                StatusCode::OK => {}
                StatusCode::FORBIDDEN => {
                    let permission = "s3:ListBucketMultipartUploads";
                    return Err(format!("that needs the permission {permission}"));
                }
                status => return Err(format!("it answers HTTP {status}")),
            }
            old.extend(uploads(&page).filter(|upload| upload.began < limit));
            let names = ["NextKeyMarker", "NextUploadIdMarker"];
            let next = names.map(|name| text(&page, name).unwrap_or_default());
            let is_cut = first(&page, "IsTruncated") == Some("true");
            if !is_cut || next == markers {
                return Ok(Listed { old, is_cut });
            }
            markers = next;
        }
        Ok(Listed { old, is_cut: true })
    }

    /// Gives one up; what is no more is none, too.
    pub(in crate::storage) async fn abort(&self, upload: &Upload) -> object_store::Result<()> {
        let key = Path::parse(&upload.key)?;
        match self.bucket.bucket.abort_multipart(&key, &upload.id).await {
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::config::Secret;

    /// A proxy before a store that is nowhere, with as many pages of one upload each; it ends with the first
    /// line of every question that it got.
    async fn behind_a_proxy(pages: usize) -> (StoreConfig, JoinHandle<Vec<String>>) {
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = StoreConfig::new("s3://media/x");
        let at = format!("http://{}", proxy.local_addr().unwrap());
        for (key, value) in [
            ("aws_endpoint", "http://store.invalid"),
            ("aws_allow_http", "true"),
            ("aws_access_key_id", "access"),
            ("aws_secret_access_key", "secret"),
            ("aws_region", "us-east-1"),
            ("proxy_url", &at),
        ] {
            let value = Secret::new(value.to_owned());
            config.options.insert(key.to_owned(), value);
        }
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for number in 1..=pages {
                let (mut connection, _) = proxy.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    assert_ne!(connection.read_buf(&mut head).await.unwrap(), 0);
                }
                let head = String::from_utf8(head).unwrap();
                asked.push(head.lines().next().unwrap().to_owned());
                let page = format!(
                    "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
                     <NextUploadIdMarker>{number}</NextUploadIdMarker><Upload><Key>k</Key>\
                     <UploadId>{number}</UploadId><Initiated>2020-01-01T00:00:00Z</Initiated></Upload>"
                );
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}",
                    page.len()
                );
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (config, asked)
    }

    /// What the store's options say of its client holds here, too; and that there are more is not kept secret.
    #[tokio::test]
    async fn it_is_asked_by_the_stores_own_client_and_not_for_ever() {
        let (config, asked) = behind_a_proxy(PAGES).await;
        let uploads = Uploads::to(&config).unwrap();
        let listed = uploads.list(&Path::from("x")).await.unwrap();
        assert!(listed.is_cut);
        assert_eq!(listed.old.len(), PAGES);
        let asked = asked.await.unwrap();
        let through = |line: &String| line.starts_with("GET http://store.invalid/media");
        assert!(asked.iter().all(through), "{:?}", asked.first());
    }

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
