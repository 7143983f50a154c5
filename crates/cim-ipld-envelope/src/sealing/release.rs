//! A failed opening releases no plaintext.

use super::{Mismatch, Place, Salt};
use crate::EncryptionAlgorithm;
use crate::secret::Secret;

const SALT: Salt = [4; 24];
const PLAINTEXT: &[u8] = b"attack at dawn, attack at dawn, attack at dawn";

#[test]
fn encryption_releases_no_plaintext_when_the_tag_fails() {
    for algorithm in EncryptionAlgorithm::ALL {
        let root = Secret::take(&mut [1; 32]);
        let place = Place { root: &root, algorithm, context: &[3; 32] };
        let mut sealed = PLAINTEXT.to_vec();
        let (commitment, tag) = place.seal_in_place(&SALT, &mut sealed);

        for bit in 0..128 {
            let mut forged = tag;
            forged[bit / 8] ^= 1 << (bit % 8);
            let mut buffer = sealed.clone();
            assert_eq!(place.open_in_place(&SALT, &commitment, &mut buffer, &forged), Err(Mismatch::Tag));
            assert_eq!(buffer, vec![0; sealed.len()], "{algorithm}: the buffer is wiped");
        }
        // The cipher decrypts all bits except the flipped one correctly, which must not become
        // visible.
        for bit in 0..sealed.len() * 8 {
            let mut buffer = sealed.clone();
            buffer[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(place.open_in_place(&SALT, &commitment, &mut buffer, &tag), Err(Mismatch::Tag));
            assert_eq!(buffer, vec![0; sealed.len()], "{algorithm}: the buffer is wiped");
        }

        let mut commitment = commitment;
        commitment[31] ^= 1;
        let mut buffer = sealed.clone();
        assert_eq!(place.open_in_place(&SALT, &commitment, &mut buffer, &tag), Err(Mismatch::Commitment));
        assert_eq!(buffer, sealed, "{algorithm}: nothing is decrypted before the commitment matches");
    }
}
