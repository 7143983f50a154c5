/// How buckets are created, and how long to wait for the server.
///
/// ```
/// use cim_ipld_nats::NatsSettings;
///
/// let mut settings = NatsSettings::default();
/// settings.replicas = 3;
/// settings.max_bytes = Some(1 << 30);
/// settings.placement_tags = vec!["ssd".to_string()];
/// assert!(!settings.in_memory);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsSettings {
    /// The number of replicas of each bucket in the cluster.
    pub replicas: usize,
    /// Whether new buckets are stored in memory instead of in files.
    pub in_memory: bool,
    /// Whether existing buckets may be stored in memory, where their contents are lost when the
    /// server stops.
    pub allow_in_memory: bool,
    /// The maximum size of each bucket in bytes. It also applies to existing buckets when an index
    /// is created in them. With `None`, new buckets have no limit, and existing ones keep theirs.
    pub max_bytes: Option<u64>,
    /// The tags that a server must have to store a bucket.
    pub placement_tags: Vec<String>,
    /// How long to wait for the acknowledgement of a write, in milliseconds. After that, the
    /// outcome is unknown, and the caller reads the key back.
    pub ack_timeout_ms: u64,
    /// How long to wait for any other response, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long to retry while the server reports a temporary failure, in milliseconds.
    pub patience_ms: u64,
    /// The bytes of values that may be in flight at a time; further writes wait.
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
