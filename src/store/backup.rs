//! A copy of the database, made while the service runs, and the way back.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD, RenameFlags, access, renameat_with};
use rustix::process::geteuid;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use thiserror::Error;

use super::file::{FileId, folder_of, lock_path, lock_to_replace, real_path, with_suffix};
use super::open::{APPLICATION_ID, connect_writer, database, is_foreign_file, new_epoch, say_once};
use super::row::damaged;
use super::whole::{CURE_OF_BACKUP, CURE_OF_COPY, CURE_OF_STORE, check_whole, if_damaged, unreadable};
use super::{OpenError, StoreError};
use crate::domain::{Epoch, Revision};
use crate::failpoint::reach;

/// Why a backup was not made or not restored; one line for the operator. Nothing was changed.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The file is there already.
    #[error("{0} exists already; a backup never overwrites a file")]
    Exists(PathBuf),
    /// There is nothing to back up or to restore.
    #[error("there is no database {0}")]
    Missing(PathBuf),
    /// There is no folder for the copy.
    #[error("there is no folder {0}")]
    NoFolder(PathBuf),
    /// What is to be read is something else.
    #[error("{0} is no file")]
    NotAFile(PathBuf),
    /// It may not be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is the store that it was to replace.
    #[error("{0} is the store itself; a backup of it is needed")]
    Itself(PathBuf),
    /// The file has the name of the one that is to be made.
    #[error("{0} is in the way of what is to be made: give it another name")]
    InTheWay(PathBuf),
    /// The database that is to be copied, or the copy, is not whole.
    #[error("{path} is damaged ({complaint}): {cure}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found first.
        complaint: String,
        /// What to do.
        cure: &'static str,
    },
    /// A file cannot be made, moved or removed.
    #[error("cannot write {path}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A copy cannot be written, or the database not be read for it.
    #[error("cannot copy {from} to {to}")]
    Copy {
        /// The database.
        from: PathBuf,
        /// The file that was to be made.
        to: PathBuf,
        /// What SQLite says.
        source: anyhow::Error,
    },
    /// One of the databases cannot be opened, is in use, or is none of ours.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What a restored store begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The file.
    pub path: PathBuf,
    /// What was there before.
    pub former: Former,
    /// Its new life.
    pub epoch: Epoch,
    /// The newest revision, which it counts on from.
    pub head: Revision,
}

/// What a restored store took the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Former {
    /// Nothing.
    None,
    /// A store of this epoch and with this newest revision.
    Store(Epoch, Revision),
    /// A store that was made and never ran.
    Unused,
    /// Something that cannot be read.
    Unreadable,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "restored {path} at revision {}, epoch {} ", self.head, self.epoch)?;
        match &self.former {
            Former::None => f.write_str("(there was none)"),
            Former::Store(epoch, head) => write!(f, "(it replaced revision {head}, epoch {epoch})"),
            Former::Unused => f.write_str("(it replaced one that had never run)"),
            Former::Unreadable => f.write_str("(it replaced one that cannot be read)"),
        }
    }
}

