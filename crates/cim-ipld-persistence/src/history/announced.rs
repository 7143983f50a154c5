//! The roots announced by records. An announcement distinguishes the root of a key rotation from a
//! root stored by someone without the key.

use cim_ipld_envelope::Envelope;

use crate::format::announcement::Announcement;
use crate::format::digest::Digest;

/// The last announcements of the order, newest last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Announced(Vec<Announcement>);

impl Announced {
    pub(crate) fn new(announcements: impl IntoIterator<Item = Announcement>) -> Self {
        Self(announcements.into_iter().collect())
    }

    /// Returns whether the root record of this digest was announced after the `known` one.
    pub(crate) fn has_root(&self, known: &Digest, root: &Digest) -> bool {
        self.after(known).any(|announced| announced.root == *root)
    }

    /// Returns whether an object is sealed under a data key announced after the `known` root.
    pub(crate) fn has_key_of(&self, known: &Digest, object: &[u8]) -> bool {
        let Ok(Some(key)) = Envelope::key_of(object) else { return false };
        self.after(known).any(|announced| announced.data_key == *key.as_bytes())
    }

    /// Returns the announcements after that of the known root. Earlier ones are obsolete.
    fn after(&self, known: &Digest) -> impl Iterator<Item = &Announcement> {
        let over = self.0.iter().rposition(|announced| announced.root == *known).map_or(0, |at| at + 1);
        self.0[over..].iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(number: u8) -> Digest {
        Digest::of("test", &[&[number]])
    }

    #[test]
    fn only_announcements_after_that_of_the_known_root_count() {
        let announced =
            Announced::new([1, 2, 3, 2].map(|number| Announcement { root: root(number), data_key: [number; 8] }));
        let cases = [
            // The known root, the found root, and whether it is a rotation.
            (0, 1, true),
            (0, 3, true),
            (0, 4, false),
            (1, 1, false),
            (1, 2, true),
            (3, 1, false),
            (3, 2, true),
            (2, 3, false),
            (2, 2, false),
        ];
        for (known, found, expected) in cases {
            assert_eq!(announced.has_root(&root(known), &root(found)), expected, "found {found}, known {known}");
        }
    }
}
