use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::OpenFlags;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use thiserror::Error;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::cache::{Changes, SensorCache};
use super::error::{SQLITE_CORRUPT, SQLITE_NOTADB, code_of};
use super::file::{Lock, OpenedFile, check_writable, folder_of, lock, real_path, with_suffix};
use super::lookup::Lookup;
use super::overload::Overload;
use super::scribe::Scribe;
use super::tail::Tail;
use super::trouble::Trouble;
use super::writer::{Writer, keep_pruning};
use super::{Inner, Options, Store, StoreMetrics};
use crate::domain::{Epoch, Revision};
use crate::failpoint::{is_planted, reach};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The oldest SQLite that is safe, as `SQLITE_VERSION_NUMBER`: before 3.51.3, two connections that write or checkpoint a WAL
/// database at once can corrupt it.
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;
/// The `application_id` that the first migration writes: 'sens' in ASCII.
pub(super) const APPLICATION_ID: i64 = 0x7365_6e73;
/// What every connection is told, in this order.
const PRAGMAS: &[(&str, &str)] = &[
    ("busy_timeout", "5000"),
    ("journal_mode", "WAL"),
    // A COMMIT that is answered is on the disk.
    ("synchronous", "FULL"),
    ("foreign_keys", "ON"),
    ("mmap_size", "0"),
    ("trusted_schema", "OFF"),
    // What the write-ahead log is cut back to after a checkpoint: 64 MiB.
    ("journal_size_limit", "67108864"),
];
/// The page cache of each of the two threads, as SQLite takes it: KiB, as a negative number. With its default of 2 MiB, the same pages are
/// read again and again where a thousand sensors report.
const THREAD_CACHE_KIB: &str = "-16384";
/// More than the writer has.
const MAX_PREPARED_STATEMENTS: usize = 64;
/// Connections that read. More than the cores of a small machine gain nothing.
const READ_CONNECTIONS: u32 = 4;
/// How long a read waits for one of them, and then for its snapshot to be announced. Less than clients wait, and than the relay may
/// be silent.
pub(super) const READ_WAIT_LIMIT: Duration = Duration::from_secs(5);

/// Why the database could not be opened; one line for the operator.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder or the lock file cannot be made or opened.
    #[error("DATABASE_URL: cannot create or open {path}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The path leads to something else than a file.
    #[error("DATABASE_URL: {path} is {what}; the path of a file is needed")]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there, in words.
        what: &'static str,
    },
    /// A file of the database, or its folder, may not be written.
    #[error("{path} cannot be written by this user")]
    NotWritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process has the store open.
    #[error("another process has {0} open; one sensorcast at a time can use it")]
    InUse(PathBuf),
    /// SQLite is too old to be trusted with the file.
    #[error("this SQLite ({found}) can corrupt a database in WAL mode; 3.51.3 or newer is needed")]
    UnsafeSqlite {
        /// Its version.
        found: String,
    },
    /// The file is a database of something else.
    #[error("{0} is not a sensorcast database")]
    Foreign(PathBuf),
    /// There is a write-ahead log without the file that it belongs to.
    #[error("{0} is missing, and its write-ahead log is there: put the file back, or move the log away to begin anew")]
    Lost(PathBuf),
    /// The file was written by a newer version of this service.
    #[error(
        "{path} has schema version {version}, which this sensorcast does not know; use the newer one that wrote it"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its schema.
        version: i64,
    },
    /// SQLite has found pages that are not valid.
    #[error("{path} is damaged ({reason}): restore a backup; see docs/OPERATIONS.md")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: anyhow::Error,
    },
    /// SQLite cannot open it, or cannot read it.
    #[error("cannot open {path} as an SQLite database")]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: anyhow::Error,
    },
}

/// What version the schema had before it was brought up to date, and has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// There was no database: it was created.
    New,
    /// An older version.
    Older {
        /// The version before.
        from: i64,
        /// The version now, that of this service.
        to: i64,
    },
    /// The present version.
    Current(i64),
}

/// Creates the database when it is missing, and brings its schema up to date.
///
/// # Errors
/// When it is in use, is none of ours, or cannot be written.
pub async fn migrate(path: &Path) -> Result<Schema, OpenError> {
    let _lock = lock_ours(path).await?;
    let (connection, schema) = connect_writer(path).await?;
    connection.close().await.map_err(|error| database(path, error))?;
    Ok(schema)
}

