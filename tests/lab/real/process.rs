//! A foreign server process: its own group, its log in a file, its end by signal.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::leash::Leash;
use crate::wait;

/// Of a failed process's log, this much is shown.
const LOG_CHARS_SHOWN: usize = 4_000;

pub struct Process {
    child: Child,
    log: PathBuf,
    _leash: Leash,
}

impl Process {
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("starting {command:?}: {e}"));
        Self {
            _leash: Leash::hold(&child),
            child,
            log: log.to_owned(),
        }
    }

    /// Panics with the log when the process has ended.
    pub fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{:?} has ended: {status}\n{}", self.log, self.said());
        }
    }

    /// Waits until it has ended by itself. Whether it failed.
    pub fn failed(&mut self) -> bool {
        let what = format!("{:?} to end", self.log);
        let status = wait::until(&what, || self.child.try_wait().unwrap());
        !status.success()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// SIGKILL to the whole group, and waits.
    pub fn kill(&mut self) {
        // Gone already is what is wanted.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let skip = text.chars().count().saturating_sub(LOG_CHARS_SHOWN);
        text.chars().skip(skip).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{:?}, its end:\n{}", self.log, self.said());
        }
    }
}
