//! Compiled components on disk: a start takes milliseconds and the compiler's memory is never ours.

use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The hidden command that compiles, in a process of its own.
pub const COMPILE_COMMAND: &str = "compile-component";
/// A wasm file; ours stay below 1 MB, and the compiler needs a hundred times that.
const WASM_BYTES_MAX: u64 = 64 << 20;
/// A compiled file that no start has used for so long is removed.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);
const EXTENSION: &str = "cwasm";

/// Where compiled components are kept.
pub struct Cache {
    dir: PathBuf,
    /// Where nothing lasting can be written: gone with this process.
    _temporary: Option<TempDir>,
}

impl Cache {
    /// Below the state directory; where there is none, or it is another user's (a
    /// monitoring agent that runs `check`), in the user's cache directory; where that
    /// cannot be written either, in a temporary one, and every start compiles.
    pub fn open(state_dir: Option<&Path>) -> anyhow::Result<Self> {
        let below_state = state_dir.map(|dir| dir.join("compiled"));
        let of_user = user_cache_dir().map(|dir| dir.join("watchbell").join("compiled"));
        for dir in below_state.into_iter().chain(of_user) {
            if create_private(&dir).unwrap_or(false) {
                return Ok(Self {
                    dir,
                    _temporary: None,
                });
            }
        }
        let temporary = tempfile::Builder::new()
            .prefix("watchbell-")
            .tempdir()
            .context("creating a directory for compiled components")?;
        Ok(Self {
            dir: temporary.path().to_owned(),
            _temporary: Some(temporary),
        })
    }

    /// The component in `source`, compiled before or now.
    pub fn load(&self, engine: &Engine, source: &Path) -> anyhow::Result<Component> {
        let wasm = read(source)?;
        let path = self.dir.join(format!("{}.{EXTENSION}", key(engine, &wasm)));
        drop(wasm);
        if let Some(component) = load_compiled(engine, &path) {
            touch(&path);
            return Ok(component);
        }
        crate::say::info(&format!("Compiling {:?}", source.display()));
        compile_in_child(source, &path)?;
        load_compiled(engine, &path)
            .with_context(|| format!("loading {:?} after compiling it", path.display()))
    }

    /// Removes what has not been used for long.
    pub fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten() {
            let old = entry.metadata().and_then(|m| m.modified()).is_ok_and(|at| {
                SystemTime::now()
                    .duration_since(at)
                    .is_ok_and(|age| age > KEEP)
            });
            if old && entry.path().extension().is_some_and(|e| e == EXTENSION) {
                // Another start may have removed it first.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The work of the hidden command: `source` compiled to `target`, all of it or nothing.
pub fn compile(source: &Path, target: &Path) -> anyhow::Result<()> {
    let wasm = read(source)?;
    let code = crate::engine::compiler()?
        .precompile_component(&wasm)
        .map_err(anyhow::Error::from)
        .with_context(|| format!("compiling {:?}", source.display()))?;
    let partial = target.with_extension(format!("{}.partial", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| format!("creating {:?}", partial.display()))?;
    file.write_all(&code)?;
    file.sync_all()?;
    fs::rename(&partial, target).with_context(|| format!("creating {:?}", target.display()))
}

fn compile_in_child(source: &Path, target: &Path) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("finding this program's own file")?;
    let output = Command::new(program)
        .arg(COMPILE_COMMAND)
        .arg(source)
        .arg(target)
        .stdin(Stdio::null())
        .output()
        .context("starting the compiler")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{}", text.trim().trim_start_matches("error: "));
    }
    Ok(())
}

/// The compiled file, unless it is absent, unreadable, of another wasmtime, or not only ours.
fn load_compiled(engine: &Engine, path: &Path) -> Option<Component> {
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.mode() & 0o077 != 0 {
        crate::say::warn(&format!(
            "ignoring {:?}: got a file that others may write, want one that only this user may",
            path.display()
        ));
        return None;
    }
    // SAFETY: loading runs what the file says, so it must be a file that our own compiler
    // wrote. Only this user can have: it lies in a directory of mode 0700, has mode 0600 and
    // is ours (asked above, of the open file), and it appears by rename, so it is never half
    // written. wasmtime itself refuses one of another version or configuration.
    #[allow(unsafe_code)]
    let component =
        unsafe { Component::deserialize_file(engine, format!("/dev/fd/{}", file.as_raw_fd())) };
    component.ok()
}

/// Names the code that this engine would make of this wasm.
fn key(engine: &Engine, wasm: &[u8]) -> String {
    struct Digesting(Sha256);
    impl Hasher for Digesting {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut digest = Digesting(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut digest);
    digest.0.update(wasm);
    digest
        .0
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn read(source: &Path) -> anyhow::Result<Vec<u8>> {
    let read = || -> std::io::Result<Vec<u8>> {
        let bytes = fs::metadata(source)?.len();
        if bytes > WASM_BYTES_MAX {
            return Err(std::io::Error::other(format!(
                "got {bytes} bytes, want at most {WASM_BYTES_MAX}"
            )));
        }
        fs::read(source)
    };
    read().with_context(|| format!("reading {:?}", source.display()))
}

/// Creates a directory for this user alone; whether it is this user's, and can be written.
fn create_private(dir: &Path) -> std::io::Result<bool> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let ours = fs::metadata(dir)?.uid() == rustix::process::geteuid().as_raw();
    Ok(ours && tempfile::tempfile_in(dir).is_ok())
}

fn touch(path: &Path) {
    // Only keeps it from being pruned.
    let _ = File::options()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()));
}

fn user_cache_dir() -> Option<PathBuf> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")))
}
