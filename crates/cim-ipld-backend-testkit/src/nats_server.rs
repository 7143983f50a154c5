//! A real nats-server for a test: on loopback, on a free port, with a folder of its own, gone when
//! it is dropped.
//!
//! The program is looked for in the environment variable `NATS_SERVER`, then on `PATH` if it is
//! 2.12 or newer, then in the workspace's `.tools` folder, where `cargo xtask setup` puts it.
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

/// The longest that a server may take to answer, to end, or to print what it was asked for.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How a server is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerOptions {
    /// Lines of the server's configuration inside `jetstream { }`, beside the store folder: a
    /// cipher, `sync_interval`.
    pub jetstream: String,
    /// Lines at the top level of the configuration: accounts, authorization, TLS.
    pub config: String,
    /// Environment variables of the server, beside those of this process: what the configuration
    /// refers to as `$NAME`.
    pub environment: Vec<(String, String)>,
}

/// A running nats-server with JetStream; killed and its folder removed on drop, or when this
/// process dies.
#[derive(Debug)]
pub struct NatsServer {
    name: String,
    folder: TempDir,
    options: ServerOptions,
    port: u16,
    process: Option<Process>,
}

impl NatsServer {
    /// Starts a server and waits until it serves.
    ///
    /// # Panics
    /// When no program is found or the server does not come up; the message has the end of its log.
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

    /// Returns the name that the server has for others.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the folder in which JetStream keeps its files.
    #[must_use]
    pub fn store_folder(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Returns what the server has logged.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(&self.log_file())
    }

    /// Sets the options for the next [`restart`](NatsServer::restart).
    pub fn set_options(&mut self, options: ServerOptions) {
        self.options = options;
    }

    /// Kills the server as a crash would (`SIGKILL`) and waits until it is gone. Does nothing when
    /// it is not running.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends the server in order (`SIGTERM`) and waits until it is gone.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.terminate();
        }
    }

    /// Stops the server's clock (`SIGSTOP`): connections stay, nothing is answered.
    ///
    /// # Panics
    /// When it is not running.
    pub fn pause(&self) {
        self.running().pause();
    }

    /// Lets a paused server go on (`SIGCONT`).
    ///
    /// # Panics
    /// When it is not running.
    pub fn resume(&self) {
        self.running().signal("CONT");
    }

    /// Starts the server again with the same port and store, killing it first if it runs, and waits
    /// until it serves.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        if let Err(log) = self.try_restart() {
            panic!("nats-server did not come up; its log ends:\n{log}");
        }
    }

    /// Like [`restart`](NatsServer::restart), for a server that is expected to refuse its store or
    /// its configuration.
    ///
    /// # Errors
    /// The server's log, when it ended instead of serving.
    ///
    /// # Panics
    /// When it neither serves nor ends in time.
    pub fn try_restart(&mut self) -> Result<(), String> {
        self.kill();
        let config = self.folder.path().join("server.conf");
        std::fs::write(&config, self.config()).expect("the configuration is written");
        // Old lines must not be taken for this start's.
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
            assert!(Instant::now() < deadline, "nats-server neither served nor ended; its log:\n{log}");
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

/// The port of the log line "Listening for client connections on 127.0.0.1:PORT".
fn client_port(log: &str) -> Option<u16> {
    let line = log.lines().find(|line| line.contains("Listening for client connections on"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}
