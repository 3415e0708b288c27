//! What is read from files and read again when they change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use slimspan_artifact::Digest;
use tokio::time::sleep;

/// How often files are looked at where the configuration has no interval for them: to look costs
/// next to nothing, and whoever changes a token waits for it.
pub const OFTEN: Duration = Duration::from_secs(1);

/// A value that comes from files. Who has it in use keeps it; who asks anew has the newest.
pub struct Reloaded<T> {
    current: RwLock<Arc<T>>,
}

/// What the files held when they were last looked at; none for one that cannot be read.
type Contents = Vec<Option<Digest>>;

impl<T: Send + Sync + 'static> Reloaded<T> {
    /// Loads the value, and again whenever `files` hold something else, looking at them every
    /// `interval`; never again where that is 0, or where there is no file. Contents are compared, not
    /// times: a file may be replaced by a link to another that is older.
    ///
    /// What cannot be loaded later changes nothing but the log, which calls the value `name`.
    pub fn load<E: fmt::Display + Send + 'static>(
        name: String,
        files: Vec<PathBuf>,
        interval: Duration,
        load: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, E> {
        // Before they are loaded: what changes meanwhile is loaded again.
        let contents = contents(&files);
        let value = Arc::new(Self {
            current: RwLock::new(Arc::new(load()?)),
        });
        if !interval.is_zero() && !files.is_empty() {
            let watch = Watch {
                name,
                files,
                contents,
                load: Box::new(load),
            };
            tokio::spawn(look_every(interval, watch, Arc::downgrade(&value)));
        }
        Ok(value)
    }

    /// A value that never changes.
    pub fn fixed(value: T) -> Arc<Self> {
        Arc::new(Self {
            current: RwLock::new(Arc::new(value)),
        })
    }

    /// The newest value.
    pub fn get(&self) -> Arc<T> {
        // A value is replaced as a whole, so no panic leaves half of one.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    fn set(&self, value: T) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(value);
    }
}

/// Without the value: it may be a secret.
impl<T> fmt::Debug for Reloaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").finish_non_exhaustive()
    }
}

struct Watch<T, E> {
    name: String,
    files: Vec<PathBuf>,
    contents: Contents,
    load: Box<dyn Fn() -> Result<T, E> + Send + Sync>,
}

/// Ends when nobody has the value any more.
async fn look_every<T, E>(interval: Duration, mut watch: Watch<T, E>, value: Weak<Reloaded<T>>)
where
    T: Send + Sync + 'static,
    E: fmt::Display + Send + 'static,
{
    loop {
        sleep(interval).await;
        let Some(value) = value.upgrade() else { return };
        let look = tokio::task::spawn_blocking(move || {
            watch.look(&value);
            watch
        });
        match look.await {
            Ok(same) => watch = same,
            Err(error) => {
                tracing::error!("files are not looked at any more: {error}");
                return;
            }
        }
    }
}

impl<T: Send + Sync + 'static, E: fmt::Display> Watch<T, E> {
    fn look(&mut self, value: &Reloaded<T>) {
        let contents = contents(&self.files);
        if contents == self.contents {
            return;
        }
        // Also where it is no good: it is told once.
        self.contents = contents;
        let name = &self.name;
        match (self.load)() {
            Ok(loaded) => {
                value.set(loaded);
                tracing::info!("{name}: its files have changed and are in use");
            }
            Err(error) => tracing::error!(
                "{name}.{error}; what was there before stays in use until the files change again"
            ),
        }
    }
}

fn contents(files: &[PathBuf]) -> Contents {
    let read = |file: &PathBuf| digest(file);
    files.iter().map(read).collect()
}

fn digest(file: &Path) -> Option<Digest> {
    std::fs::read(file).ok().map(|bytes| Digest::of(&bytes))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    fn number(file: &Path) -> Result<u32, String> {
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        text.parse().map_err(|_| format!("\"{text}\" is no number"))
    }

    async fn until(value: &Reloaded<u32>, expected: u32) {
        while *value.get() != expected {
            sleep(SHORT).await;
        }
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        fs::write(&file, "1").unwrap();
        let load = {
            let file = file.clone();
            move || number(&file)
        };
        let value = Reloaded::load("x".to_owned(), vec![file.clone()], SHORT, load).unwrap();
        let in_use = value.get();
        fs::write(&file, "2").unwrap();
        until(&value, 2).await;
        assert_eq!(*in_use, 1, "who has it keeps it");
        fs::write(&file, "none").unwrap();
        sleep(SHORT * 10).await;
        fs::remove_file(&file).unwrap();
        sleep(SHORT * 10).await;
        assert_eq!(*value.get(), 2);
        // A link to a file that was there before, as an orchestrator changes secrets.
        let older = folder.path().join("older");
        fs::write(&older, "3").unwrap();
        std::os::unix::fs::symlink(&older, &file).unwrap();
        until(&value, 3).await;
    }

    #[tokio::test]
    async fn what_is_no_good_at_the_start_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        let files = vec![file.clone()];
        let loaded = Reloaded::load("x".to_owned(), files, SHORT, move || number(&file));
        assert!(loaded.unwrap_err().contains("No such file"));
    }
}
