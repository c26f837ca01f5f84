//! The backends on real SQLite files.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

const SPINS_TABLE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (
    store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))";

fn sqlite(path: &Path, mode: Mode) -> Backend {
    Backend::Sqlite(Sqlite::open(Some(path), mode).expect("opens"))
}

async fn check_store(store: &Backend) {
    assert_eq!(store.get("default", "a").await, Ok(None));
    store.set("default", "a", b"1").await.expect("sets");
    store.set("default", "a", b"2").await.expect("overwrites");
    store
        .set("default", "b", b"")
        .await
        .expect("sets an empty value");
    store
        .set("other", "a", b"9")
        .await
        .expect("sets in another store");
    assert_eq!(store.get("default", "a").await, Ok(Some(b"2".to_vec())));
    assert_eq!(store.get("default", "b").await, Ok(Some(Vec::new())));
    let mut keys = store.keys("default").await.expect("lists");
    keys.sort();
    assert_eq!(keys, ["a", "b"]);
    store.delete("default", "a").await.expect("deletes");
    store
        .delete("default", "a")
        .await
        .expect("deletes what is not there");
    assert_eq!(store.get("default", "a").await, Ok(None));
    assert_eq!(store.get("other", "a").await, Ok(Some(b"9".to_vec())));
}

#[tokio::test]
async fn every_backend_keeps_what_it_is_given() {
    let dir = tempfile::tempdir().expect("a directory");
    check_store(&sqlite(&dir.path().join("deep/er/kv.db"), Mode::Run)).await;
    check_store(&Backend::Sqlite(
        Sqlite::open(None, Mode::Run).expect("opens in memory"),
    ))
    .await;
    check_store(&Backend::Overlay(Overlay::over(sqlite(
        &dir.path().join("none.db"),
        Mode::Read,
    ))))
    .await;
}

#[tokio::test]
async fn a_file_of_spins_is_taken_and_left_as_spin_has_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("sqlite_key_value.db");
    let spin = rusqlite::Connection::open(&path).expect("opens");
    spin.execute(SPINS_TABLE, []).expect("creates");
    spin.execute(
        "INSERT INTO spin_key_value VALUES ('default', 'from', X'7370696e')",
        [],
    )
    .expect("inserts");
    drop(spin);

    let ours = sqlite(&path, Mode::Run);
    assert_eq!(
        ours.get("default", "from").await,
        Ok(Some(b"spin".to_vec()))
    );
    ours.set("default", "to", b"spin").await.expect("sets");
    ours.close().expect("closes");
    drop(ours);

    let left: Vec<String> = std::fs::read_dir(dir.path())
        .expect("lists")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(
        left,
        ["sqlite_key_value.db"],
        "no log is left beside the file"
    );
    let spin = rusqlite::Connection::open(&path).expect("opens");
    let mode: String = spin
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .expect("asks");
    assert_eq!(mode, "delete");
    let value: Vec<u8> = spin
        .query_row(
            "SELECT value FROM spin_key_value WHERE store = 'default' AND key = 'to'",
            [],
            |row| row.get(0),
        )
        .expect("finds");
    assert_eq!(value, b"spin");
}

#[tokio::test]
async fn a_value_that_was_written_as_text_is_read_as_its_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kv.db");
    let ours = sqlite(&path, Mode::Run);
    let by_hand = rusqlite::Connection::open(&path).expect("opens");
    by_hand
        .execute(
            "INSERT INTO spin_key_value VALUES ('default', 'a', 'text')",
            [],
        )
        .expect("inserts");
    assert_eq!(ours.get("default", "a").await, Ok(Some(b"text".to_vec())));
}

#[test]
fn only_a_file_that_is_not_there_is_read_as_empty() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = |path: &Path| Sqlite::open(Some(path), Mode::Read).map(drop);
    open(&dir.path().join("none.db")).expect("is empty");
    // As a directory that may not be searched, and root is stopped by this one too.
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("writes");
    let error = open(&file.join("kv.db")).expect_err("cannot be looked at");
    assert!(error.to_string().contains("file/kv.db"), "{error}");
    open(dir.path()).expect_err("a directory is no database");
}

#[tokio::test]
async fn what_is_set_outlives_a_process_that_never_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kv.db");
    let killed = sqlite(&path, Mode::Run);
    killed.set("default", "a", b"1").await.expect("sets");
    // Copied as it lies on the disk now, as after SIGKILL.
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).expect("a directory");
    for name in ["kv.db", "kv.db-wal"] {
        std::fs::copy(dir.path().join(name), copy.join(name)).expect("copies");
    }
    let after = sqlite(&copy.join("kv.db"), Mode::Run);
    assert_eq!(after.get("default", "a").await, Ok(Some(b"1".to_vec())));
}

