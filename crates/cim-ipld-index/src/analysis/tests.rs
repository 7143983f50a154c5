//! Tests of the built-in analyzers, and of what an index accepts from custom ones.

use super::*;
use proptest::prelude::*;

#[test]
fn words_are_cut_and_folded() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("  --  ", &[]),
        ("Hello, World!", &["hello", "world"]),
        ("foo_bar baz-qux", &["foo", "bar", "baz", "qux"]),
        ("can't 3.14 a.b 1,000;2", &["can", "t", "3", "14", "a", "b", "1", "000", "2"]),
        ("__ _a_", &["a"]),
        ("v6.2.8 V8 x86", &["v", "6", "2", "8", "v", "8", "x86"]),
        ("כ״ץ כ\"ץ ג׳ירפה", &["כ\"ץ", "כ\"ץ", "ג'ירפה"]),
        ("a🍩b 👩\u{200d}👩\u{200d}👧 👍🏽 ❤\u{fe0f}", &["a", "🍩", "b", "👩\u{200d}👩\u{200d}👧", "👍", "❤"]),
        ("Straße ΣΊΣΥΦΟΣ İstanbul", &["strasse", "σισυφοσ", "istanbul"]),
        ("Ångström naïve ﬁne", &["angstrom", "naive", "fine"]),
    ];
    for (text, words) in cases {
        assert_eq!(Analyzer::default().words(text), *words, "{text:?}");
    }
}

#[test]
fn a_word_that_is_too_long_is_its_beginning_and_a_digest() {
    let long = "é".repeat(300);
    let words = Analyzer::default().words(&format!("a {long} {long}x b"));
    assert_eq!((words.len(), words[0].as_str(), words[3].as_str()), (4, "a", "b"));
    for word in &words[1..3] {
        assert!(word.starts_with(&"e".repeat(200)) && word.len() <= MAX_WORD_BYTES, "{word}");
    }
    assert_ne!(words[1], words[2]);
    let typed = Analyzer::default().query_prefix(&"é".repeat(250)).unwrap();
    assert!(words[1].starts_with(&typed.last.text));
}

#[test]
fn forms_of_their_own_stand_where_their_first_word_does() {
    let cases: &[(&str, &[(&str, u32)])] = &[
        ("C++ and C#, F#", &[("c++", 0), ("c#", 2), ("f#", 3)]),
        ("use .NET or ASP.NET", &[(".net", 1), ("asp.net", 3)]),
        ("(Node.js) Café.js", &[("node.js", 0), ("cafe.js", 2)]),
        ("C++17 notepad++.", &[("c++", 0), ("notepad++", 2)]),
        ("1.2 a.b.c ...x 3# #x a+b +a x.1 end.", &[]),
    ];
    for (text, expected) in cases {
        let mut seen = Vec::new();
        Analyzer::default().analyze(text, &mut Scratch::default(), |form, token| {
            if form == Form::Compound {
                seen.push((token.word.to_owned(), token.position));
            }
        });
        let expected: Vec<_> = expected.iter().map(|(word, position)| ((*word).to_owned(), *position)).collect();
        assert_eq!(seen, expected, "{text:?}");
    }
}

#[test]
fn possessives_and_elisions_are_those_of_the_language() {
    let english = Analyzer::from_spec(&"en".parse().unwrap()).unwrap();
    assert_eq!(english.words("NASA's dog’s s"), ["nasa", "dog", "s"]);
    let french = Analyzer::from(UnicodeWords::default().stem(Language::French).leave_out(Language::French));
    assert_eq!(french.words("l’avion d'hiver"), ["avion", "hiv"]);
}

#[test]
fn east_asian_text_is_cut_into_pairs() {
    let cases: &[(&str, &[&str])] = &[
        ("東京都", &["東京", "京都"]),
        ("東 京都", &["東", "京都"]),
        ("한국어 한", &["한국", "국어", "한"]),
        ("ﾊﾟｿｺﾝ", &["パソ", "ソコ", "コン"]),
        ("私はRustを", &["私は", "rust", "を"]),
        ("漢字とカナ", &["漢字", "字と", "とカ", "カナ"]),
        ("𠮷野家", &["𠮷野", "野家"]),
        ("ガ\u{304b}\u{3099}", &["ガが"]),
    ];
    let bigrams = AnalyzerSpec::Words(WordsSpec::default().with_cjk(Cjk::Bigrams));
    let bigrams = Analyzer::from_spec(&bigrams).unwrap();
    for (text, words) in cases {
        assert_eq!(bigrams.words(text), *words, "{text:?}");
        let asked: Vec<_> = Analyzer::default().query_words(text).words.into_iter().map(|word| word.text).collect();
        assert_eq!(asked, *words, "{text:?}");
    }
    let all = Analyzer::default().words("東京都");
    assert_eq!(all, ["東京", "東", "京都", "京", "都"]);
    let decomposed: String = unicode_normalization::UnicodeNormalization::nfd("한국어").collect();
    assert_eq!(bigrams.words(&decomposed), ["한국", "국어"]);
}

