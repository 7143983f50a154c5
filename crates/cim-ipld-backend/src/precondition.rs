use crate::{Error, ErrorKind, Key, Result, Revision};

/// The condition under which a [`put`](crate::Backend::put) is applied.
///
/// ```
/// use cim_ipld_backend::{Backend, Bucket, ErrorKind, Key, MemoryBackend, Precondition};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cim_ipld_backend::Error> {
/// let backend = MemoryBackend::new();
/// let (bucket, root, record) = (Bucket::log("catalog_v1")?, Key::new("root")?, Key::new("journal.a.1")?);
/// backend.create(&bucket).await?;
/// let revision = backend.put(&bucket, &root, "root".into(), Precondition::Absent).await?;
///
/// // A record is fenced on the root: once that is replaced or removed, no further record is written.
/// let fence = Precondition::AbsentWhile { key: root.clone(), revision };
/// backend.put(&bucket, &record, "record".into(), fence.clone()).await?;
/// backend.put(&bucket, &root, "another root".into(), Precondition::Unchanged(revision)).await?;
/// let refused = backend.put(&bucket, &Key::new("journal.a.2")?, "record".into(), fence).await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Conflict);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// Always holds: the value replaces any existing one.
    Any,
    /// The bucket has no value for the key.
    Absent,
    /// The newest value of the key has this revision: a compare-and-set.
    Unchanged(Revision),
    /// The bucket has no value for the key, and the newest value of another key, the fence, has the
    /// given revision.
    ///
    /// Use this only for keys that are written once. The fence is checked exactly on every backend.
    /// Most backends also check exactly that the key has no value. A backend may instead remember,
    /// for a limited time, the keys that were written with this precondition, as NATS does for at
    /// least two minutes. Such a backend refuses a remembered key even if its value has been
    /// removed since. A write to a key that is not remembered, because it was written too long ago
    /// or with a different precondition, replaces the existing value.
    AbsentWhile {
        /// The key of the fence.
        key: Key,
        /// The revision that the newest value of the fence must have.
        revision: Revision,
    },
}

impl Precondition {
    /// Checks this precondition for a write to `key`, whose newest value has the revision
    /// `current`. Intended for backends that compare revisions themselves. `current_of` returns the
    /// revision of the fence's newest value, and is called only if there is a fence.
    ///
    /// ```
    /// use cim_ipld_backend::{ErrorKind, Key, Precondition, Revision};
    ///
    /// let key = Key::new("manifest")?;
    /// let expected = Precondition::Unchanged(Revision::new(2));
    /// expected.check(&key, Some(Revision::new(2)), |_| Ok(None))?;
    /// let refused = expected.check(&key, Some(Revision::new(3)), |_| Ok(None)).unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::Conflict);
    /// assert_eq!(refused.to_string(), "key manifest has r3, but the write expected r2");
    /// # Ok::<(), cim_ipld_backend::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if the precondition does not hold; the message
    /// names the key or the fence and its revision. Errors from `current_of` are returned
    /// unchanged.
    pub fn check(
        &self,
        key: &Key,
        current: Option<Revision>,
        current_of: impl FnOnce(&Key) -> Result<Option<Revision>>,
    ) -> Result<()> {
        if let (Self::Absent | Self::AbsentWhile { .. }, Some(revision)) = (self, current) {
            return Err(Error::new(ErrorKind::Conflict, format!("key {key} already has a value ({revision})")));
        }
        let (what, key, current, expected) = match self {
            Self::Any | Self::Absent => return Ok(()),
            Self::Unchanged(revision) => ("key", key, current, *revision),
            Self::AbsentWhile { key: fence, revision } => ("the fence key", fence, current_of(fence)?, *revision),
        };
        if current == Some(expected) {
            return Ok(());
        }
        let found = current.map_or_else(|| "no value".to_owned(), |revision| revision.to_string());
        Err(Error::new(ErrorKind::Conflict, format!("{what} {key} has {found}, but the write expected {expected}")))
    }
}
