//! An application inside this program's own file, so that a node needs nothing else.
//!
//! A copy of the executable, with the fuse burnt, then a compressed archive, then the footer:
//! the archive's length (u64, little-endian) and its SHA-256. The fuse stands in the
//! executable's data, so a file that was cut short is still known to have carried something.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, bail, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const SENTINEL_BYTES: usize = 32;
const WHOLE: u8 = b'0';
const BURNT: u8 = b'1';
/// Length and SHA-256.
const FOOTER_BYTES: usize = 8 + 32;
/// Unpacked: eight wasm files of 64 MB, the most that the runtime reads of one.
const UNPACKED_BYTES_MAX: u64 = 512 << 20;

#[repr(C)]
struct Fuse {
    sentinel: [u8; SENTINEL_BYTES],
    state: AtomicU8,
}

/// What a bundle changes in its copy. `used` and atomic: the compiler must take it that others
/// write it, as the bundler does, and may neither assume its value nor make a second copy.
#[used]
static FUSE: Fuse = Fuse {
    sentinel: *b"watchbell carries: 8c1f4be2d76a9",
    state: AtomicU8::new(WHOLE),
};

/// The application that this program carries, unpacked for as long as this lives.
pub struct Unpacked(TempDir);

impl Unpacked {
    pub fn dir(&self) -> &Path {
        self.0.path()
    }
}

/// Unpacks what this program carries; `None` where it carries nothing.
pub fn carried() -> anyhow::Result<Option<Unpacked>> {
    if FUSE.state.load(Ordering::Relaxed) != BURNT {
        return Ok(None);
    }
    let path = std::env::current_exe().context("finding this program's own file")?;
    let unpack = || -> anyhow::Result<Unpacked> {
        let archive = read(&mut File::open(&path)?)?;
        let dir = tempfile::Builder::new().prefix("watchbell-").tempdir()?;
        unpack(&archive, dir.path())?;
        Ok(Unpacked(dir))
    };
    let unpacked = unpack().with_context(|| {
        format!(
            "reading the application that {:?} carries (another one runs with --from)",
            path.display()
        )
    })?;
    Ok(Some(unpacked))
}

/// The executable with these files in it; what it carried before is left out.
pub fn attach<'a>(
    executable: &[u8],
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> anyhow::Result<Vec<u8>> {
    let fuse = fuse_in(executable)?;
    let mut bundle = match executable.get(fuse) {
        Some(&BURNT) => {
            let carried = archive_bytes(&footer(executable)?, executable.len() as u64)?;
            let plain = executable.len() - FOOTER_BYTES - usize::try_from(carried)?;
            executable.get(..plain).unwrap_or_default().to_vec()
        }
        _ => executable.to_vec(),
    };
    if let Some(state) = bundle.get_mut(fuse) {
        *state = BURNT;
    }
    let archive = pack(files)?;
    let length = archive.len() as u64;
    bundle.extend_from_slice(&archive);
    bundle.extend_from_slice(&length.to_le_bytes());
    bundle.extend_from_slice(&Sha256::digest(&archive));
    Ok(bundle)
}

/// Where the fuse's state stands.
fn fuse_in(executable: &[u8]) -> anyhow::Result<usize> {
    let mut found = executable
        .windows(SENTINEL_BYTES)
        .enumerate()
        .filter(|(_, window)| *window == FUSE.sentinel)
        .map(|(at, _)| at + SENTINEL_BYTES);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok(at),
        (None, _) => bail!("got no watchbell, or one that cannot carry an application yet"),
        (Some(_), Some(_)) => bail!("got two fuses, want one"),
    }
}

fn footer(executable: &[u8]) -> anyhow::Result<[u8; FOOTER_BYTES]> {
    let (_, footer) = executable
        .split_last_chunk::<FOOTER_BYTES>()
        .context("got a file that is cut short")?;
    Ok(*footer)
}

