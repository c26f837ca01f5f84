//! A machine to follow an installation guide on: the commands are run as they are written, as
//! root, on folders that only this test sees ([`alone`](crate::alone)).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::alone::{cover, small_disk};
use crate::skip::program;
use crate::state::State;
use crate::wait;
use crate::wasm::COMPILED_DIR;
use crate::wire;

const DISK_BYTES: u64 = 512 << 20;
/// What else is written to by what a guide asks.
const FOLDERS: [&str; 3] = ["/opt", "/var/lib", "/var/log"];
/// What the guides' unit listens at unless told otherwise: free, for the network is the test's own.
const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 3000);

pub struct Machine {
    dir: TempDir,
}

impl Machine {
    /// Within [`alone`](crate::alone::alone) only. An error is a reason to skip.
    pub fn new() -> Result<Self, String> {
        for needed in ["setpriv", "setsid", "useradd", "sha256sum"] {
            program(&[needed, &format!("/usr/sbin/{needed}")])
                .ok_or(format!("no {needed} is installed"))?;
        }
        if !rustix::process::geteuid().is_root() {
            return Err("installing takes root".to_owned());
        }
        let dir = tempfile::Builder::new()
            .prefix("watchbell-machine-")
            .tempdir()
            .unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let etc = dir.path().join("etc");
        let copied = Command::new("cp").args(["-a", "/etc"]).arg(&etc).status();
        assert!(copied.unwrap().success());
        for folder in ["systemd/system", "logrotate.d"] {
            fs::create_dir_all(etc.join(folder)).unwrap();
        }
        cover(Path::new("/etc"), &etc);
        for folder in FOLDERS {
            small_disk(Path::new(folder), DISK_BYTES);
        }
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let systemctl = bin.join("systemctl");
        fs::write(&systemctl, include_str!("systemctl.sh")).unwrap();
        fs::set_permissions(&systemctl, Permissions::from_mode(0o755)).unwrap();
        Ok(Self { dir })
    }

    /// A folder for what is brought to the machine.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs one block of commands from within that directory.
    pub fn run(&self, at: &Path, commands: &str) {
        let (done, said) = self.shell(at, commands);
        assert!(done, "running\n{commands}\n{said}\n{}", self.journal());
    }

    /// Whether the block of commands goes through.
    pub fn try_run(&self, at: &Path, commands: &str) -> bool {
        self.shell(at, commands).0
    }

    /// Under the umask of a careful administrator.
    fn shell(&self, at: &Path, commands: &str) -> (bool, String) {
        let path = std::env::var("PATH").unwrap();
        let bin = self.path("bin");
        let output = Command::new("sh")
            .args(["-e", "-c", &format!("umask 027\n{commands}")])
            .current_dir(at)
            .env("PATH", format!("{}:{path}:/usr/sbin:/sbin", bin.display()))
            .env("LAB", self.dir.path())
            .env("LAB_COMPILED", &*COMPILED_DIR)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    }

    /// Waits until the application answers.
    pub fn serving(&self) {
        wait::until("the application", || {
            let answer = wire::send(LISTEN.into(), "GET", "/.well-known/spin/health", &[]).ok()?;
            (answer.status == 200).then_some(())
        });
    }

    pub fn state(&self) -> State {
        State::Sqlite("/var/lib/watchbell/sqlite_key_value.db".into())
    }

    /// The process of the unit.
    pub fn pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.path("pid")).ok()?;
        text.trim().parse().ok()
    }

    pub fn journal(&self) -> String {
        fs::read_to_string(self.path("journal")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(pid) = self.pid().and_then(Pid::from_raw) {
            // Gone already is what is wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The commands of a section, block by block.
pub fn blocks(guide: &str, section: &str) -> Vec<String> {
    let heading = format!("\n## {section}\n");
    let (_, text) = guide
        .split_once(&heading)
        .unwrap_or_else(|| panic!("no section {section:?} in {guide}"));
    let text = text.split("\n## ").next().unwrap_or_default();
    let fenced = text.split("```sh\n").skip(1);
    fenced
        .map(|part| part.split("```").next().unwrap_or_default().to_owned())
        .collect()
}
