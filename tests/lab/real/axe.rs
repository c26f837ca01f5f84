//! The accessibility rules of axe-core, from npm, pinned by `tests/real/axe`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use super::go::is_newer;
use crate::{skip, wasm};

const PINS: [&str; 2] = ["package.json", "package-lock.json"];

static SCRIPT: LazyLock<Result<String, String>> = LazyLock::new(|| {
    let dir = installed()?;
    let file = dir.join("node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&file).map_err(|e| format!("reading {file:?}: {e}"))
});

/// What defines `axe` in a page. An error is a reason to skip.
pub fn axe() -> Result<String, String> {
    SCRIPT.clone()
}

/// Where it is, after fetching it where that is needed.
fn installed() -> Result<PathBuf, String> {
    let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/axe");
    let dir = wasm::target_dir().join("lab-axe");
    // npm's own note, written last; the files themselves bear the date of their release.
    let note = dir.join("node_modules/.package-lock.json");
    if is_newer(&note, &PINS.map(|file| pins.join(file))) {
        return Ok(dir);
    }
    let npm = skip::program(&["npm"]).ok_or("no npm on PATH to fetch axe-core with")?;
    let failed = |e| format!("fetching axe-core: {e}");
    std::fs::create_dir_all(&dir).map_err(failed)?;
    for file in PINS {
        std::fs::copy(pins.join(file), dir.join(file)).map_err(failed)?;
    }
    let status = Command::new(npm)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&dir)
        .stdout(Stdio::null())
        .status()
        .map_err(failed)?;
    match status.success() {
        true => Ok(dir),
        false => Err(format!("fetching axe-core: npm: {status}")),
    }
}
