//! Redacts keys and credentials from the failures that are printed.
//!
//! They should never occur there. However, the argument parser quotes unexpected arguments, and a
//! user may pass a secret by mistake.

const KEY_DIGITS: usize = 64;

/// Replaces anything that looks like a key, and the credentials of URLs.
pub(crate) fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`')) {
        shown.push_str(&without_key(&without_credentials(word)));
    }
    shown
}

fn without_key(word: &str) -> String {
    if let Some(start) = word.find("cim-key-v") {
        return format!("{}(a key){}", &word[..start], end_of(word));
    }
    let mut shown = String::with_capacity(word.len());
    let mut digits = String::new();
    for c in word.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        shown.push_str(if digits.len() == KEY_DIGITS { "(a key)" } else { &digits });
        digits.clear();
        shown.push(c);
    }
    shown.pop();
    shown
}

/// Returns the character that ended the word.
fn end_of(word: &str) -> &str {
    let last = word.char_indices().next_back().filter(|(_, c)| c.is_whitespace() || matches!(c, '\'' | '"' | '`'));
    last.map_or("", |(start, _)| &word[start..])
}

/// Removes `USER:PASSWORD@` and `TOKEN@` from every URL in a word, which may contain several URLs
/// separated by commas.
fn without_credentials(word: &str) -> String {
    let Some(start) = word.find("://") else { return word.to_owned() };
    let (scheme, rest) = word.split_at(start + 3);
    let shown = |server: &str| match server.rsplit_once('@') {
        Some((before, address)) => {
            let scheme = before.find("://").map_or("", |end| &before[..end + 3]);
            format!("{scheme}{address}")
        }
        None => server.to_owned(),
    };
    let servers: Vec<String> = rest.split(',').map(shown).collect();
    format!("{scheme}{}", servers.join(","))
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn keys_and_credentials_are_cut_out() {
        let digits = "0123456789abcdef".repeat(4);
        for (text, expected) in [
            ("unexpected argument 'notes' found".to_owned(), "unexpected argument 'notes' found"),
            (
                format!("unexpected argument 'cim-key-v1:aes-256-gcm:{digits}' found"),
                "unexpected argument '(a key)' found",
            ),
            (format!("--key={digits}: no"), "--key=(a key): no"),
            (format!("{digits}0"), &format!("{digits}0")),
            ("nats://ann:s3cret@host:1/a b".to_owned(), "nats://host:1/a b"),
            ("tls://t0ken@host".to_owned(), "tls://host"),
            ("nats://ann:p@ss@host:1,nats://bob:w@other:2,third".to_owned(), "nats://host:1,nats://other:2,third"),
            ("ann@example.org writes".to_owned(), "ann@example.org writes"),
        ] {
            assert_eq!(redacted(&text), expected);
        }
    }
}
