//! `watchbell bundle`: a directory with all that a node needs, for `spin up` or for itself.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, ProgramHeader};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};
use watchbell_app::LoadOptions;
use watchbell_deploy::bundle::{
    self, Application, INSTALL_NAME, MANIFEST_NAME, Runtime, UNIT_NAME,
};

use crate::cli::{EXIT_FAILED, FromArgs};
use crate::{payload, say, terminal, validate};

/// The executable in a bundle of the embedded runtime.
const PROGRAM_NAME: &str = "watchbell";
/// Everything in a bundle is listed there.
const SUMS_NAME: &str = "SHA256SUMS";
const SUMS_SEPARATOR: &str = "  ";
const EXECUTABLE: u32 = 0o755;
const READABLE: u32 = 0o644;
/// What a bundle lacks because it is of one node: the values of variables.
const FOUND_ON_THE_NODE: &str = "variable-required";

#[derive(Args)]
pub struct BundleArgs {
    #[command(flatten)]
    from: FromArgs,
    /// What runs it on the node: `spin up`, or watchbell itself, in one file
    #[arg(long, value_parser = runtimes(), default_value = "embedded")]
    target: Runtime,
    /// The directory to make; a bundle that is there already is replaced
    #[arg(short, long, value_name = "DIR", required_unless_present = "unit")]
    output: Option<PathBuf>,
    /// The watchbell that runs on the node, for another processor; default: this program
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Print the systemd unit and make nothing
    #[arg(long)]
    unit: bool,
}

fn runtimes() -> impl TypedValueParser<Value = Runtime> {
    PossibleValuesParser::new(["spin", "embedded"]).map(|name| match name.as_str() {
        "spin" => Runtime::Spin,
        _ => Runtime::Embedded,
    })
}

/// By name, relative to the bundle's directory.
type Files = BTreeMap<String, (Vec<u8>, u32)>;

pub fn main(args: &BundleArgs) -> anyhow::Result<ExitCode> {
    let from = args.from.application()?;
    let text =
        fs::read_to_string(&from.manifest).with_context(|| format!("reading {:?}", from.name()))?;
    let application = Application::read(&text)?;
    let runtime = args.target;
    let texts = bundle::files(&application, runtime);
    let Some(output) = &args.output else {
        let unit = texts.iter().find(|file| file.name == UNIT_NAME);
        terminal::stdout(unit.map(|file| file.text.as_bytes()).unwrap_or_default());
        return Ok(ExitCode::SUCCESS);
    };
    ensure!(
        args.binary.is_none() || runtime == Runtime::Embedded,
        "got --binary with --target spin, want it with embedded: spin runs the other"
    );
    let dir = from.manifest.parent().unwrap_or(Path::new("."));
    let wasm = read_wasm(&application, dir)?;
    let manifest = application.manifest();
    let mut files: Files = texts
        .into_iter()
        .map(|file| (file.name.to_owned(), (file.text.into_bytes(), READABLE)))
        .collect();
    let carried = [(MANIFEST_NAME.to_owned(), manifest.into_bytes())]
        .into_iter()
        .chain(wasm);
    match runtime {
        Runtime::Spin => files.extend(carried.map(|(name, bytes)| (name, (bytes, READABLE)))),
        Runtime::Embedded => {
            let carried: Vec<_> = carried.collect();
            if let Some(code) = refused(&carried)? {
                return Ok(code);
            }
            let program = executable(args.binary.as_deref(), &carried)?;
            files.insert(PROGRAM_NAME.to_owned(), (program, EXECUTABLE));
        }
    }
    files.insert(SUMS_NAME.to_owned(), (sums(&files).into_bytes(), READABLE));
    write(output, &files)?;
    say::info(&format!(
        "Wrote {:?}: version {}, {} files, {} bytes; {} says what to do with it",
        output.display(),
        application.version(),
        files.len(),
        files.values().map(|(bytes, _)| bytes.len()).sum::<usize>(),
        INSTALL_NAME
    ));
    Ok(ExitCode::SUCCESS)
}

/// The wasm files, which must be built.
fn read_wasm(application: &Application, dir: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    application
        .wasm
        .iter()
        .map(|wasm| {
            let path = dir.join(&wasm.source);
            let bytes = fs::read(&path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => anyhow!(
                    "reading {:?} of component {:?}: it is not built, want it from {:?}",
                    path.display(),
                    wasm.component,
                    wasm.build.join(" && ")
                ),
                _ => anyhow!("reading {:?}: {error}", path.display()),
            })?;
            Ok((wasm.name.clone(), bytes))
        })
        .collect()
}

/// The embedded runtime's own opinion of what it is to carry: a node is no place to find
/// out. What Spin alone can run is for Spin to judge.
fn refused(carried: &[(String, Vec<u8>)]) -> anyhow::Result<Option<ExitCode>> {
    let dir = tempfile::tempdir().context("creating a directory to validate in")?;
    for (name, bytes) in carried {
        write_file(&dir.path().join(name), bytes, READABLE)?;
    }
    let mut findings = watchbell_app::validate(&LoadOptions {
        manifest: dir.path().join(MANIFEST_NAME),
        manifest_name: Some(MANIFEST_NAME.to_owned()),
        cwd: dir.path().to_owned(),
        ..LoadOptions::default()
    });
    findings.retain(|finding| finding.stops_start && finding.id != FOUND_ON_THE_NODE);
    validate::print(&findings);
    Ok((!findings.is_empty()).then(|| ExitCode::from(EXIT_FAILED)))
}

