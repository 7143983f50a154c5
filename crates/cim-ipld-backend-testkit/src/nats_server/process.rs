use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::{POLL_INTERVAL, READY_TIMEOUT};

/// A child process that does not outlive this one. It is killed on drop, or by a guardian process
/// if this process dies without dropping it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    guardian: Child,
}

impl Process {
    /// Starts `program` with a configuration. The guardian removes `folder` if this process dies.
    pub(super) fn start(program: &Path, config: &Path, environment: &[(String, String)], folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg("-c").arg(config).envs(environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        // The standard input of the guardian is a pipe from this process. If the guardian reads a
        // line, this process has ended the server itself. If it reads end of file, this process has
        // died.
        let guardian = Command::new("sh")
            .args(["-c", r#"read -r _ || { kill -9 "$1"; rm -rf "$2"; }"#, "guardian"])
            .arg(child.id().to_string())
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        Self { child, guardian }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the status of the child can be read").is_some()
    }

    /// Sends the signal with this name.
    pub(super) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill starts").success(), "signal {name} was not sent");
    }

    /// Pauses the process and waits until all its threads are stopped, which is a moment after the
    /// signal.
    pub(super) fn pause(&self) {
        self.signal("STOP");
        let deadline = Instant::now() + READY_TIMEOUT;
        while !self.is_stopped() {
            assert!(Instant::now() < deadline, "the server was not stopped");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Returns whether every thread is stopped, according to `ps`.
    fn is_stopped(&self) -> bool {
        let output = Command::new("ps").args(["-L", "-o", "stat=", "-p", &self.child.id().to_string()]).output();
        match output {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).lines().all(|state| state.trim_start().starts_with('T'))
            }
            // If `ps` is not available, assumes that the signal had its effect.
            _ => true,
        }
    }

    /// Asks the process to end and waits for it.
    pub(super) fn terminate(mut self) {
        self.signal("TERM");
        let deadline = Instant::now() + READY_TIMEOUT;
        while !self.has_ended() {
            assert!(Instant::now() < deadline, "the server did not end when asked to");
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        use std::io::Write;
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut input) = self.guardian.stdin.take() {
            let _ = input.write_all(b"\n");
        }
        let _ = self.guardian.wait();
    }
}
