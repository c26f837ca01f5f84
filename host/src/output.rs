//! What a command writes for the operator: the whole of it or nothing, and over nothing but
//! what such a command has written before.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use tempfile::NamedTempFile;
use watchbell_deploy::File;

use crate::say::{self, out};

/// Stands in each of them.
const MARK: &str = "ritten by `watchbell ";
const READABLE: u32 = 0o644;

/// To standard output. That nobody reads on is no fault; that it cannot be written is.
pub fn text(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}

/// To standard output: one file as it is; of several, each under a line with its name.
pub fn texts(files: &[File]) -> anyhow::Result<()> {
    for file in files {
        if files.len() > 1 {
            out!("# ---- {}", file.name);
        }
        text(&file.text)?;
    }
    Ok(())
}

/// Into a directory, which is made where there is none.
pub fn files(dir: &Path, files: &[File]) -> anyhow::Result<()> {
    for file in files {
        may_replace(&dir.join(file.name))?;
    }
    for file in files {
        let path = dir.join(file.name);
        self::file(&path, &file.text)?;
        say::info(&path.display().to_string());
    }
    Ok(())
}

pub fn file(path: &Path, text: &str) -> anyhow::Result<()> {
    let writing = || format!("writing {path:?}");
    if !may_replace(path)? {
        // A device, a pipe: there is no name to take over.
        return fs::write(path, text).with_context(writing);
    }
    let dir = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(dir).with_context(|| format!("making the directory {dir:?}"))?;
    let mut file = NamedTempFile::new_in(dir).with_context(writing)?;
    file.write_all(text.as_bytes()).with_context(writing)?;
    let mode = Permissions::from_mode(READABLE);
    file.as_file().set_permissions(mode).with_context(writing)?;
    file.persist(path).with_context(writing)?;
    Ok(())
}

/// Whether the name may be taken over: nothing has it, or what a command has written.
fn may_replace(path: &Path) -> anyhow::Result<bool> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error).with_context(|| format!("writing {path:?}")),
    };
    // It would put the text elsewhere.
    if there.is_symlink() {
        bail!("writing {path:?}: got a symbolic link, want a file or nothing");
    }
    if there.is_dir() {
        bail!("writing {path:?}: got a directory, want a file or nothing");
    }
    if !there.is_file() {
        return Ok(false);
    }
    let old = fs::read(path).with_context(|| format!("reading {path:?}"))?;
    if !old.is_empty() && !String::from_utf8_lossy(&old).contains(MARK) {
        bail!("writing {path:?}: got a file that Watchbell has not written, want another name");
    }
    Ok(true)
}
