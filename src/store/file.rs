//! The file of the database: its names, its lock, and whether its path still leads to it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::{OpenError, StoreError};

/// Which file it is, by whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that the path leads to.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// Whether both paths lead to one file, by whatever name.
    pub(super) fn are_one(path: &Path, other: &Path) -> bool {
        Self::of(path).is_ok_and(|file| Self::of(other).is_ok_and(|other| other == file))
    }
}

/// What helps where the database is no longer in its place.
const CURE_OF_DATABASE: &str = "put it back, and writing works again, or stop the service and restore a backup; until then all that was written can be read \
                                through the API";
/// What helps where its write-ahead log is not.
const CURE_OF_LOG: &str = "put it back, and writing works again, or stop the service with SIGTERM, which writes what is in it into the database, and start \
                           it again; a kill loses changes that were answered";

/// A file that the store was opened with. SQLite keeps using it whatever becomes of its name: what is committed to a deleted file is
/// lost, and what is committed to one that was moved is not in the file that the next start opens.
#[derive(Debug, Clone)]
pub(super) struct OpenedFile {
    path: Arc<Path>,
    id: FileId,
    cure: &'static str,
}

impl OpenedFile {
    /// The database that the path leads to now.
    pub(super) fn database(path: &Path) -> std::io::Result<Self> {
        Self::at(path, CURE_OF_DATABASE)
    }

    /// The write-ahead log of the database at `path`. SQLite makes it when the first connection opens the database, and removes it when
    /// the last one closes; in between it shortens it and never makes another.
    pub(super) fn log(path: &Path) -> std::io::Result<Self> {
        Self::at(&with_suffix(&real_path(path), "-wal"), CURE_OF_LOG)
    }

    fn at(path: &Path, cure: &'static str) -> std::io::Result<Self> {
        let named = |error: Error| Error::new(error.kind(), format!("{}: {error}", path.display()));
        Ok(Self {
            // The operator is shown this path.
            path: std::path::absolute(path)?.into(),
            id: FileId::of(path).map_err(named)?,
            cure,
        })
    }

    /// Whether the path still leads to it. Takes about 1 us.
    ///
    /// # Errors
    /// [`StoreError::Misplaced`] when it does not; another one when that cannot be found out.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match FileId::of(&self.path) {
            Ok(id) if id == self.id => Ok(()),
            Ok(_) => Err(self.misplaced()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(self.misplaced())
            }
            Err(error) => Err(Error::new(error.kind(), format!("{}: {error}", self.path.display())).into()),
        }
    }

    fn misplaced(&self) -> StoreError {
        StoreError::Misplaced {
            file: Arc::clone(&self.path),
            cure: self.cure,
        }
    }
}

/// The locks of the operating system that keep a second process away from the same file. They end with the process, however it
/// ends. SQLite's own exclusive mode would keep this process's readers out, too.
#[derive(Debug)]
pub(super) struct Lock {
    /// On a file of its own, because the database may be replaced.
    _beside: File,
    /// On the database itself, which may have other names: hard links, and mounts of the file. **It has to be closed after SQLite has
    /// closed the file:** a process that closes any descriptor of a file loses all of its `fcntl` locks on it, and those are SQLite's.
    /// (This one is an `flock`, which is independent of them.)
    _database: Option<File>,
}

/// Locks the database, which is made empty where there is none.
pub(super) fn lock(path: &Path) -> Result<Lock, OpenError> {
    let beside = lock_beside(path)?;
    let real = real_path(path);
    if !real.exists() && with_suffix(&real, "-wal").exists() {
        // SQLite would remove the `-wal`, and with it the newest changes.
        return Err(OpenError::Lost(path.to_owned()));
    }
    // With the mode that SQLite would give it.
    let made = OpenOptions::new().append(true).create_new(true).mode(0o644).open(&real);
    let opened = match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => File::open(&real),
        other => other,
    };
    let database = opened.map_err(in_file(&real))?;
    take(&database, &real, path)?;
    Ok(Lock {
        _beside: beside,
        _database: Some(database),
    })
}

/// Locks the database that is to be replaced, if there is one.
pub(super) fn lock_to_replace(path: &Path) -> Result<Lock, OpenError> {
    let beside = lock_beside(path)?;
    // An unreadable file is no error: it may be the reason for replacing it.
    let database = File::open(path).ok();
    if let Some(database) = &database {
        take(database, path, path)?;
    }
    Ok(Lock {
        _beside: beside,
        _database: database,
    })
}

fn lock_beside(path: &Path) -> Result<File, OpenError> {
    // Before anything is made beside it.
    check_is_file(path)?;
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).map_err(in_file(folder))?;
    let lock_path = lock_path(path);
    let file = open_lock(&lock_path).map_err(in_file(&lock_path))?;
    take(&file, &lock_path, path)?;
    Ok(file)
}

/// Locks `file`, whose name is `name`; the error names the database at `path`.
fn take(file: &File, name: &Path, path: &Path) -> Result<(), OpenError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse(path.to_owned()),
        TryLockError::Error(source) => in_file(name)(source),
    })
}

fn in_file(path: &Path) -> impl FnOnce(Error) -> OpenError + use<> {
    let path = path.to_owned();
    move |source| OpenError::File { path, source }
}

/// Refuses what is there and is no file.
fn check_is_file(path: &Path) -> Result<(), OpenError> {
    let what = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => "a folder",
        Ok(found) if !found.is_file() => "no regular file",
        // Whatever is wrong is reported by the step that needs the file.
        _ => return Ok(()),
    };
    let path = path.to_owned();
    Err(OpenError::NotAFile { path, what })
}

/// Checks the files that SQLite has to write, because its own error does not say which of them it may not write.
pub(super) fn check_writable(path: &Path) -> Result<(), OpenError> {
    let real = real_path(path);
    let files = ["", "-wal", "-shm"].map(|suffix| with_suffix(&real, suffix));
    let files = files.iter().map(|file| (file.as_path(), Access::WRITE_OK));
    let folder = (folder_of(&real), Access::WRITE_OK | Access::EXEC_OK);
    for (path, wanted) in files.chain([folder]) {
        match access(path, wanted) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => {
                return Err(OpenError::NotWritable {
                    path: path.to_owned(),
                    source: error.into(),
                });
            }
        }
    }
    Ok(())
}

/// The folder that the path names a file in.
pub(super) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Opens the lock file, or makes it; nothing removes it (`open::lock_ours` says why). One that another user has made (`restore` as
/// root) need not be written.
fn open_lock(path: &Path) -> std::io::Result<File> {
    let made = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    match made {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path).map_err(|_| error),
        other => other,
    }
}

/// Where the lock of the database is, by whatever name that is known.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    real_path(path).with_added_extension("lock")
}

/// The path without links, also when the last of them leads to a file that is still to be made.
pub(super) fn real_path(path: &Path) -> PathBuf {
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match (path.canonicalize(), path.read_link()) {
            (Ok(real), _) => return real,
            (Err(_), Ok(target)) => path = path.parent().unwrap_or(Path::new("")).join(target),
            (Err(_), Err(_)) => break,
        }
    }
    path
}

/// The name of a file that SQLite keeps beside the database.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
