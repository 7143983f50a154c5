//! The options for the parts of camel-case words and for joining hyphenated words.

use cim_ipld_index::{Analyzer, Language, UnicodeWords};

use super::{Row, check};

#[test]
fn parts_of_camel_case() {
    let texts =
        ["call getUserName now", "get the user", "HTMLParser of FooFoo", "utf8String", "username", "«straßeÄndern»"];
    let rows: &[Row] = &[
        ("user", &[0, 1]),
        ("getUserName", &[0]),
        ("getusername", &[0]),
        ("call getusername now", &[0]),
        ("call user now", &[0]),
        ("parser", &[2]),
        ("html", &[2]),
        ("htmlparser", &[2]),
        ("foo", &[2]),
        ("utf8", &[3]),
        ("string", &[3]),
        ("name", &[0]),
        ("username", &[4]),
        ("userName", &[4]),
        ("andern", &[5]),
        ("strasseandern", &[5]),
        ("use*", &[0, 1, 4]),
    ];
    check(&UnicodeWords::default().camel_case().into(), &texts, rows);
    check(&Analyzer::default(), &texts, &[("user", &[1]), ("getUserName", &[0]), ("parser", &[])]);
}

#[test]
fn words_that_hyphens_join() {
    let texts = ["fast wi-fi here", "wifi", "wi fi", "e\u{2011}mail", "emails", "555-12-34", "a-a aa", "wi - fi"];
    let rows: &[Row] = &[
        ("wifi", &[0, 1]),
        ("wi-fi", &[0, 1, 2, 7]),
        ("Wi‐Fi", &[0, 1, 2, 7]),
        ("wifi here", &[0]),
        ("fast wi-fi here", &[0]),
        ("email", &[3]),
        ("e-mail", &[3]),
        ("5551234", &[5]),
        ("555-12-34", &[5]),
        ("55512", &[]),
        ("aa", &[6]),
        ("wif*", &[0, 1]),
    ];
    check(&UnicodeWords::default().joined().into(), &texts, rows);
    check(&Analyzer::default(), &texts, &[("wifi", &[1]), ("wi-fi", &[0, 2, 7])]);
    let english = UnicodeWords::default().joined().stem(Language::English);
    check(&english.into(), &texts, &[("email", &[3, 4]), ("e-mail", &[3, 4]), ("emai*", &[3, 4])]);
}

#[test]
fn a_word_stands_once_at_its_place_whatever_makes_it() {
    // If an index stored a word twice, verification would report it and compaction would refuse it.
    let texts = ["cat-s cats", "FooFoo fooFoos", "e-ee", "Foo-Foo fooBar-fooBar", "run-RunRunning"];
    let words = UnicodeWords::default().joined().camel_case().stem(Language::English);
    check(&words.into(), &texts, &[("cat", &[0]), ("foo", &[1, 3]), ("foobar-foobar", &[3]), ("running", &[4])]);
}
