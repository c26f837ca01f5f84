//! Ends a process group when the test process dies, however it dies: a runtime in a
//! group of its own hears no Ctrl-C, and a killed test drops nothing.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Reads one line; at the end of input instead, whoever held it is dead.
const SCRIPT: &str = r#"read -r line || kill -KILL -- "-$0" 2>/dev/null"#;

pub struct Leash(Child);

impl Leash {
    /// Holds the group that `leader` leads.
    pub fn hold(leader: &Child) -> Self {
        let watcher = Command::new("sh")
            .args(["-c", SCRIPT, &leader.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self(watcher)
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(mut input) = self.0.stdin.take() {
            // Lets go without a kill: the group has ended in order.
            let _ = input.write_all(b"over\n");
        }
        let _ = self.0.wait();
    }
}
