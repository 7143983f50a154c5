// The key provider of the documentation examples: its key is in the memory of the process.

use cim_ipld_envelope::{ContentEncryption, EncryptedData, EncryptionAlgorithm, EncryptionKey, Zeroizing};

struct Local(EncryptionKey);

impl Local {
    fn generate() -> Self {
        Self(EncryptionKey::generate(EncryptionAlgorithm::AES256GCM))
    }
}

#[async_trait::async_trait]
impl KeyProvider for Local {
    fn name(&self) -> &str {
        "local"
    }

    async fn wrap(&self, key: &[u8; 32], associated: &[u8]) -> Result<Vec<u8>, ProviderError> {
        let sealed = ContentEncryption::encrypt(&self.0, key, associated).map_err(ProviderError::refused)?;
        Ok(sealed.to_bytes())
    }

    async fn unwrap(&self, wrapped: &[u8], associated: &[u8]) -> Result<Zeroizing<[u8; 32]>, ProviderError> {
        let sealed = EncryptedData::from_bytes(wrapped).map_err(ProviderError::refused)?;
        let key = ContentEncryption::decrypt(&self.0, &sealed, associated).map_err(ProviderError::refused)?;
        let key = Zeroizing::new(key);
        key.as_slice().try_into().map(Zeroizing::new).map_err(ProviderError::refused)
    }
}
