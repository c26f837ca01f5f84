//! Programs in Go, each built once from a pinned module under `tests/real`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::skip;

/// A program of one of those modules.
pub struct Program {
    /// The module's folder.
    pub module: &'static str,
    pub package: &'static str,
}

impl Program {
    /// Builds it where that is needed. An error is a reason to skip.
    pub fn build(&self) -> Result<PathBuf, String> {
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.module);
        let name = self.package.rsplit('/').next().unwrap_or(self.package);
        let binary = module.join("bin").join(name);
        if is_newer(&binary, &["go.mod", "go.sum"].map(|file| module.join(file))) {
            return Ok(binary);
        }
        let go = skip::program(&["go", "/usr/local/go/bin/go"])
            .ok_or_else(|| format!("no go on PATH to build {name} with"))?;
        let status = Command::new(go)
            .args(["build", "-o"])
            .arg(&binary)
            .arg(self.package)
            .current_dir(&module)
            .status()
            .map_err(|e| format!("building {name}: {e}"))?;
        if !status.success() {
            return Err(format!("building {name}: {status}"));
        }
        // Go leaves a binary alone that would come out the same.
        let built = File::options().append(true).open(&binary);
        built
            .and_then(|file| file.set_modified(SystemTime::now()))
            .map_err(|e| format!("dating {name}: {e}"))?;
        Ok(binary)
    }
}

/// Whether it exists, and has been made after all of its sources.
pub fn is_newer(made: &Path, sources: &[PathBuf]) -> bool {
    let at = |path: &Path| path.metadata().and_then(|m| m.modified());
    at(made).is_ok_and(|made| sources.iter().all(|s| at(s).is_ok_and(|s| s <= made)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn another_version_asked_for_is_another_binary() {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("headscale");
        let sources = ["go.mod", "go.sum"].map(|name| dir.path().join(name));
        let now = SystemTime::now();
        let touch = |path: &Path, after_s| {
            let file = File::create(path).unwrap();
            file.set_modified(now + Duration::from_secs(after_s))
                .unwrap();
        };
        sources.iter().for_each(|source| touch(source, 0));
        assert!(!is_newer(&made, &sources), "there is none");
        touch(&made, 1);
        assert!(is_newer(&made, &sources), "made after both");
        for source in &sources {
            touch(source, 2);
            assert!(!is_newer(&made, &sources), "{source:?} has changed");
            touch(source, 0);
        }
    }
}