#[test]
fn stems_and_frequent_words_are_those_of_the_language() {
    // The stems are part of the identity: a dependency that produces different stems makes a
    // different analyzer.
    let cases: &[(Language, &str, &[&str])] = &[
        (
            Language::English,
            "The Connections were being generously fishing",
            &["connect", "were", "be", "generous", "fish"],
        ),
        (Language::German, "Die Häuser und der Automaten", &["haus", "automat"]),
        (Language::French, "les chevaux étaient généreusement", &["cheval", "etaient", "gener"]),
        (Language::Greek, "και οι θάλασσες", &["θαλασσ"]),
        (Language::Russian, "красивые и книги", &["красив", "книг"]),
        (Language::Spanish, "las canciones", &["cancion"]),
    ];
    for (language, text, words) in cases {
        let analyzer = Analyzer::from(UnicodeWords::default().stem(*language).leave_out(*language));
        assert_eq!(analyzer.words(text), *words, "{text:?}");
    }
}

#[test]
fn identities_tell_analyzers_apart() {
    let words = UnicodeWords::default;
    let all = [
        words(),
        words().stem(Language::English),
        words().stem(Language::German),
        words().leave_out(Language::English),
        words().leave_out_words(["x", "y"]),
        words().stem(Language::English).leave_out(Language::English),
    ];
    let identities: std::collections::BTreeSet<_> = all.iter().map(|words| words.identity()).collect();
    assert_eq!(identities.len(), all.len());
    let swapped = words().leave_out_words(["y", "x"]).stem(Language::English);
    assert_eq!(Analyzer::from(swapped), words().stem(Language::English).leave_out_words(["X", "y", "x"]).into());
}

#[test]
fn words_left_out_keep_their_positions() {
    let analyzer = Analyzer::from(UnicodeWords::default().leave_out(Language::English));
    let mut seen = Vec::new();
    let positions = analyzer.analyze("the cat and the dog is", &mut Scratch::default(), |_, token| {
        seen.push((token.word.to_owned(), token.position));
    });
    assert_eq!((seen, positions), (vec![("cat".to_owned(), 1), ("dog".to_owned(), 4)], 6));
}

/// An analyzer that violates every rule of the trait.
#[derive(Debug)]
struct Unruly;

impl Analyze for Unruly {
    fn identity(&self) -> &str {
        "unruly"
    }

    fn analyze(&self, _: &str, each: &mut dyn FnMut(Token<'_>)) -> u32 {
        let long = "x".repeat(MAX_WORD_BYTES + 1);
        let tokens = [("a", 0, 0, 1), ("b", 0, 0, 1), ("a", 0, 0, 1), ("", 1, 0, 1), (&long, 1, 0, 1), ("c", 2, 0, 1)];
        let wrong = [("d", 1, 0, 1), ("e", 3, 1, 0), ("f", 3, 0, 2), ("g", u32::MAX, 0, 1), ("h", 3, 0, 99)];
        for (word, position, start, end) in tokens.into_iter().chain(wrong) {
            each(Token { word, position, start, end });
        }
        u32::MAX
    }
}

#[test]
fn an_analyzer_of_another_gives_only_what_an_index_can_hold() {
    let mut seen = Vec::new();
    let positions = Analyzer::new(Unruly).analyze("aéb", &mut Scratch::default(), |_, token| {
        seen.push((token.word.to_owned(), token.position));
    });
    assert_eq!(seen, [("a".to_owned(), 0), ("b".to_owned(), 0), ("c".to_owned(), 2)]);
    assert_eq!(positions, 5);
}

proptest! {
    #[test]
    fn the_ascii_path_cuts_as_the_unicode_path_does(text in "[\\x00-\\x7f]{0,60}") {
        // An invisible non-ASCII character sends each chunk down the Unicode path.
        let other: String = text.split(' ').map(|chunk| format!("{chunk} ")).collect();
        let marked: String = text.split(' ').map(|chunk| format!("{chunk}\u{200e} ")).collect();
        let tokens = |text: &str| {
            let mut tokens = Vec::new();
            Analyzer::default().analyze(text, &mut Scratch::default(), |form, token| {
                tokens.push((form, token.word.to_owned(), token.position));
            });
            tokens
        };
        prop_assert_eq!(tokens(&other), tokens(&marked));
    }

    #[test]
    fn tokens_name_their_place(text in prop_oneof!["\\PC{0,60}", "[a-cé\u{301}\u{ad}.+東京 ]{0,30}"]) {
        Analyzer::default().analyze(&text, &mut Scratch::default(), |_, token| {
            let place = &text[token.start..token.end];
            assert!(fold_keyword(place).contains(token.word), "{place:?} {:?}", token.word);
        });
    }

    #[test]
    fn stemming_takes_any_text(text in prop_oneof!["\\PC{0,60}", "[a-zäöüßéèçñåøæ' ]{0,60}", "[α-ωά-ώ ]{0,40}", "[а-яё ]{0,40}"]) {
        for language in Language::ALL {
            let analyzer = Analyzer::from(UnicodeWords::default().stem(language));
            analyzer.analyze(&text, &mut Scratch::default(), |_, token| {
                assert!(text.get(token.start..token.end).is_some() && !token.word.is_empty());
            });
        }
    }
}
