use std::str::FromStr;

/// A size in bytes, with an optional unit that is a power of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemorySize(pub(crate) usize);

/// With less, an index of any size would be merged in unreasonably small pieces.
const LEAST_BYTES: usize = 16 << 20;

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
            "" | "B" => 0,
            "K" | "KB" | "KIB" => 10,
            "M" | "MB" | "MIB" => 20,
            "G" | "GB" | "GIB" => 30,
            _ => return Err("the unit must be K, M or G".into()),
        };
        let number: usize = digits.parse().map_err(|_| "a size is a number with a unit, such as 64M".to_owned())?;
        match number.checked_mul(1 << shift) {
            Some(bytes) if bytes >= LEAST_BYTES => Ok(Self(bytes)),
            Some(_) => Err("at least 16M are needed".into()),
            None => Err("the size is too large".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        let cases = [
            ("64M", Ok(64 << 20)),
            ("64mib", Ok(64 << 20)),
            ("1G", Ok(1 << 30)),
            ("16384K", Ok(16 << 20)),
            ("67108864", Ok(64 << 20)),
            ("15M", Err("at least 16M are needed")),
            ("64T", Err("the unit must be K, M or G")),
            ("M", Err("a size is a number with a unit, such as 64M")),
            ("1.5G", Err("a size is a number with a unit, such as 64M")),
            ("99999999999999G", Err("the size is too large")),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse().map(|MemorySize(bytes)| bytes), expected.map_err(str::to_owned), "{text}");
        }
    }
}
