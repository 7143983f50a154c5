//! Tests of the facade.
//!
//! They contain verbatim the code blocks of the text from which this API was designed ("NATS
//! Persistence and Encryption at Rest", not part of this repository), with the code that is needed
//! to run them:
//!
//! | section | code block | test |
//! |---|---|---|
//! | NATS Native Encryption | `NatsEncryption { enabled, key_file, cipher }` | `encryption::documented::nats_native_encryption` |
//! | Encrypted CID Wrapper | `struct EncryptedCidWrapper` | `encryption::documented::encrypted_cid_wrapper` |
//! | Basic Persistence | create, index, load | `persistence::documented::basic_persistence` |
//! | With Encryption | key, create, index | `encryption::documented::with_encryption` |
//! | Key Rotation | new key, rotate | `encryption::documented::key_rotation` |

mod encryption;
mod fixture;
mod index_in_memory;
mod media;
mod persistence;
