//! One `watchbell up` a SQLite file: two would count every failure twice, and each key has
//! one writer. A Redis has no such guard.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

const EXTENSION: &str = ".lock";
/// What is read of the file: a process id.
const PID_BYTES_MAX: u64 = 20;

/// Held until dropped; the system lets go of it when the process dies, however it dies.
pub struct Lock(#[expect(dead_code, reason = "open is all that it has to be")] File);

/// Takes a database that [`real_path`] gave, by a file beside it: SQLite's own locks are on
/// the database itself.
pub fn take(database: &Path) -> anyhow::Result<Lock> {
    let mut path = database.to_owned().into_os_string();
    path.push(EXTENSION);
    let path = PathBuf::from(path);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("opening {:?}", path.display()))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let _ = file.take(PID_BYTES_MAX).read_to_string(&mut pid);
            bail!(
                "using key-value store {:?}: another watchbell runs on it (process {}), want a file of its own: --state-dir, or a path in the runtime config",
                database.display(),
                pid.trim()
            );
        }
        // A file system without locks: no reason not to run.
        Err(_) => return Ok(Lock(file)),
    }
    file.set_len(0)?;
    // Only for the message above.
    let _ = writeln!(file, "{}", std::process::id());
    Ok(Lock(file))
}

/// The one path of a database that may be named by several: through links, or not there
/// yet. Makes its directory.
pub fn real_path(database: &Path) -> anyhow::Result<PathBuf> {
    let real = || match database.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Some(dir), Some(name)) = (database.parent(), database.file_name()) else {
                return Err(error);
            };
            fs::create_dir_all(dir)?;
            Ok(dir.canonicalize()?.join(name))
        }
        other => other,
    };
    real().with_context(|| format!("opening key-value store {:?}", database.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_has_one_runtime_by_whatever_path() {
        let dir = tempfile::tempdir().expect("a folder");
        let database = dir.path().join("state/kv.db");
        let take = |path: &Path| take(&real_path(path).expect("a path"));
        let first = take(&database).expect("the first");
        fs::write(&database, "").expect("writes");
        let link = dir.path().join("link.db");
        std::os::unix::fs::symlink(&database, &link).expect("links");
        for path in [&database, &link] {
            let second = take(path).err().map(|e| e.to_string());
            let want = format!("(process {})", std::process::id());
            assert!(second.is_some_and(|e| e.contains(&want)));
        }
        take(&dir.path().join("state/other.db")).expect("another database");
        drop(first);
        take(&link).expect("free again");
    }
}