/// Writes a copy of the database at `path` into the new file `copy`, and gives the newest revision in it. The copy is the state at one instant; the service may
/// run and write meanwhile. The file is complete, and checked as [`restore`] checks it, when it has its name.
///
/// # Errors
/// When `copy` exists, when there is no database of ours at `path`, when that is damaged, or when it cannot be copied. A copy that
/// is there all the same is complete.
pub async fn backup(path: &Path, copy: &Path) -> Result<Revision, BackupError> {
    let mut source = open_existing(path, CURE_OF_STORE).await?;
    if copy.exists() {
        return Err(BackupError::Exists(copy.to_owned()));
    }
    let folder = folder_of(copy);
    if fs::metadata(folder).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Err(BackupError::NoFolder(folder.to_owned()));
    }
    // A name of its own, so that two backups at once do not meet in it.
    let partial = copy.with_added_extension(format!("{}.partial", std::process::id()));
    // What is left over is named `.partial`, also when this future is dropped.
    let leftover = Leftover(&partial);
    let named = async {
        reach("backup.before-copy").map_err(in_file(&partial))?;
        copy_into(&mut source, path, &partial, CURE_OF_STORE).await?;
        let head = match head_of_whole(&partial, copy).await {
            // What is damaged is copied as it is, so that the copy tells of both.
            Err(of_copy @ BackupError::Damaged { .. }) => {
                check_whole(&mut source, path, CURE_OF_STORE).await?;
                return Err(of_copy);
            }
            other => other?,
        };
        reach("backup.before-name").map_err(in_file(copy))?;
        name_anew(&partial, copy).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => BackupError::Exists(copy.to_owned()),
            _ => in_file(copy)(error),
        })?;
        Ok(head)
    };
    let named: Result<_, BackupError> = named.await;
    drop(leftover);
    let head = named?;
    reach("backup.after-name").map_err(in_file(copy))?;
    sync_folder(copy)?;
    Ok(head)
}

/// Renames `partial` to `copy`, which must not exist: of two backups at once, the second is refused. A plain rename would overwrite.
fn name_anew(partial: &Path, copy: &Path) -> std::io::Result<()> {
    match fs::hard_link(partial, copy) {
        // Not every file system has links.
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Ok(renameat_with(CWD, partial, CWD, copy, RenameFlags::NOREPLACE)?)
        }
        other => other,
    }
}

/// The newest revision in the copy, which nobody else has open, has to be whole, and will be named `copy`.
async fn head_of_whole(partial: &Path, copy: &Path) -> Result<Revision, BackupError> {
    let options = SqliteConnectOptions::new()
        .filename(partial)
        .read_only(true)
        .immutable(true);
    let connected = options.disable_statement_logging().connect().await;
    let mut connection = connected.map_err(|error| database(copy, error))?;
    check_whole(&mut connection, copy, CURE_OF_COPY).await?;
    // A store that never ran has no row.
    let head = sqlx::query_scalar!("SELECT head FROM store")
        .fetch_optional(&mut connection)
        .await
        .map_err(|error| database(copy, error))?;
    connection.close().await.map_err(|error| database(copy, error))?;
    Ok(head.map_or(Revision::ZERO, Revision::new))
}

/// Puts the database in the file `copy` in the place of the one at `path`, which nobody may have open.
///
/// The restored store has a new epoch: revisions are given out again that its earlier life has used for other changes, so
/// its cursors and tags must not be mistaken for those. Its log begins empty, after the head: the events of the copy belong
/// to the earlier life, whose consumers have to read the baseline again anyway. The relay has nothing to publish, neither
/// what was published already nor what never was.
///
/// # Errors
/// When the store is in use, when `copy` is no whole database of ours, or when the files cannot be written. Until the
/// last step, the new name of a complete file, the store is what it was.
pub async fn restore(path: &Path, copy: &Path) -> Result<Restored, BackupError> {
    // Restoring the store from itself would delete its events, even those not published yet.
    if FileId::are_one(copy, path) {
        return Err(BackupError::Itself(copy.to_owned()));
    }
    // A file that cannot be read may be the reason for the restore.
    refuse_foreign(path).await?;
    let _lock = lock_to_replace(path)?;
    // A link stays, and what it leads to is replaced: beside that, where the name can change in one step.
    let path = &real_path(path);
    let next = path.with_added_extension("restoring");
    if FileId::are_one(copy, &next) {
        return Err(BackupError::InTheWay(copy.to_owned()));
    }
    remove_database(&next)?;
    let leftover = Leftover(&next);
    let made = make_next(copy, &next).await;
    let replaced = match &made {
        Ok(_) => replace(path, &next).await,
        Err(_) => Ok(Former::None),
    };
    drop(leftover);
    let former = replaced?;
    let (epoch, head) = made?;
    Ok(Restored {
        path: path.canonicalize().unwrap_or_else(|_| path.clone()),
        former,
        epoch,
        head,
    })
}

