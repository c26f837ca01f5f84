//! A network, a mount table and a host name of a test's own: what a firewall, the system's resolver
//! or a full disk does is then played for real, and nobody else sees it.
//!
//! They belong to one thread and to what it starts, servers and runtimes included, and
//! go with the last of them: nothing is left over, however a test ends.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::system::sethostname;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::real::headscale_binary;
use crate::skip::{program, skip};
use crate::wasm::{COMPILED_DIR, GUESTS_DIR, WATCHBELL};

/// Runs the scenario alone, or says why it cannot.
pub fn alone(test: &str, scenario: impl FnOnce() + Send) {
    // Cargo and Go may have something to fetch, which they cannot in there.
    LazyLock::force(&WATCHBELL);
    LazyLock::force(&GUESTS_DIR);
    LazyLock::force(&COMPILED_DIR);
    let thread = || enter().map(|()| scenario());
    match std::thread::scope(|scope| scope.spawn(thread).join()) {
        Ok(Ok(())) => {}
        Ok(Err(why)) => skip(test, &why),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// As [`alone`], for what a true Headscale takes part in.
pub fn alone_with_headscale(test: &str, scenario: impl FnOnce() + Send) {
    match headscale_binary() {
        Ok(_) => alone(test, scenario),
        Err(why) => skip(test, &why),
    }
}

/// Puts `file` in the place of `over`, for this thread and what it starts.
pub fn cover(over: &Path, file: &Path) {
    mount_bind(file, over).unwrap_or_else(|e| panic!("mounting {file:?} over {over:?}: {e}"));
}

/// A disk of so many bytes, mounted over the directory.
pub fn small_disk(at: &Path, bytes: u64) {
    let size = format!("size={bytes}");
    run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
        .arg(at));
}

/// Gives this network an address, or takes it away: what listened there is then not to be
/// reached, as where no network is.
pub fn address(ip: Ipv4Addr, there: bool) {
    let ip_program = program(&IP).unwrap();
    let word = if there { "replace" } else { "delete" };
    let address = format!("{ip}/32");
    run(Command::new(ip_program).args(["address", word, &address, "dev", "lo"]));
}

const IP: [&str; 3] = ["ip", "/sbin/ip", "/usr/sbin/ip"];

/// Root alone does not have them in every container.
const NEEDS: &str = "a network of its own needs CAP_SYS_ADMIN and CAP_NET_ADMIN";

fn enter() -> Result<(), String> {
    let ip = program(&IP).ok_or("no ip (iproute2) is installed")?;
    // SAFETY: unsafe only for `FILES`, which takes descriptors from other threads. The
    // thread has been started for this alone.
    #[allow(unsafe_code)]
    let entered = unsafe {
        unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWUTS)
    };
    match entered {
        Ok(()) => {}
        Err(Errno::PERM) => return Err(NEEDS.to_owned()),
        Err(e) => panic!("entering a network of its own: {e}"),
    }
    // Without a domain: names would be looked up in it, too.
    sethostname(b"lab").unwrap();
    // What is mounted from here on stays here.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    match mount_change("/", private) {
        Ok(()) => {}
        Err(Errno::PERM | Errno::ACCESS) => return Err(NEEDS.to_owned()),
        Err(e) => panic!("keeping mounts to itself: {e}"),
    }
    run(Command::new(ip).args(["link", "set", "lo", "up"]));
    Ok(())
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "running {command:?}: {said}");
}
