//! Stores of tests, with which something happens at a moment that nobody else meets.

use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::{OpenError, Store, StoreConfig};

/// What is done once when all that is in a folder has been listed, before who lists it hears that this is all.
type Listed = (&'static str, BoxFuture<'static, ()>);

/// `happens` when this folder was listed for the first time.
pub(crate) fn at_listing(
    config: &StoreConfig,
    folder: &'static str,
    happens: BoxFuture<'static, ()>,
) -> std::result::Result<Store, OpenError> {
    let meddling = Meddling {
        listed: Some((folder, happens)),
        ..Meddling::default()
    };
    open(config, meddling)
}

/// Nobody is told whether something is there.
pub(crate) fn without_heads(config: &StoreConfig) -> std::result::Result<Store, OpenError> {
    let meddling = Meddling {
        has_no_heads: true,
        ..Meddling::default()
    };
    open(config, meddling)
}

/// What has this name is listed, and is not there.
pub(crate) fn losing(config: &StoreConfig, name: String) -> std::result::Result<Store, OpenError> {
    let meddling = Meddling {
        lost: Some(name),
        ..Meddling::default()
    };
    open(config, meddling)
}

fn open(config: &StoreConfig, meddling: Meddling) -> std::result::Result<Store, OpenError> {
    let Meddling {
        listed,
        has_no_heads,
        lost,
    } = meddling;
    Store::open_with(config, |inner| {
        Arc::new(Meddled {
            inner,
            listed: Mutex::new(listed),
            has_no_heads,
            lost,
        })
    })
}

#[derive(Default)]
struct Meddling {
    listed: Option<Listed>,
    has_no_heads: bool,
    lost: Option<String>,
}

struct Meddled {
    inner: Arc<dyn ObjectStore>,
    listed: Mutex<Option<Listed>>,
    has_no_heads: bool,
    lost: Option<String>,
}

impl Meddled {
    /// What happens when this is listed, if it has not happened yet.
    fn happens(&self, prefix: Option<&Path>) -> Option<BoxFuture<'static, ()>> {
        let is_it = |folder: &str| prefix.is_some_and(|prefix| prefix.as_ref().ends_with(folder));
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let happens = listed.take_if(|(folder, _)| is_it(folder));
        happens.map(|(_, happens)| happens)
    }
}

impl fmt::Debug for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meddled").field(&self.inner).finish()
    }
}

impl fmt::Display for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Meddled {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.has_no_heads && options.head {
            return Err(Error::Generic {
                store: "meddled",
                source: "as the test wants it".into(),
            });
        }
        if self.lost.is_some() && location.filename() == self.lost.as_deref() {
            return Err(Error::NotFound {
                path: location.to_string(),
                source: "as the test wants it".into(),
            });
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listing = self.inner.list(prefix);
        let Some(happens) = self.happens(prefix) else {
            return listing;
        };
        let end = stream::once(happens).filter_map(|()| ready(None));
        listing.chain(end).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = self.inner.list_with_delimiter(prefix).await;
        if let Some(happens) = self.happens(prefix) {
            happens.await;
        }
        listed
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