/// Processes, not threads: within one process SQLite shares the state of its locks.
#[tokio::test]
async fn two_processes_share_a_file() {
    const TEST: &str = "two_processes_share_a_file";
    const FILE: &str = "WATCHBELL_TEST_SHARED_FILE";
    const WRITES: usize = 100;
    if let Some(path) = std::env::var_os(FILE) {
        return write_as_the_other_process(Path::new(&path), WRITES).await;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kv.db");
    let ours = sqlite(&path, Mode::Run);
    let module = module_path!().split_once("::").expect("a crate").1;
    let mut other = Command::new(std::env::current_exe().expect("this program"))
        .args([&format!("{module}::{TEST}"), "--exact", "--nocapture"])
        .env(FILE, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut said = BufReader::new(other.stdout.take().expect("its output")).lines();
    let mut hears = |word: &str| said.any(|line| line.is_ok_and(|l| l.ends_with(word)));
    assert!(hears("opened"), "the other process has the file open");
    other
        .stdin
        .take()
        .expect("its input")
        .write_all(b"write\n")
        .expect("tells it to write");
    for n in 0..WRITES {
        let key = format!("ours/{n}");
        ours.set("default", &key, b"x").await.expect("sets");
    }
    assert!(hears("written"), "the other process has written all");
    let keys = ours.keys("default").await.expect("lists");
    let of = |writer: &str| keys.iter().filter(|k| k.starts_with(writer)).count();
    assert_eq!((of("ours/"), of("theirs/")), (WRITES, WRITES));
    // The first to close leaves the file usable for the other.
    assert!(other.wait().expect("ends").success());
    ours.set("default", "last", b"x").await.expect("sets");
    ours.close().expect("closes");
}

/// What the other process does: opens, waits to be told, writes, closes.
async fn write_as_the_other_process(path: &Path, writes: usize) {
    let theirs = sqlite(path, Mode::Run);
    println!("opened");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("is told");
    for n in 0..writes {
        let key = format!("theirs/{n}");
        theirs.set("default", &key, b"x").await.expect("sets");
    }
    theirs.close().expect("closes");
    println!("written");
}

#[tokio::test]
async fn a_writer_waits_for_another_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kv.db");
    let ours = sqlite(&path, Mode::Run);
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let mut set = std::pin::pin!(ours.set("default", "a", b"1"));
    // One poll finds the file locked and gives the thread back.
    assert!(
        std::future::poll_fn(|cx| std::task::Poll::Ready(set.as_mut().poll(cx).is_pending())).await
    );
    other.execute_batch("COMMIT").expect("unlocks");
    set.await.expect("sets once the lock is gone");
}

#[tokio::test]
async fn a_trial_run_reads_what_is_stored_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("kv.db");
    let stored = sqlite(&path, Mode::Run);
    stored.set("default", "kept", b"1").await.expect("sets");
    stored.set("default", "gone", b"1").await.expect("sets");

    let trial = Backend::Overlay(Overlay::over(sqlite(&path, Mode::Read)));
    assert_eq!(trial.get("default", "kept").await, Ok(Some(b"1".to_vec())));
    trial.set("default", "kept", b"2").await.expect("sets");
    trial.set("default", "new", b"3").await.expect("sets");
    trial.delete("default", "gone").await.expect("deletes");
    assert_eq!(trial.get("default", "kept").await, Ok(Some(b"2".to_vec())));
    assert_eq!(trial.get("default", "gone").await, Ok(None));
    assert_eq!(
        trial.keys("default").await,
        Ok(vec!["kept".to_owned(), "new".to_owned()])
    );
    trial.close().expect("closes");

    let mut keys = stored.keys("default").await.expect("lists");
    keys.sort();
    assert_eq!(keys, ["gone", "kept"]);
    assert_eq!(stored.get("default", "kept").await, Ok(Some(b"1".to_vec())));
}

#[test]
fn only_listed_stores_open_and_only_configured_ones_exist() {
    let backend = Backend::Sqlite(Sqlite::open(None, Mode::Run).expect("opens"));
    let configured = [
        ("default".to_owned(), backend.clone()),
        ("secret".to_owned(), backend),
    ]
    .into();
    let stores = Stores::new(&["default".to_owned(), "nowhere".to_owned()], &configured);
    let outcome = |label: &str| match stores.open(label.to_owned()) {
        Ok(_) => "open",
        Err(Error::AccessDenied) => "access-denied",
        Err(Error::NoSuchStore) => "no-such-store",
        Err(_) => "another error",
    };
    assert_eq!(outcome("default"), "open");
    assert_eq!(outcome("secret"), "access-denied");
    assert_eq!(outcome("nowhere"), "no-such-store");
    assert_eq!(outcome("unheard-of"), "access-denied");
}