impl Store {
    /// Opens the store, and starts its writer.
    ///
    /// # Errors
    /// When the file is in use, is none of ours, is damaged, or cannot be written.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let path = options.path.as_path();
        let lock = Arc::new(lock_ours(path).await?);
        let (epoch, head) = prepare(path).await?;
        // Before SQLite opens it for good: if the file is replaced in between, the writer notices.
        let file = OpenedFile::database(path).map_err(|error| database(path, error))?;
        let connection = open_writer(path).map_err(|error| database(path, error))?;
        let log = OpenedFile::log(path).map_err(|error| database(path, error))?;
        let lookup_connection = open_lookup(path).map_err(|error| database(path, error))?;
        let reads = open_readers(path).await.map_err(|error| database(path, error))?;
        let (cache, tail) = (SensorCache::new(), Tail::default());
        let (commands, queue) = mpsc::unbounded_channel();
        let (announce, head) = watch::channel(head);
        let metrics = StoreMetrics::new();
        let overload = Overload::new(options.write_queue_max, metrics.queue_depth.clone());
        let trouble = Trouble::none(folder_of(&real_path(path)));
        let failed = CancellationToken::new();
        let links = options.links;
        let (lookup, questions) = mpsc::unbounded_channel();
        let looking_up = Lookup {
            connection: lookup_connection,
            questions,
            failed: failed.clone(),
        };
        let writer = Writer {
            connection,
            files: [file, log],
            queue,
            held: None,
            overload: overload.clone(),
            last_commit: Duration::ZERO,
            checkpoint_fails: false,
            announce,
            scribe: Scribe {
                epoch: epoch.clone(),
                links: links.clone(),
                changes: Changes::new(cache.clone(), tail.clone()),
                entries: Vec::new(),
            },
            clock: options.clock,
            retention: options.retention,
            metrics: metrics.clone(),
            trouble: trouble.clone(),
            failed: failed.clone(),
            lock: Arc::clone(&lock),
        };
        start_thread("writer", || writer.run()).map_err(|error| database(path, error))?;
        start_thread("lookup", || looking_up.run()).map_err(|error| database(path, error))?;
        tokio::spawn(keep_pruning(commands.downgrade()));
        let inner = Inner {
            commands,
            overload,
            reads,
            lookup,
            cache,
            tail,
            epoch,
            head,
            links,
            metrics,
            trouble,
            probing: Mutex::default(),
            failed,
            _lock: lock,
        };
        Ok(Self {
            inner: Arc::new(inner),
            post_box: None,
        })
    }
}

/// Locks the database, unless it is a file of something else, beside which no lock is made: a lock file could not be removed again,
/// because another process may have opened it meanwhile, and would lock a file that the next one does not find.
async fn lock_ours(path: &Path) -> Result<Lock, OpenError> {
    let has_log = || with_suffix(&real_path(path), "-wal").exists();
    match is_foreign_file(path).await {
        Ok(true) => return Err(OpenError::Foreign(path.to_owned())),
        // With a write-ahead log, a first page that was half written is whole in that.
        Err(error) if code_of(&error) == Some(SQLITE_NOTADB) && !has_log() => return Err(database(path, error)),
        // Whatever else is wrong is reported by the step that it stands in the way of.
        Ok(false) | Err(_) => {}
    }
    let lock = lock(path)?;
    check_writable(path)?;
    Ok(lock)
}

/// Whether there is a database of something else, found out without a lock and without a change: SQLite would make files beside it, and
/// have it keep a write-ahead log from then on.
///
/// A process of ours that writes meanwhile does not make its database look foreign: the mark comes with the first table, on the same
/// page, and stays where it is.
pub(super) async fn is_foreign_file(path: &Path) -> sqlx::Result<bool> {
    let has_content = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0);
    if !has_content {
        return Ok(false);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let options = options.immutable(true).disable_statement_logging();
    let mut connection = options.connect().await?;
    let is_foreign = is_foreign(&mut connection).await;
    // Not later: to close any descriptor of the file takes away the locks that SQLite will have on it.
    connection.close().await?;
    is_foreign
}

/// The connections for reads. All are opened at once, and stay: later there may be no file left to open.
async fn open_readers(path: &Path) -> sqlx::Result<SqlitePool> {
    SqlitePoolOptions::new()
        .min_connections(READ_CONNECTIONS)
        .max_connections(READ_CONNECTIONS)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(READ_WAIT_LIMIT)
        .connect_with(connect_options(path).read_only(true).pragma("query_only", "ON"))
        .await
}

/// Makes the database where there is none, brings its schema up to date, and gives its epoch and its newest revision.
async fn prepare(path: &Path) -> Result<(Epoch, Revision), OpenError> {
    let (mut connection, schema) = connect_writer(path).await?;
    let real = real_path(path);
    match schema {
        Schema::New => tracing::info!(path = %real.display(), "there was no database: a new one is made"),
        Schema::Older { from, to } => {
            tracing::info!(from, to, path = %real.display(), "the schema was brought up to date");
        }
        Schema::Current(_) => {}
    }
    let identity = identity(&mut connection).await.map_err(|error| database(path, error))?;
    connection.close().await.map_err(|error| database(path, error))?;
    Ok(identity)
}