/// Makes the new database, complete and on the disk, beside the present one.
async fn make_next(copy: &Path, next: &Path) -> Result<(Epoch, Revision), BackupError> {
    let mut source = open_existing(copy, CURE_OF_BACKUP).await?;
    check_whole(&mut source, copy, CURE_OF_BACKUP).await?;
    reach("restore.before-copy").map_err(in_file(next))?;
    copy_into(&mut source, copy, next, CURE_OF_BACKUP).await?;
    reach("restore.after-copy").map_err(in_file(next))?;
    // This brings the schema up to date, too.
    let opened = connect_writer(next).await;
    let (mut connection, _) = opened.map_err(|error| match error {
        // Named by the file that the operator gave, not by the temporary copy.
        OpenError::Newer { version, .. } => OpenError::Newer {
            path: copy.to_owned(),
            version,
        },
        other => other,
    })?;
    let restored = begin_new_life(&mut connection)
        .await
        .map_err(|error| database(next, anyhow::Error::new(error)))?;
    // Closing the only connection writes the log of SQLite back and removes it.
    connection.close().await.map_err(|error| database(next, error))?;
    reach("restore.after-new-life").map_err(in_file(next))?;
    sync(next)?;
    Ok(restored)
}

async fn begin_new_life(connection: &mut SqliteConnection) -> Result<(Epoch, Revision), StoreError> {
    let epoch = new_epoch(connection).await?;
    let mut transaction = connection.begin().await?;
    let text = epoch.as_str();
    // A store that never ran has no row.
    sqlx::query!(
        "INSERT INTO store (id, epoch, head) VALUES (1, ?, 0) ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch",
        text
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!("DELETE FROM events").execute(&mut *transaction).await?;
    sqlx::query!("UPDATE relay SET revision = (SELECT head FROM store)")
        .execute(&mut *transaction)
        .await?;
    let head = sqlx::query_scalar!("SELECT head FROM store")
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((epoch, Revision::new(head)))
}

/// Renames the database `next` to `path`, and returns what was there before.
async fn replace(path: &Path, next: &Path) -> Result<Former, BackupError> {
    // Folds the old write-ahead log into the old file, so that the old store is whole until it is gone. One that cannot
    // be opened may be the reason for the restore; one of somebody else stays.
    let mut former = Former::None;
    if path.exists() {
        former = match connect_writer(path).await {
            Ok((mut old, _)) => {
                let former = read_former(&mut old).await.unwrap_or(Former::Unreadable);
                old.close().await.map_err(|error| database(path, error))?;
                former
            }
            Err(error @ OpenError::Foreign(_)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "the store that is replaced cannot be opened");
                Former::Unreadable
            }
        };
    }
    // The user who restores may be another than the one that the service runs as.
    keep_owner(path, next).map_err(in_file(next))?;
    if geteuid().is_root() {
        give(&lock_path(path), &fs::metadata(next).map_err(in_file(next))?).map_err(in_file(path))?;
    }
    // Before the rename: SQLite would apply the old log to the new file.
    remove_sidecars(path)?;
    reach("restore.before-rename").map_err(in_file(path))?;
    fs::rename(next, path).map_err(in_file(path))?;
    reach("restore.after-rename").map_err(in_file(path))?;
    sync_folder(path)?;
    Ok(former)
}

async fn read_former(connection: &mut SqliteConnection) -> Result<Former, StoreError> {
    let row = sqlx::query!("SELECT epoch, head FROM store")
        .fetch_optional(connection)
        .await?;
    let store = row.map(|row| {
        Ok(Former::Store(
            row.epoch.parse().map_err(damaged)?,
            Revision::new(row.head),
        ))
    });
    store.unwrap_or(Ok(Former::Unused))
}

