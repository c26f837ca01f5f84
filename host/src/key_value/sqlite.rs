//! Spin's own table in Spin's own file, so that a state file moves between the two.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::Failed;

/// How long to wait for another process that writes, as Spin's connections do.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// A write of another process takes well under a millisecond; waiting doubles from here.
const BUSY_FIRST_WAIT: Duration = Duration::from_millis(1);
/// More than this between two tries would leave a freed file unused.
const BUSY_WAIT_MAX: Duration = Duration::from_millis(50);
/// How much of the write-ahead log may gather before it is folded in (pages of 4 KiB): also what a reader of the file may find beside it.
const CHECKPOINT_PAGES: u32 = 500;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (
    store TEXT NOT NULL,
    key   TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (store, key)
)";
const GET: &str = "SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2";
const SET: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
    ON CONFLICT (store, key) DO UPDATE SET value = ?3";
const DELETE: &str = "DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2";
const KEYS: &str = "SELECT key FROM spin_key_value WHERE store = ?1";

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For the run of the application.
    Run,
    /// For a look beside it. A file that is not there is empty.
    Read,
}

#[derive(Clone)]
pub struct Sqlite {
    connection: Arc<Mutex<Connection>>,
    mode: Mode,
}

impl Sqlite {
    /// Opens `path`, or a database in memory when there is none.
    ///
    /// A run writes ahead (WAL): a commit costs a third of the rollback journal's, and readers
    /// never wait. It is durable against the death of the process; against a power cut with
    /// `synchronous = FULL` only, and then a check loses the count of a few seconds.
    pub fn open(path: Option<&Path>, mode: Mode) -> anyhow::Result<Self> {
        let connection = match (path, mode) {
            (Some(path), Mode::Run) => {
                if let Some(dir) = path.parent() {
                    std::fs::create_dir_all(dir)
                        .map_err(|e| anyhow::anyhow!("creating {:?}: {e}", dir.display()))?;
                }
                let connection = Connection::open(path).map_err(|e| opening(path, &e))?;
                prepare(&connection).map_err(|e| opening(path, &e))?;
                connection
            }
            // A file that may not be looked at is not an empty one: its check would start
            // from nothing and say that all is well.
            (Some(path), Mode::Read) if path.try_exists().map_err(|e| opening(path, &e))? => {
                read_only(path).map_err(|e| opening(path, &e))?
            }
            (_, Mode::Read) | (None, Mode::Run) => {
                let connection = Connection::open_in_memory()?;
                connection.execute(TABLE, [])?;
                connection
            }
        };
        // Waiting is ours (`retry`): SQLite's own would stop every other event on this thread.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            mode,
        })
    }

    pub async fn get(&self, label: &str, key: &str) -> Result<Option<Vec<u8>>, Failed> {
        self.retry(|connection| {
            connection
                .prepare_cached(GET)?
                // Written by hand, a value may be TEXT; its bytes are the same.
                .query_row([label, key], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))
                .optional()
        })
        .await
    }

    pub async fn set(&self, label: &str, key: &str, value: &[u8]) -> Result<(), Failed> {
        self.retry(|connection| connection.prepare_cached(SET)?.execute((label, key, value)))
            .await
            .map(drop)
    }

    pub async fn delete(&self, label: &str, key: &str) -> Result<(), Failed> {
        self.retry(|connection| connection.prepare_cached(DELETE)?.execute([label, key]))
            .await
            .map(drop)
    }

    pub async fn keys(&self, label: &str) -> Result<Vec<String>, Failed> {
        self.retry(|connection| {
            connection
                .prepare_cached(KEYS)?
                .query_map([label], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// Folds the log in and goes back to the journal that Spin uses. While another
    /// process has the file open it stays in WAL mode, which Spin reads as well.
    pub fn close(&self) -> Result<(), Failed> {
        if self.mode == Mode::Read {
            return Ok(());
        }
        let connection = self.lock();
        connection
            .busy_timeout(BUSY_MAX)
            .map_err(|e| e.to_string())?;
        connection.flush_prepared_statement_cache();
        match connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())) {
            Err(error) if !is_busy(&error) => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    async fn retry<T>(
        &self,
        mut operation: impl FnMut(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Failed> {
        let started = Instant::now();
        let mut wait = BUSY_FIRST_WAIT;
        loop {
            let result = operation(&self.lock());
            match result {
                Err(error) if is_busy(&error) && started.elapsed() < BUSY_MAX => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(BUSY_WAIT_MAX);
                }
                other => return other.map_err(|error| error.to_string()),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic in between leaves a connection that SQLite has rolled back.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_MAX)?;
    let mode = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
    match mode.as_deref() {
        Ok("wal") => {
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        }
        // Another process holds the file in its own mode, or the file system has no shared
        // memory. A rollback journal is only safe with full synchronisation.
        Ok(_) => connection.pragma_update(None, "synchronous", "FULL")?,
        Err(error) if is_busy(error) => connection.pragma_update(None, "synchronous", "FULL")?,
        Err(_) => return mode.map(drop),
    }
    connection.execute(TABLE, [])?;
    Ok(())
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_MAX)?;
    let exists = connection
        .query_row(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'spin_key_value'",
            [],
            |_| Ok(()),
        )
        .optional()?;
    match exists {
        Some(()) => Ok(connection),
        None => {
            let empty = Connection::open_in_memory()?;
            empty.execute(TABLE, [])?;
            Ok(empty)
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn opening(path: &Path, error: &dyn std::error::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "opening key-value store {:?}: {error}",
        PathBuf::from(path).display()
    )
}