/// The database with its schema up to date, and made where there was none.
pub(super) async fn connect_writer(path: &Path) -> Result<(SqliteConnection, Schema), OpenError> {
    check_sqlite()?;
    let options = connect_options(path).create_if_missing(true);
    let mut connection = options.connect().await.map_err(|error| database(path, error))?;
    let is_foreign = is_foreign(&mut connection).await;
    if is_foreign.map_err(|error| database(path, error))? {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let from = schema_version(&mut connection)
        .await
        .map_err(|error| database(path, error))?;
    reach("store.before-migration").map_err(|error| database(path, error))?;
    MIGRATIONS.run(&mut connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => OpenError::Newer {
            path: path.to_owned(),
            version,
        },
        other => database(path, other),
    })?;
    reach("store.after-migration").map_err(|error| database(path, error))?;
    let to = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let schema = match from {
        None => Schema::New,
        Some(from) if from < to => Schema::Older { from, to },
        Some(version) => Schema::Current(version),
    };
    Ok((connection, schema))
}

/// The last migration that was run; `None` when none was, in a file that is new or empty.
async fn schema_version(connection: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
    let lists: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *connection)
        .await?;
    if lists == 0 {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await
}

/// What the connections of sqlx are opened with, those that read included.
fn connect_options(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).disable_statement_logging();
    PRAGMAS
        .iter()
        .fold(options, |options, (name, value)| options.pragma(*name, *value))
}

/// The connection that writes, once the schema is up to date.
fn open_writer(path: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let connection = open_for_thread(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // The writer does that itself.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    if is_planted("bug.synchronous-off") {
        connection.pragma_update(None, "synchronous", "OFF")?;
    }
    Ok(connection)
}

/// The connection that looks for single sensors.
fn open_lookup(path: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let connection = open_for_thread(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "query_only", "ON")?;
    Ok(connection)
}

fn open_for_thread(path: &Path, access: OpenFlags) -> rusqlite::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(MAX_PREPARED_STATEMENTS);
    for (name, value) in PRAGMAS {
        connection.pragma_update(None, name, value)?;
    }
    connection.pragma_update(None, "cache_size", THREAD_CACHE_KIB)?;
    Ok(connection)
}

fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// One check for both libraries: they link the same SQLite.
fn check_sqlite() -> Result<(), OpenError> {
    if rusqlite::version_number() < OLDEST_SAFE_SQLITE {
        let found = rusqlite::version().to_owned();
        return Err(OpenError::UnsafeSqlite { found });
    }
    Ok(())
}

/// A database with tables that lacks our mark belongs to something else, and nothing is written into it. The list of
/// migrations is no such table: it is made before the first of them, which a process may not have lived to run.
async fn is_foreign(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let application_id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '_sqlx_migrations'")
        .fetch_one(connection)
        .await?;
    Ok(tables > 0 && application_id != APPLICATION_ID)
}

/// A new epoch, from SQLite's own source of randomness.
pub(super) async fn new_epoch(connection: &mut SqliteConnection) -> sqlx::Result<Epoch> {
    let random: i64 = sqlx::query_scalar("SELECT random()").fetch_one(connection).await?;
    Ok(Epoch::from_random(random.cast_unsigned()))
}

/// The epoch and the newest revision; a new database gets its epoch here.
async fn identity(connection: &mut SqliteConnection) -> sqlx::Result<(Epoch, Revision)> {
    let fresh = new_epoch(connection).await?;
    let fresh = fresh.as_str();
    sqlx::query!("INSERT OR IGNORE INTO store (id, epoch, head) VALUES (1, ?, 0)", fresh)
        .execute(&mut *connection)
        .await?;
    reach("store.after-identity")?;
    if is_planted("bug.revision-reused-after-prune") {
        let newest = "UPDATE store SET head = (SELECT coalesce(max(revision), 0) FROM events)";
        sqlx::query(newest).execute(&mut *connection).await?;
    }
    let row = sqlx::query!("SELECT epoch, head FROM store")
        .fetch_one(&mut *connection)
        .await?;
    let epoch = row
        .epoch
        .parse()
        .map_err(|error: &str| sqlx::Error::Decode(error.into()))?;
    Ok((epoch, Revision::new(row.head)))
}

pub(super) fn database(path: &Path, error: impl Into<anyhow::Error>) -> OpenError {
    let (error, path): (anyhow::Error, _) = (error.into(), path.to_owned());
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<sqlx::Error>());
    let is_damaged = causes.any(|cause| code_of(cause) == Some(SQLITE_CORRUPT));
    let source = say_once(error);
    if is_damaged {
        OpenError::Damaged { path, reason: source }
    } else {
        OpenError::Database { path, source }
    }
}

/// The error with its causes, each text once: errors of sqlx repeat their causes.
pub(super) fn say_once(error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !said.last().is_some_and(|last| last.ends_with(&text)) {
            said.push(text);
        }
    }
    anyhow::Error::msg(said.join(": ").replace("error returned from database: ", ""))
}
