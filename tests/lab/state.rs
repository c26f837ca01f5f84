//! What the application keeps, read from outside: Spin's own table, which the
//! embedded runtime shares.

use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::Value;

pub struct State {
    pub file: PathBuf,
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
        self.read("alert/headscale")
    }

    fn read(&self, key: &str) -> Option<Value> {
        // Not there yet, or being written at this moment: the caller looks again.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let store = Connection::open_with_flags(&self.file, flags).ok()?;
        let sql = "SELECT value FROM spin_key_value WHERE store = 'default' AND key = ?1";
        let bytes: Option<Vec<u8>> = store
            .query_row(sql, [key], |row| row.get(0))
            .optional()
            .ok()?;
        let mut versioned: Value = serde_json::from_slice(&bytes?).ok()?;
        assert_eq!(versioned["version"], 1, "reading {key:?}: {versioned}");
        Some(versioned["record"].take())
    }
}
