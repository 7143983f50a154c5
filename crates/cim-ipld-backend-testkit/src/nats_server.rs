//! A real nats-server for tests: on loopback, with a free port and a temporary folder, stopped and
//! removed on drop.
//!
//! The program is taken from the environment variable `NATS_SERVER`, from `PATH` if its version is
//! 2.12 or newer, or from the `.tools` folder of the workspace, where `cargo xtask setup` installs
//! it.
//!
//! ```no_run
//! use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
//!
//! let mut server = NatsServer::start(ServerOptions::default());
//! println!("serving on {}", server.url());
//! server.kill();
//! server.restart(); // on the same port, with the same store
//! ```

mod cluster;
mod process;
mod program;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use cluster::NatsCluster;
pub use program::find_program;

use process::Process;

/// The time limit for a server to start, stop, or write an expected line to its log.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The options of a server.
///
/// ```
/// use cim_ipld_backend_testkit::nats_server::ServerOptions;
///
/// let options = ServerOptions {
///     jetstream: "cipher: aes\nkey: $JS_KEY".into(),
///     environment: vec![("JS_KEY".into(), "\"0123456789abcdef\"".into())],
///     ..ServerOptions::default()
/// };
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerOptions {
    /// Additional lines in the `jetstream { }` block of the configuration, such as a cipher or
    /// `sync_interval`.
    pub jetstream: String,
    /// Additional top-level lines of the configuration, such as accounts, authorization or TLS.
    pub config: String,
    /// Additional environment variables of the server, to which the configuration refers as
    /// `$NAME`.
    pub environment: Vec<(String, String)>,
}

/// A running nats-server with JetStream. It is killed and its folder removed on drop, and also if
/// this process dies.
///
/// ```no_run
/// use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};
///
/// let mut server = NatsServer::start(ServerOptions::default());
/// server.pause(); // connections stay open, requests time out
/// server.resume();
/// server.stop();
/// ```
#[derive(Debug)]
pub struct NatsServer {
    name: String,
    folder: TempDir,
    options: ServerOptions,
    port: u16,
    process: Option<Process>,
}

impl NatsServer {
    /// Starts a server and waits until it accepts connections.
    ///
    /// # Panics
    /// If no program is found or the server does not start; the message contains its log.
    #[must_use]
    pub fn start(options: ServerOptions) -> Self {
        Self::start_as("test".into(), options)
    }

    fn start_as(name: String, options: ServerOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("cim-nats-").tempdir().expect("a temporary folder");
        let mut server = Self { name, folder, options, port: 0, process: None };
        server.restart();
        server
    }

    /// Returns the URL for clients, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Returns the server name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the folder in which JetStream stores its files.
    #[must_use]
    pub fn store_folder(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Returns the log of the server.
    ///
    /// # Panics
    /// If the log cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(&self.log_file())
    }

    /// Sets the options for the next [`restart`](NatsServer::restart).
    pub fn set_options(&mut self, options: ServerOptions) {
        self.options = options;
    }

    /// Kills the server (`SIGKILL`), as in a crash, and waits until it has ended. Does nothing if
    /// it is not running.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Shuts the server down (`SIGTERM`) and waits until it has ended.
    ///
    /// # Panics
    /// If it does not end within the time limit.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.terminate();
        }
    }

    /// Pauses the server (`SIGSTOP`): connections stay open, but nothing is answered.
    ///
    /// # Panics
    /// If it is not running.
    pub fn pause(&self) {
        self.running().pause();
    }

    /// Resumes a paused server (`SIGCONT`).
    ///
    /// # Panics
    /// If it is not running.
    pub fn resume(&self) {
        self.running().signal("CONT");
    }

    /// Restarts the server with the same port and store, killing it first if it is running, and
    /// waits until it accepts connections.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        if let Err(log) = self.try_restart() {
            panic!("nats-server did not start; its log:\n{log}");
        }
    }

    /// Like [`restart`](NatsServer::restart), for a server that may refuse its store or its
    /// configuration.
    ///
    /// # Errors
    /// The log of the server, if it exits instead of accepting connections.
    ///
    /// # Panics
    /// If it neither accepts connections nor exits within the time limit.
    pub fn try_restart(&mut self) -> Result<(), String> {
        self.kill();
        let config = self.folder.path().join("server.conf");
        std::fs::write(&config, self.config()).expect("the configuration is written");
        // Removes old lines, which could be mistaken for those of this start.
        let _ = std::fs::remove_file(self.log_file());
        let mut process = Process::start(&find_program(), &config, &self.options.environment, self.folder.path());
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let log = read_log(&self.log_file());
            if let Some(port) = log.contains("Server is ready").then(|| client_port(&log)).flatten() {
                self.port = port;
                self.process = Some(process);
                return Ok(());
            }
            if process.has_ended() {
                return Err(log);
            }
            assert!(Instant::now() < deadline, "nats-server neither accepted connections nor exited; its log:\n{log}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn config(&self) -> String {
        let port = if self.port == 0 { -1 } else { i32::from(self.port) };
        format!(
            "server_name: {:?}\nlisten: \"127.0.0.1:{port}\"\nlog_file: {:?}\njetstream {{\n  store_dir: {:?}\n{}\n}}\n{}\n",
            self.name,
            self.log_file(),
            self.store_folder(),
            self.options.jetstream,
            self.options.config,
        )
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the server is running")
    }
}

fn read_log(file: &Path) -> String {
    match std::fs::read(file) {
        Ok(log) => String::from_utf8_lossy(&log).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => panic!("the server's log cannot be read: {error}"),
    }
}

/// Returns the port in the log line "Listening for client connections on 127.0.0.1:PORT".
fn client_port(log: &str) -> Option<u16> {
    let line = log.lines().find(|line| line.contains("Listening for client connections on"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}
