//! Copied dictionary values.

/// The length up to which a value is stored inline, which covers most lists and locations.
const SHORT: usize = 22;

/// A dictionary value. Most are short enough to need no allocation.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Short { bytes: [u8; SHORT], len: u8 },
    Long(Box<[u8]>),
}

impl Value {
    #[inline]
    pub(crate) fn new(value: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..value.len()) {
            Some(own) => {
                own.copy_from_slice(value);
                Self::Short { bytes, len: value.len() as u8 }
            }
            None => Self::Long(value.into()),
        }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { bytes, len } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_length_are_kept() {
        let bytes: Vec<u8> = (0..60).collect();
        for len in 0..bytes.len() {
            let value = Value::new(&bytes[..len]);
            assert_eq!(value.bytes(), &bytes[..len]);
            assert_eq!(matches!(value, Value::Short { .. }), len <= SHORT);
        }
    }
}
