//! What a command writes for the operator: the whole of it or nothing, and over nothing but
//! what such a command has written before.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use watchbell_deploy::File;

use crate::say::{self, out};

/// Stands in the comment that each of them begins with, and then the command.
const MARK: &str = "ritten by `watchbell ";
/// Before the umask.
const READABLE: u32 = 0o666;

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
        may_replace(&dir.join(file.name), &file.text)?;
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
    let mode = match may_replace(path, text)? {
        Place::Free => None,
        Place::Ours(mode) => Some(mode),
        Place::Device => return fs::write(path, text).with_context(writing),
    };
    let dir = directory(path);
    fs::create_dir_all(dir).with_context(|| format!("making the directory {dir:?}"))?;
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(READABLE))
        .tempfile_in(dir)
        .with_context(writing)?;
    file.write_all(text.as_bytes()).with_context(writing)?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode).with_context(writing)?;
    }
    file.persist(path).with_context(writing)?;
    Ok(())
}

/// Where a file lies.
pub fn directory(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// What has the name now.
enum Place {
    Free,
    /// What the same command has written, and who may read it.
    Ours(Permissions),
    /// A device, a pipe: there is no name to take over.
    Device,
}

fn may_replace(path: &Path, text: &str) -> anyhow::Result<Place> {
    let look = |there: std::io::Result<fs::Metadata>| match there {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("writing {path:?}")),
    };
    let Some(there) = look(fs::symlink_metadata(path))? else {
        return Ok(Place::Free);
    };
    let leads_to = look(fs::metadata(path))?;
    if leads_to.is_some_and(|to| !to.is_file() && !to.is_dir()) {
        return Ok(Place::Device);
    }
    // It would put the text elsewhere.
    if there.is_symlink() {
        bail!("writing {path:?}: got a symbolic link, want a file or nothing");
    }
    if there.is_dir() {
        bail!("writing {path:?}: got a directory, want a file or nothing");
    }
    let old = fs::read(path).with_context(|| format!("reading {path:?}"))?;
    if !old.is_empty() && !is_ours(&String::from_utf8_lossy(&old), text) {
        bail!("writing {path:?}: got a file that Watchbell has not written, want another name");
    }
    Ok(Place::Ours(there.permissions()))
}

/// Whether the same command has written it: one line of the comment that it begins with is the
/// new text's, up to the command.
fn is_ours(old: &str, new: &str) -> bool {
    let heads = |text| str::lines(text).take_while(|line| line.starts_with('#'));
    let command = |line: &'_ str| -> Option<usize> {
        let start = line.find(MARK)? + MARK.len();
        Some(start + line[start..].find([' ', '`'])?)
    };
    let mark = heads(new).find_map(|line| line.get(..command(line)?));
    mark.is_some_and(|mark| heads(old).any(|line| line.starts_with(mark)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_same_command_has_written_is_ours() {
        let new = "# Written by `watchbell manifest --target akamai` from spin.toml\na = 1\n";
        for (old, want) in [
            (new, true),
            ("# Written by `watchbell manifest --target spin` …\n", true),
            (
                "# what is written by `watchbell manifest` goes there\n",
                false,
            ),
            (
                "# Calls: written by `watchbell schedule --target x`\n",
                false,
            ),
            (
                "a = 1\n# Written by `watchbell manifest --target akamai`\n",
                false,
            ),
            ("a = 1\n", false),
        ] {
            assert_eq!(is_ours(old, new), want, "{old}");
        }
        assert!(!is_ours("", "no mark"), "nothing is ours by default");
    }
}
