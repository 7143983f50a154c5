/// How buckets are made, and how long the server is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsSettings {
    /// Copies of each bucket in the cluster.
    pub replicas: usize,
    /// Whether buckets live in memory instead of files.
    pub in_memory: bool,
    /// Whether buckets that are there may live in memory: what they hold is gone when the server
    /// ends.
    pub allow_in_memory: bool,
    /// The most bytes that each bucket may take, where there is to be a limit.
    pub max_bytes: Option<u64>,
    /// Tags that a server must have for a bucket to be placed there.
    pub placement_tags: Vec<String>,
    /// How long the acknowledgement of a write is waited for, in milliseconds. After it the outcome
    /// is unknown, and whoever wrote reads back.
    pub ack_timeout_ms: u64,
    /// How long any other answer is waited for, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long a server that answers that it cannot serve just now is asked again, in
    /// milliseconds.
    pub patience_ms: u64,
    /// Bytes of values that may be on their way to the server at a time; further writes wait.
    pub in_flight_bytes: usize,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            replicas: 1,
            in_memory: false,
            allow_in_memory: false,
            max_bytes: None,
            placement_tags: Vec::new(),
            ack_timeout_ms: 2_000,
            request_timeout_ms: 5_000,
            patience_ms: 10_000,
            in_flight_bytes: 16 << 20,
        }
    }
}