fn executable(binary: Option<&Path>, carried: &[(String, Vec<u8>)]) -> anyhow::Result<Vec<u8>> {
    let path = match binary {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().context("finding this program's own file")?,
    };
    let program = fs::read(&path).with_context(|| format!("reading {:?}", path.display()))?;
    if let Some(interpreter) = interpreter(&program) {
        say::warn(&format!(
            "packing {:?}: got a program that starts only where {interpreter} and its libraries are, want a static one (docs/deploy/edge.md)",
            path.display()
        ));
    }
    let files = carried
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    payload::attach(&program, files)
        .with_context(|| format!("putting the application into {:?}", path.display()))
}

/// The dynamic linker that a program asks the kernel for: a static one asks for none. What
/// wasmtime compiles for is 64 bits wide.
fn interpreter(program: &[u8]) -> Option<String> {
    let header = FileHeader64::<Endianness>::parse(program).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, program).ok()?;
    let found = segments
        .iter()
        .find_map(|segment| segment.interpreter(endian, program).ok().flatten())?;
    Some(String::from_utf8_lossy(found).into_owned())
}

/// As `sha256sum -c` reads them.
fn sums(files: &Files) -> String {
    let line = |(name, (bytes, _)): (&String, &(Vec<u8>, u32))| {
        format!("{}{SUMS_SEPARATOR}{name}\n", sha256(bytes))
    };
    files.iter().map(line).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The whole directory or nothing of it: made beside its place, and moved there.
fn write(output: &Path, files: &Files) -> anyhow::Result<()> {
    let output = std::path::absolute(output)?;
    let above = output.parent().context("got /, want a directory to make")?;
    fs::create_dir_all(above).with_context(|| format!("creating {:?}", above.display()))?;
    let occupied = occupied(&output)?;
    let made = tempfile::Builder::new()
        .prefix(".watchbell-bundle-")
        .tempdir_in(above)
        .with_context(|| format!("creating a directory in {:?}", above.display()))?;
    for (name, (bytes, mode)) in files {
        write_file(&made.path().join(name), bytes, *mode)?;
    }
    // `tempdir` made it private.
    fs::set_permissions(made.path(), Permissions::from_mode(EXECUTABLE))?;
    let flags = match occupied {
        // What was there is then in the temporary directory, and goes with it.
        true => RenameFlags::EXCHANGE,
        false => RenameFlags::NOREPLACE,
    };
    renameat_with(CWD, made.path(), CWD, &output, flags)
        .with_context(|| format!("moving the bundle to {:?}", output.display()))?;
    if !occupied {
        // It has another name now, under which it stays.
        let _ = made.keep();
    }
    Ok(())
}

/// Whether something is there that may be replaced.
///
/// # Errors
/// When it is anything but an empty directory or a bundle as it was made: a directory with a
/// list of sums may be somebody's backup.
fn occupied(output: &Path) -> anyhow::Result<bool> {
    let got = match fs::symlink_metadata(output) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Ok(there) if there.is_symlink() => Some("a symbolic link".to_owned()),
        _ => unlike_a_bundle(output)
            .with_context(|| format!("reading what is in {:?}", output.display()))?,
    };
    match got {
        None => Ok(true),
        Some(got) => bail!(
            "writing {:?}: got {got}, want a new directory, an empty one or a bundle as it was made",
            output.display()
        ),
    }
}

/// What would be lost with the directory, were it replaced.
fn unlike_a_bundle(dir: &Path) -> anyhow::Result<Option<String>> {
    let sums = fs::read_to_string(dir.join(SUMS_NAME)).unwrap_or_default();
    let listed: Listed = sums
        .lines()
        .filter_map(|line| line.split_once(SUMS_SEPARATOR))
        .map(|(digest, name)| (name, digest))
        .collect();
    if [INSTALL_NAME, UNIT_NAME]
        .iter()
        .all(|name| listed.contains_key(name))
    {
        return altered(dir, Path::new(""), &listed);
    }
    let first = fs::read_dir(dir)?.next().transpose()?;
    Ok(first.map(|entry| format!("a directory with {:?} in it", entry.file_name())))
}

/// By name, the SHA-256.
type Listed<'a> = BTreeMap<&'a str, &'a str>;

/// The first of what is below that the list lacks, or has otherwise.
fn altered(bundle: &Path, below: &Path, listed: &Listed) -> anyhow::Result<Option<String>> {
    for entry in fs::read_dir(bundle.join(below))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = below.join(entry.file_name());
        let is_way_to = |name: &&str| Path::new(name).starts_with(&path);
        if kind.is_dir() && listed.keys().any(is_way_to) {
            let found = altered(bundle, &path, listed)?;
            if found.is_some() {
                return Ok(found);
            }
            continue;
        }
        let change = match path.to_str().and_then(|name| listed.get(name)) {
            _ if path == Path::new(SUMS_NAME) => continue,
            None => "added",
            Some(digest) if kind.is_file() && sha256(&fs::read(entry.path())?) == **digest => {
                continue;
            }
            Some(_) => "changed",
        };
        return Ok(Some(format!("a bundle with {path:?} {change}")));
    }
    Ok(None)
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        // Not the umask's: a service user is to read it.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    };
    write().with_context(|| format!("writing {:?}", path.display()))
}
