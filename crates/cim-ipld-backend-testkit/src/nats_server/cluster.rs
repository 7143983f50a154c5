use std::net::TcpListener;
use std::time::Instant;

use super::{NatsServer, POLL_INTERVAL, READY_TIMEOUT, ServerOptions};

const NODES: usize = 3;

/// A cluster of three nats-servers on loopback, for buckets with three replicas.
///
/// A client that connects to one node learns the addresses of the others. Nodes are numbered 0, 1
/// and 2.
///
/// ```no_run
/// use cim_ipld_backend_testkit::nats_server::{NatsCluster, ServerOptions};
///
/// let mut cluster = NatsCluster::start(&ServerOptions::default());
/// println!("serving on {}", cluster.url(0));
/// cluster.node(2).kill(); // the other two keep the quorum
/// cluster.node(2).restart();
/// ```
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts the servers, each with `options`, and waits until they have elected a leader.
    ///
    /// # Panics
    /// If no program is found or the servers do not start.
    #[must_use]
    pub fn start(options: &ServerOptions) -> Self {
        let ports = free_ports();
        let routes: Vec<String> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let start = |(number, port): (usize, &u16)| {
            let cluster = format!(
                "cluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: {routes:?} }}\n{}",
                options.config
            );
            NatsServer::start_as(format!("node{number}"), ServerOptions { config: cluster, ..options.clone() })
        };
        let cluster = Self { nodes: ports.iter().enumerate().map(start).collect() };
        let deadline = Instant::now() + READY_TIMEOUT;
        while !cluster.nodes.iter().any(|node| node.log().contains("JetStream cluster new metadata leader")) {
            assert!(Instant::now() < deadline, "no leader was elected; the log of node 0:\n{}", cluster.nodes[0].log());
            std::thread::sleep(POLL_INTERVAL);
        }
        cluster
    }

    /// Returns the URL of a node for clients, without credentials.
    ///
    /// # Panics
    /// If there is no node with this number.
    #[must_use]
    pub fn url(&self, node: usize) -> String {
        self.nodes[node].url()
    }

    /// Returns a node, for killing, stopping, pausing or restarting it.
    ///
    /// # Panics
    /// If there is no node with this number.
    pub fn node(&mut self, node: usize) -> &mut NatsServer {
        &mut self.nodes[node]
    }

    /// Returns the number of the node with this name. Stream information identifies the leader by
    /// its name.
    #[must_use]
    pub fn number_of(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name() == name)
    }
}

/// Returns free ports. All listeners stay bound until every port is known, so that the ports
/// differ.
fn free_ports() -> Vec<u16> {
    let listen = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listeners: Vec<TcpListener> = (0..NODES).map(listen).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("an address").port()).collect()
}
