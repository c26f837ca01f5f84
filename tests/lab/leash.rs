//! Ends a process group when the test process dies, however it dies: a runtime in a
//! group of its own hears no Ctrl-C, and a killed test drops nothing.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Reads one line; at the end of input instead, whoever held it is dead. Debian's sh knows no
/// `kill -KILL -- -1`.
const SCRIPT: &str = r#"read -r line || kill -s KILL -- "-$0" 2>/dev/null"#;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_group_does_not_outlive_whoever_held_it() {
        let mut leader = Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .unwrap();
        let mut leash = Leash::hold(&leader);
        // As the death of this process would.
        drop(leash.0.stdin.take());
        let end = crate::wait::until("the group to end", || leader.try_wait().unwrap());
        assert_eq!(end.signal(), Some(9));
    }
}
