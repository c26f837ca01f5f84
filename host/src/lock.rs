//! One `watchbell up` a state directory: two would count every failure twice, and each
//! key has one writer.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

const FILE: &str = "watchbell.lock";
/// What is read of the file: a process id.
const PID_BYTES_MAX: u64 = 20;

/// Held until dropped; the system lets go of it when the process dies, however it dies.
pub struct Lock(#[expect(dead_code, reason = "open is all that it has to be")] File);

/// Takes the directory, which is made when it is not there.
pub fn take(state_dir: &Path) -> anyhow::Result<Lock> {
    let path = state_dir.join(FILE);
    std::fs::create_dir_all(state_dir)
        .with_context(|| format!("creating {:?}", state_dir.display()))?;
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
                "using state directory {:?}: another watchbell runs on it (process {}), want one of its own: --state-dir",
                state_dir.display(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_has_one_runtime() {
        let dir = tempfile::tempdir().expect("a folder");
        let below = dir.path().join("state");
        let first = take(&below).expect("the first");
        let second = take(&below).err().map(|e| e.to_string());
        let want = format!("(process {})", std::process::id());
        assert!(second.is_some_and(|e| e.contains(&want)));
        drop(first);
        take(&below).expect("free again");
    }
}
