//! What the application keeps, read from outside: Spin's own table in SQLite, which the
//! embedded runtime shares, or Redis.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::Value;

use crate::real::REDIS_PASSWORD;
use crate::wait::PATIENCE;

pub enum State {
    Sqlite(PathBuf),
    Redis(SocketAddr),
}

impl State {
    /// The record of a check, once it exists.
    pub fn monitor(&self, check: &str) -> Option<Value> {
        self.read(&format!("monitor/{check}"))
    }

    /// When the check's last probe began, and its status.
    pub fn last(&self, check: &str) -> Option<(u64, String)> {
        let monitor = self.monitor(check)?;
        let last = &monitor["last"];
        Some((last["at"].as_u64()?, last["status"].as_str()?.to_owned()))
    }

    /// What the alert component keeps of the service: messages under way and delivered.
    pub fn ledger(&self) -> Option<Value> {
        self.read("alert/ledger")
    }

    /// The bytes under a key, as they are.
    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        match self {
            Self::Sqlite(file) => from_sqlite(file, key),
            Self::Redis(addr) => from_redis(*addr, key),
        }
    }

    /// Puts bytes under a key, as an operator's hand or a faulty disk does. SQLite only.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let sql = "INSERT OR REPLACE INTO spin_key_value VALUES ('default', ?1, ?2)";
        self.open().execute(sql, (key, bytes)).unwrap();
    }

    /// Changes the record under a key. Nothing may run on the state meanwhile. SQLite only.
    pub fn edit(&self, key: &str, change: impl FnOnce(&mut Value)) {
        let mut versioned: Value = serde_json::from_slice(&self.bytes(key).unwrap()).unwrap();
        change(&mut versioned["record"]);
        self.put(key, versioned.to_string().as_bytes());
    }

    /// Holds the store until the guard is dropped: who writes waits, who reads does not. So a
    /// process can be met between what it did and its note of it. SQLite only.
    pub fn hold(&self) -> Held {
        let store = self.open();
        store.execute_batch("BEGIN IMMEDIATE").unwrap();
        Held { _store: store }
    }

    /// How many there are. SQLite only.
    pub fn keys(&self) -> u32 {
        let sql = "SELECT COUNT(*) FROM spin_key_value WHERE store = 'default'";
        self.open().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Forgets what the alert component keeps. Nothing may run on the state meanwhile.
    pub fn forget_ledger(&self) {
        let sql = "DELETE FROM spin_key_value WHERE store = 'default' AND key = 'alert/ledger'";
        let deleted = self.open().execute(sql, []).unwrap();
        assert_eq!(deleted, 1, "forgetting the ledger");
    }

    /// SQLite only.
    fn open(&self) -> Connection {
        let Self::Sqlite(file) = self else {
            panic!("writing to the state: it is not in SQLite");
        };
        let store = Connection::open(file).unwrap();
        store.busy_timeout(PATIENCE).unwrap();
        store
    }

    fn read(&self, key: &str) -> Option<Value> {
        // Not there yet, or being written at this moment: the caller looks again.
        let mut versioned: Value = serde_json::from_slice(&self.bytes(key)?).ok()?;
        assert_eq!(versioned["version"], 1, "reading {key:?}: {versioned}");
        Some(versioned["record"].take())
    }
}

/// Ends, and with it the transaction that nothing was written in, when dropped.
pub struct Held {
    _store: Connection,
}

fn from_sqlite(file: &PathBuf, key: &str) -> Option<Vec<u8>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(file, flags).ok()?;
    let sql = "SELECT value FROM spin_key_value WHERE store = 'default' AND key = ?1";
    store
        .query_row(sql, [key], |row| row.get(0))
        .optional()
        .ok()?
}

/// `GET`, in Redis's own protocol (RESP 2): `$<length>` and so many bytes, or `$-1`.
fn from_redis(addr: SocketAddr, key: &str) -> Option<Vec<u8>> {
    let mut redis = BufReader::new(TcpStream::connect(addr).ok()?);
    let mut ask = |words: [&str; 2]| -> Option<String> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request += &format!("${}\r\n{word}\r\n", word.len());
        }
        redis.get_mut().write_all(request.as_bytes()).ok()?;
        let mut line = String::new();
        redis.read_line(&mut line).ok()?;
        Some(line)
    };
    ask(["AUTH", REDIS_PASSWORD])?;
    let length = ask(["GET", key])?;
    let length = length.strip_prefix('$')?.trim().parse().ok()?;
    let mut bytes = vec![0; length];
    redis.read_exact(&mut bytes).ok()?;
    Some(bytes)
}
