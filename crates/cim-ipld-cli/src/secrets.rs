//! The last wall before anything is printed: keys and credentials are cut out of it, wherever they
//! come from.
//!
//! Nothing should put them there. What the command line holds by mistake reaches messages of the
//! parser all the same, which quote what they do not expect.

const KEY_DIGITS: usize = 64;

/// Replaces what looks like a key, and what stands before the host of a URL.
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

/// The sign that ended the word.
fn end_of(word: &str) -> &str {
    let last = word.char_indices().next_back().filter(|(_, c)| c.is_whitespace() || matches!(c, '\'' | '"' | '`'));
    last.map_or("", |(start, _)| &word[start..])
}

/// Cuts `USER:PASSWORD@` and `TOKEN@` out of every URL in a word: NATS takes several, with commas
/// between.
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