/// The length that the footer gives, unless the file has no room for it.
fn archive_bytes(footer: &[u8; FOOTER_BYTES], file_bytes: u64) -> anyhow::Result<u64> {
    let (length, _) = footer.split_first_chunk::<8>().context("got no footer")?;
    let length = u64::from_le_bytes(*length);
    let room = file_bytes.saturating_sub(FOOTER_BYTES as u64);
    // Of a file that was cut short, these are bytes from its middle.
    ensure!(
        length <= room,
        "got a file that is cut short or altered: its last bytes are no footer of a bundle"
    );
    Ok(length)
}

fn read(file: &mut File) -> anyhow::Result<Vec<u8>> {
    let file_bytes = file.metadata()?.len();
    let footer_at = file_bytes.saturating_sub(FOOTER_BYTES as u64);
    file.seek(SeekFrom::Start(footer_at))?;
    let mut footer = [0; FOOTER_BYTES];
    file.read_exact(&mut footer)?;
    let length = archive_bytes(&footer, file_bytes)?;
    file.seek(SeekFrom::Start(footer_at - length))?;
    let mut archive = Vec::new();
    file.take(length).read_to_end(&mut archive)?;
    let digest = footer.get(8..).unwrap_or_default();
    ensure!(
        Sha256::digest(&archive).as_slice() == digest,
        "got a file that is cut short or altered: the application's SHA-256 is not the one that the bundle was made with"
    );
    Ok(archive)
}

fn pack<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Without times and owners: the same application makes the same bytes.
        archive.append_data(&mut header, name, bytes)?;
    }
    Ok(archive.into_inner()?.finish()?)
}

fn unpack(archive: &[u8], dir: &Path) -> anyhow::Result<()> {
    let unpacked = GzDecoder::new(archive).take(UNPACKED_BYTES_MAX);
    let mut archive = tar::Archive::new(unpacked);
    // The files live as long as one start.
    archive.set_preserve_mtime(false);
    archive
        .unpack(dir)
        .with_context(|| format!("unpacking to {:?}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const FILES: [(&str, &[u8]); 2] = [("spin.toml", b"a manifest"), ("wasm/a.wasm", b"\0asm")];

    fn executable() -> Vec<u8> {
        [b"code", &FUSE.sentinel[..], &[WHOLE], b"more code"].concat()
    }

    fn read_back(bundle: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut file = tempfile::tempfile()?;
        file.write_all(bundle)?;
        read(&mut file)
    }

    #[test]
    fn what_was_attached_is_unpacked() {
        let bundle = attach(&executable(), FILES).expect("attaches");
        let dir = tempfile::tempdir().expect("a directory");
        let archive = read_back(&bundle).expect("reads");
        unpack(&archive, dir.path()).expect("unpacks");
        for (name, bytes) in FILES {
            assert_eq!(
                std::fs::read(dir.path().join(name)).expect("is there"),
                bytes
            );
        }
    }

    #[test]
    fn a_bundle_is_made_of_a_bundle_too() {
        let first = attach(&executable(), [("old", &b"old"[..])]).expect("attaches");
        let second = attach(&first, FILES).expect("attaches");
        assert_eq!(second, attach(&executable(), FILES).expect("attaches"));
    }

    #[test]
    fn the_smallest_damage_is_told() {
        let bundle = attach(&executable(), FILES).expect("attaches");
        let start = executable().len();
        for at in start..bundle.len() {
            let mut altered = bundle.clone();
            altered[at] ^= 1;
            assert!(read_back(&altered).is_err(), "byte {at} altered");
            assert!(read_back(&bundle[..at]).is_err(), "cut at {at}");
        }
        assert!(read_back(&[&bundle[..], b"\n"].concat()).is_err(), "longer");
    }

    #[test]
    fn what_has_no_fuse_carries_nothing() {
        let two = [executable(), executable()].concat();
        for (file, want) in [(&b"#!/bin/sh"[..], "no watchbell"), (&two, "two fuses")] {
            let error = attach(file, FILES).expect_err("refuses").to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    /// A second copy of the sentinel would leave open which of them is read.
    #[test]
    fn this_program_has_one_fuse() {
        let program = std::fs::read("/proc/self/exe").expect("reads");
        let at = fuse_in(&program).expect("one fuse");
        assert_eq!(program[at], WHOLE);
    }
}
