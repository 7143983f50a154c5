//! Tests of the facade.
//!
//! They contain the code blocks of the design text ("NATS Persistence and Encryption at Rest")
//! verbatim, with the code that is needed to run them:
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
