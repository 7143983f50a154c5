//! The harness starts, kills, pauses and restarts a real server, and leaves no process or file
//! behind.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use cim_ipld_backend_testkit::nats_server::{NatsServer, ServerOptions};

/// Sends PING and returns whether PONG came within `wait`.
fn answers(server: &NatsServer, wait: Duration) -> bool {
    let address = server.url().replace("nats://", "");
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(wait)).unwrap();
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").unwrap();
    for line in BufReader::new(stream).lines() {
        match line {
            Ok(line) if line == "PONG" => return true,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(error) => panic!("{error}"),
        }
    }
    false
}

#[test]
fn a_server_lives_dies_and_comes_back_on_its_port() {
    const LONG: Duration = Duration::from_secs(10);
    let mut server = NatsServer::start(ServerOptions::default());
    let url = server.url();
    assert!(answers(&server, LONG));

    server.pause();
    assert!(!answers(&server, Duration::from_millis(200)), "a paused server answered");
    server.resume();
    assert!(answers(&server, LONG));

    server.kill();
    assert!(!answers(&server, LONG), "a killed server answered");
    server.restart();
    assert_eq!(server.url(), url);
    assert!(answers(&server, LONG));
    server.stop();
    assert!(server.log().contains("Server Exiting"), "{}", server.log());
}

#[test]
fn a_refused_configuration_is_told_from_the_log() {
    let mut server = NatsServer::start(ServerOptions::default());
    server.set_options(ServerOptions { jetstream: "  cipher: rot13\n  key: x".into(), ..ServerOptions::default() });
    assert!(server.try_restart().is_err());
}

#[test]
fn nothing_is_left_behind() {
    let server = NatsServer::start(ServerOptions::default());
    let folder = server.store_folder();
    assert!(folder.exists());
    let address = server.url().replace("nats://", "");
    drop(server);
    assert!(!folder.parent().unwrap().exists());
    assert!(TcpStream::connect(address).is_err());
}
