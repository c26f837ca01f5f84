//! Compiled components on disk: a start takes milliseconds and the compiler's memory is never ours.

use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The hidden command that compiles, in a process of its own.
pub const COMPILE_COMMAND: &str = "compile-component";
/// A wasm file; ours stay below 1 MB, and the compiler needs a hundred times that.
const WASM_BYTES_MAX: u64 = 64 << 20;
/// A compiled file that no start has used for so long is removed.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);
const EXTENSION: &str = "cwasm";
/// Group's and others' bits to write.
const OTHERS_MAY_WRITE: u32 = 0o022;

/// Where compiled components are kept.
pub struct Cache {
    /// Looked into, in this order. One that was filled before and cannot be written (an
    /// image's) is as good as any.
    readable: Vec<PathBuf>,
    writable: Option<PathBuf>,
}

impl Cache {
    /// Below the state directory; where there is none, or it is another user's (a
    /// monitoring agent that runs `check`), in the user's cache directory; where that
    /// cannot be written either, nowhere, and every start compiles what it does not find.
    pub fn open(state_dir: Option<&Path>) -> Self {
        let below_state = state_dir.map(|dir| dir.join("compiled"));
        let of_user = user_cache_dir().map(|dir| dir.join("watchbell").join("compiled"));
        Self::among(below_state.into_iter().chain(of_user))
    }

    /// Up to the first that can be written.
    fn among(dirs: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut cache = Self {
            readable: Vec::new(),
            writable: None,
        };
        for dir in dirs {
            // Where it cannot be made, it may be there all the same.
            let _ = create_private(&dir);
            let metadata = match fs::metadata(&dir) {
                Ok(metadata) if is_ours(&metadata) => metadata,
                _ => continue,
            };
            if let Err(error) = only_ours(&metadata) {
                crate::say::warn(&format!("ignoring {:?}: {error}", dir.display()));
                continue;
            }
            let writable = tempfile::tempfile_in(&dir).is_ok();
            cache.readable.push(dir.clone());
            if writable {
                cache.writable = Some(dir);
                break;
            }
        }
        cache
    }

    /// The component in `source`, compiled before or now.
    pub fn load(&self, engine: &Engine, source: &Path) -> anyhow::Result<Component> {
        let wasm = read(source)?;
        let name = format!("{}.{EXTENSION}", key(engine, &wasm));
        drop(wasm);
        for path in self.readable.iter().map(|dir| dir.join(&name)) {
            match load_compiled(engine, &path) {
                Ok(Some(component)) => {
                    touch(&path);
                    return Ok(component);
                }
                Ok(None) => {}
                Err(error) => {
                    crate::say::warn(&format!("ignoring {:?}: {error:#}", path.display()));
                }
            }
        }
        crate::say::info(&format!("Compiling {:?}", source.display()));
        match &self.writable {
            Some(dir) => compile_and_load(engine, source, &dir.join(&name)),
            None => {
                // Only until it is loaded: what is mapped needs no name.
                let dir = tempfile::Builder::new()
                    .prefix("watchbell-")
                    .tempdir()
                    .context("creating a directory to compile in")?;
                compile_and_load(engine, source, &dir.path().join(&name))
            }
        }
    }