/// Gives `next` the owner and the mode of the file at `path`. Where there is none, what root makes is given to the owner of the folder.
fn keep_owner(path: &Path, next: &Path) -> std::io::Result<()> {
    match fs::metadata(path) {
        Ok(old) => {
            give(next, &old)?;
            fs::set_permissions(next, old.permissions())
        }
        Err(_) if geteuid().is_root() => give(next, &fs::metadata(folder_of(path))?),
        Err(_) => Ok(()),
    }
}

/// Gives the file to the owner of another one.
fn give(file: &Path, other: &Metadata) -> std::io::Result<()> {
    let present = fs::metadata(file)?;
    if (present.uid(), present.gid()) != (other.uid(), other.gid()) {
        std::os::unix::fs::chown(file, Some(other.uid()), Some(other.gid()))?;
    }
    Ok(())
}

/// Refuses a database of something else before anything is made beside it. What is wrong with one that cannot be read is not said here.
async fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    match is_foreign_file(path).await {
        Ok(true) => Err(OpenError::Foreign(path.to_owned())),
        Ok(false) | Err(_) => Ok(()),
    }
}

/// Opens a database that has to be there and to be ours, to read.
async fn open_existing(path: &Path, cure: &'static str) -> Result<SqliteConnection, BackupError> {
    let no_file = |source| BackupError::Unreadable {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(BackupError::NotAFile(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(BackupError::Missing(path.to_owned())),
        Err(error) => return Err(no_file(error)),
    }
    access(path, Access::READ_OK).map_err(|error| no_file(error.into()))?;
    refuse_foreign(path).await?;
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|error| unreadable(error, path, cure))?;
    let application_id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut connection)
        .await
        .map_err(|error| unreadable(error, path, cure))?;
    if application_id != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()).into());
    }
    Ok(connection)
}

/// Writes the state that `source` sees into the new file `target`, as a compact database, and syncs it.
async fn copy_into(
    source: &mut SqliteConnection,
    path: &Path,
    target: &Path,
    cure: &'static str,
) -> Result<(), BackupError> {
    remove_database(target)?;
    make_private(path, target).map_err(in_file(target))?;
    let name = target.to_string_lossy();
    sqlx::query("VACUUM INTO ?")
        .bind(name.as_ref())
        .execute(source)
        .await
        .map_err(|error| {
            if_damaged(error, path, cure).unwrap_or_else(|error| BackupError::Copy {
                from: path.to_owned(),
                to: target.to_owned(),
                source: say_once(error),
            })
        })?;
    sync(target)
}

/// Makes the new file empty, as SQLite takes it, for those who may read the database and nobody else.
fn make_private(path: &Path, target: &Path) -> std::io::Result<()> {
    // Whoever makes it has to write it.
    let mode = fs::metadata(path)?.mode() & 0o777 | 0o600;
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(target)?;
    file.set_permissions(Permissions::from_mode(mode))
}

/// A database that is to have another name when it is complete; what still has this one at the end is removed.
struct Leftover<'a>(&'a Path);

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        // An earlier error is the one to report; the next restore removes what is left.
        let _ = remove_database(self.0);
    }
}

fn remove_database(path: &Path) -> Result<(), BackupError> {
    remove(path)?;
    remove_sidecars(path)
}

fn remove_sidecars(path: &Path) -> Result<(), BackupError> {
    for suffix in ["-wal", "-shm", "-journal"] {
        remove(&with_suffix(path, suffix))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(in_file(path)(error)),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), BackupError> {
    let file = File::open(path).and_then(|file| file.sync_all());
    file.map_err(in_file(path))
}

/// Makes the names in the folder of `path` last.
fn sync_folder(path: &Path) -> Result<(), BackupError> {
    sync(folder_of(path))
}

fn in_file(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError + use<> {
    let path = path.to_owned();
    move |source| BackupError::File { path, source }
}
