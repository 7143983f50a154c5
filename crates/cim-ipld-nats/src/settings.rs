/// How buckets are made, and how long the server is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsSettings {
    /// Copies of each bucket in the cluster.
    pub replicas: usize,
    /// Whether buckets live in memory instead of files.
    pub in_memory: bool,
    /// How long the acknowledgement of a write is waited for, in milliseconds. After it the outcome is unknown, and whoever
    /// wrote reads back.
    pub ack_timeout_ms: u64,
    /// How long any other answer is waited for, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long a server that answers that it cannot serve just now is asked again, in milliseconds.
    pub patience_ms: u64,
    /// Bytes of values that may be on their way to the server at a time; further writes wait.
    pub in_flight_bytes: usize,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            replicas: 1,
            in_memory: false,
            ack_timeout_ms: 2_000,
            request_timeout_ms: 5_000,
            patience_ms: 10_000,
            in_flight_bytes: 16 << 20,
        }
    }
}