    /// Removes what has not been used for long.
    pub fn prune(&self) {
        let Some(Ok(entries)) = self.writable.as_ref().map(fs::read_dir) else {
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

fn compile_and_load(engine: &Engine, source: &Path, target: &Path) -> anyhow::Result<Component> {
    compile_in_child(source, target)?;
    load_compiled(engine, target)
        .and_then(|component| component.context("it is not there"))
        .with_context(|| format!("loading {:?} after compiling it", target.display()))
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

/// The compiled file; `None` where there is none for us. One that others may write, or that
/// wasmtime refuses, is an error.
fn load_compiled(engine: &Engine, path: &Path) -> anyhow::Result<Option<Component>> {
    let file = match File::open(path) {
        // Denied in root's own cache, to another user's `check`.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(None);
        }
        opened => opened?,
    };
    only_ours(&file.metadata()?)?;
    // SAFETY: loading runs what the file says, so it must be a file that our own compiler
    // wrote. Only this user can have, or root: the open file and the directory it was
    // opened in (asked by `Cache::open`, or made by `tempfile`) are theirs, nobody else may
    // write them, and it appears by rename, so it is never half written. wasmtime itself
    // refuses one of another version or configuration.
    #[allow(unsafe_code)]
    let component =
        unsafe { Component::deserialize_file(engine, format!("/dev/fd/{}", file.as_raw_fd())) };
    Ok(Some(component?))
}

/// Whether it belongs to this user, or to the one who may do anything to us anyway.
fn is_ours(metadata: &Metadata) -> bool {
    [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid())
}

/// That nobody else writes it.
fn only_ours(metadata: &Metadata) -> anyhow::Result<()> {
    let mode = metadata.mode() & 0o7777;
    ensure!(
        is_ours(metadata),
        "got one of user {}, want this user's own or root's",
        metadata.uid()
    );
    ensure!(
        mode & OTHERS_MAY_WRITE == 0,
        "got mode {mode:o}, want one that only its owner may write"
    );
    Ok(())
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
    let read = || -> io::Result<Vec<u8>> {
        let bytes = fs::metadata(source)?.len();
        if bytes > WASM_BYTES_MAX {
            return Err(io::Error::other(format!(
                "got {bytes} bytes, want at most {WASM_BYTES_MAX}"
            )));
        }
        fs::read(source)
    };
    read().with_context(|| format!("reading {:?}", source.display()))
}

/// Creates a directory for this user alone. Those above it are like any other: the state
/// directory's logs and data have readers of their own.
fn create_private(dir: &Path) -> io::Result<()> {
    if let Some(above) = dir.parent() {
        fs::create_dir_all(above)?;
    }
    fs::DirBuilder::new().mode(0o700).create(dir)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// `(component)`.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    /// A wasm file, and the directory where it lies compiled.
    fn prefilled(dir: &Path, engine: &Engine) -> (PathBuf, PathBuf) {
        let source = dir.join("empty.wasm");
        fs::write(&source, EMPTY).expect("writes");
        let compiled = dir.join("state/compiled");
        create_private(&compiled).expect("creates");
        let name = format!("{}.{EXTENSION}", key(engine, EMPTY));
        compile(&source, &compiled.join(name)).expect("compiles");
        (source, compiled)
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).expect("is there").mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changes");
    }

    #[test]
    fn only_the_compiled_files_own_directory_is_private() {
        let dir = tempfile::tempdir().expect("a directory");
        let usual = dir.path().join("usual");
        fs::create_dir(&usual).expect("creates");
        let state = dir.path().join("state");
        let cache = Cache::open(Some(&state));
        assert_eq!(cache.writable, Some(state.join("compiled")));
        assert_eq!(mode_of(&state.join("compiled")), 0o700);
        assert_eq!(mode_of(&state), mode_of(&usual));
    }

    #[test]
    fn what_was_compiled_before_is_read_where_nothing_can_be_written() {
        let engine = crate::engine::compiler().expect("an engine");
        let dir = tempfile::tempdir().expect("a directory");
        let (source, compiled) = prefilled(dir.path(), &engine);
        // Root writes in spite of any mode, so it is said here.
        let cache = Cache {
            readable: vec![compiled],
            writable: None,
        };
        // This program is no compiler: it must not be asked.
        cache.load(&engine, &source).expect("loads");
    }

    #[test]
    fn what_others_may_write_is_not_loaded() {
        let engine = crate::engine::compiler().expect("an engine");
        let dir = tempfile::tempdir().expect("a directory");
        let (_, compiled) = prefilled(dir.path(), &engine);
        let file = compiled.join(format!("{}.{EXTENSION}", key(&engine, EMPTY)));
        set_mode(&file, 0o644);
        assert!(load_compiled(&engine, &file).is_ok_and(|found| found.is_some()));
        set_mode(&file, 0o664);
        let error = load_compiled(&engine, &file)
            .map(drop)
            .expect_err("refuses");
        assert!(error.to_string().contains("664"), "{error}");

        set_mode(&compiled, 0o775);
        let cache = Cache::among([compiled]);
        assert!(cache.readable.is_empty());
    }

    #[test]
    fn a_file_that_wasmtime_refuses_says_why() {
        let engine = crate::engine::compiler().expect("an engine");
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("broken.cwasm");
        fs::write(&file, "no code").expect("writes");
        set_mode(&file, 0o600);
        let error = load_compiled(&engine, &file)
            .map(drop)
            .expect_err("refuses");
        assert!(!error.to_string().is_empty());
        let none = load_compiled(&engine, &dir.path().join("none.cwasm"));
        assert!(none.is_ok_and(|found| found.is_none()));
    }
}
