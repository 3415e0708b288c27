//! A Unix socket that is listened on, and the file that leads to it.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

/// A socket that is listened on. Its file goes with it.
#[derive(Debug)]
pub(super) struct Local {
    /// The file goes first: as long as the socket listens nobody takes its place.
    file: SocketFile,
    socket: UnixListener,
}

/// The file of a socket, as long as it is ours. It is removed when this is dropped.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl Local {
    /// Listens at `path`. What a process has left there that is gone is replaced, and nothing else.
    pub(super) async fn bind(path: &Path) -> io::Result<Self> {
        // What keeps it from being seen keeps it from being made, and is told then.
        if let Ok(there) = fs::symlink_metadata(path) {
            make_room(path, &there).await?;
        }
        let socket = UnixListener::bind(path).map_err(|error| explained(error, path))?;
        socket.set_nonblocking(true)?;
        let file = SocketFile {
            path: path.to_owned(),
            id: id(&fs::symlink_metadata(path)?),
        };
        Ok(Self { file, socket })
    }

    /// Whether who opens the file comes here: somebody may have removed it.
    pub(super) fn is_reached(&self) -> bool {
        self.file.is_there()
    }

    /// The same socket once more.
    pub(super) fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.socket.try_clone()?)
    }
}

impl SocketFile {
    /// Whether it is still the one that was made.
    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|there| id(&there) == self.id)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_there() {
            // One that stays is replaced by who comes next.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// By what the system tells files apart.
fn id(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Removes a socket that nobody listens on.
async fn make_room(path: &Path, there: &Metadata) -> io::Result<()> {
    let taken = |why: String| Err(io::Error::new(ErrorKind::AddrInUse, why));
    if !there.file_type().is_socket() {
        return taken("what is there is no socket, and stays: use another path".to_owned());
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            // Unless another process has just done the same and listens.
            if fs::symlink_metadata(path).is_ok_and(|now| id(&now) == id(there)) {
                fs::remove_file(path).map_err(|error| explained(error, path))?;
            }
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // More wait there than it takes at a time.
        Ok(_) => taken(listens()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => taken(listens()),
        Err(error) => taken(format!(
            "a socket is there, and whether a process listens cannot be seen ({error}): remove it if none does"
        )),
    }
}

fn listens() -> String {
    "another process listens there: end it, or use another path".to_owned()
}

/// What an error is about that the system has no more words for.
fn explained(error: io::Error, path: &Path) -> io::Error {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let folder = folder.display();
    let kind = error.kind();
    let why = match kind {
        ErrorKind::NotFound => format!("the folder {folder} does not exist: make it first"),
        ErrorKind::NotADirectory => format!("{folder} is no folder"),
        ErrorKind::PermissionDenied => {
            format!("{error}: this user has to be allowed to write to the folder {folder}")
        }
        _ => return error,
    };
    io::Error::new(kind, why)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// Why a path cannot be listened on.
    async fn refused(path: &Path) -> String {
        Local::bind(path).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn what_a_process_has_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        // As a process leaves it that is killed.
        drop(UnixListener::bind(&path).unwrap());
        let local = Local::bind(&path).await.unwrap();
        let listener = local.listener().unwrap();
        let (connected, accepted) = tokio::join!(UnixStream::connect(&path), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
        drop(local);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn whoever_listens_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let other = Local::bind(&path).await.unwrap();
        let why = refused(&path).await;
        assert!(why.starts_with("another process listens"), "{why}");
        assert!(other.is_reached());
    }

    #[tokio::test]
    async fn what_is_no_socket_of_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name| folder.path().join(name);
        fs::write(at("file"), "mine").unwrap();
        fs::create_dir(at("folder")).unwrap();
        // Where it leads nobody listens, and it is no socket either.
        drop(UnixListener::bind(at("left")).unwrap());
        symlink(at("left"), at("link")).unwrap();
        for name in ["file", "folder", "link"] {
            let why = refused(&at(name)).await;
            assert!(why.contains("is no socket"), "{name}: {why}");
        }
        let _datagrams = UnixDatagram::bind(at("datagrams")).unwrap();
        let why = refused(&at("datagrams")).await;
        assert!(why.contains("cannot be seen"), "{why}");
        for name in ["file", "folder", "left", "link", "datagrams"] {
            assert!(fs::symlink_metadata(at(name)).is_ok(), "{name}");
        }
    }

    #[tokio::test]
    async fn the_folder_has_to_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let why = refused(&folder.path().join("none/socket")).await;
        assert!(why.ends_with("none does not exist: make it first"), "{why}");
    }

    /// Another process may have taken the path when somebody had removed the file.
    #[tokio::test]
    async fn a_file_that_is_not_ours_any_more_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let ours = Local::bind(&path).await.unwrap();
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        let other = Local::bind(&path).await.unwrap();
        assert!(!ours.is_reached() && other.is_reached());
        drop(ours);
        assert!(other.is_reached());
    }
}
