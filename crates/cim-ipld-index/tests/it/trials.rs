//! Inputs of the kinds that users of search engines report problems with: queries and what they
//! must find. The documents are named by letters.

use cim_ipld_index::{Analyzer, Document, MemoryIndex, Query, SearchOptions};

use crate::model::cid;

/// Documents, and queries with the documents that match.
type Trial = (&'static [(char, &'static str)], &'static [(&'static str, &'static str)]);

const TRIALS: &[Trial] = &[
    // Hyphens, dashes, apostrophes, underscores.
    (
        &[
            ('a', "a state-of-the-art co-operative"),
            ('b', "war of 1939–1945 — and after"),
            ('c', "O’Brien's rock ’n’ roll"),
            ('d', "__init__.py sets _private and MAX_VALUE"),
            ('e', "qu’il aille à l’école d'été"),
            ('f', "non\u{2011}breaking and soft\u{ad}ened"),
        ],
        &[
            ("state-of-the-art", "a"),
            ("state of the art", "ab"),
            ("\"state of the art\"", "a"),
            ("art", "a"),
            ("co-operative", "a"),
            ("1939-1945", "b"),
            ("1939—1945", "b"),
            ("O'Brien", "c"),
            ("obrien", ""),
            ("brien", "c"),
            ("rock 'n' roll", "c"),
            ("__init__", "d"),
            ("__init__.py", "d"),
            ("private", "d"),
            ("max_value", "d"),
            ("value", "d"),
            ("ecole", "e"),
            ("l'ecole", "e"),
            ("l’École", "e"),
            ("ete", "e"),
            ("non-breaking", "f"),
            ("softened", "f"),
        ],
    ),
    // Addresses, paths, versions.
    (
        &[
            ('a', "Contact: John.Smith+newsletter@Example.co.uk"),
            ('b', "/usr/local/bin/python3.11 and ./run.sh"),
            ('c', "C:\\Program Files\\App\\config.INI"),
            ('d', "Python 3.11.4-rc1, node>=18.2, v2.0.0-beta.1"),
            ('e', "UTF-8 or ISO-8859-1, see RFC2616 and CVE-2024-3094"),
            ('f', "http://localhost:3000/a%20b?x=1#frag 192.168.0.1 fe80::1"),
            ('g', "git commit 3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
        ],
        &[
            ("john.smith+newsletter@example.co.uk", "a"),
            ("@example.co.uk", "a"),
            ("newsletter", "a"),
            ("smith@example", ""),
            ("/usr/local/bin", "b"),
            ("python3.11", "b"),
            ("./run.sh", "b"),
            ("*.sh", "b"),
            ("config.ini", "c"),
            ("App\\config.INI", "c"),
            ("\"Program Files\"", "c"),
            ("3.11.4", "d"),
            ("3.11.4-rc1", "d"),
            ("node>=18.2", "d"),
            ("v2.0.0", "d"),
            ("2.0.0-beta.1", "d"),
            ("v2", "d"),
            ("utf-8", "e"),
            ("8859-1", "e"),
            ("rfc2616", "e"),
            ("CVE-2024-3094", "e"),
            ("cve-2024-*", "e"),
            ("localhost:3000/a", "f"),
            ("192.168.0.1", "f"),
            ("192.168.*", "f"),
            ("192.168", "f"),
            ("fe80::1", "f"),
            ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", "g"),
            ("3f2504e0", "g"),
        ],
    ),
    // Units, currency, dates, ranges, mathematics.
    (
        &[
            ('a', "5kg at 25°C, 100Ω, 3.5GHz, 50%"),
            ('b', "$1,299.99 or €50, £3.20 and 100USD"),
            ('c', "at 2024-02-29T10:30:15.250Z"),
            ('d', "29/Feb/2024:10:15:32 +0000 GET /index.html"),
            ('h', "02/29/2024 or 29.02.2024"),
            ('i', "backup-20231231T235959Z.tar"),
            ('e', "pages 10–20, 7-9"),
            ('f', "x² + y² = z², ∞ ≠ ℝ, ½ cup, H₂SO₄"),
            ('g', "№ 5, Ⅷ, ℃, ㎏"),
        ],
        &[
            ("5kg", "a"),
            ("25°C", "a"),
            ("100Ω", "a"),
            ("3.5ghz", "a"),
            ("50%", "ab"),
            ("$1,299.99", "b"),
            ("1,299", "b"),
            ("€50", "ab"),
            ("100usd", "b"),
            ("2024-02-29", "c"),
            ("29.02.2024", "h"),
            ("02/29/2024", "h"),
            ("2024-02", "c"),
            ("\"2024-02-29 10:30\"", "c"),
            ("2024-02-29T10:30:15.250Z", "c"),
            ("2024-02-29T10:30", "c"),
            ("20231231", "i"),
            ("235959", "i"),
            ("10:30:15", "c"),
            ("29/Feb/2024", "d"),
            ("29/Feb/2024:10:15:32", "d"),
            ("10-20", "e"),
            ("10–20", "e"),
            ("x2", "f"),
            ("∞", "f"),
            ("≠", "f"),
            ("ℝ", "f"),
            ("h2so4", "f"),
            ("H₂SO₄", "f"),
            ("no 5", "g"),
            ("viii", "g"),
            ("kg", "g"),
        ],
    ),
    // Hashtags, mentions, emoji, ligatures, full-width forms.
    (
        &[
            ('a', "#100DaysOfCode with @user_name in C# and F#"),
            ('b', "👍🏽 done by 👩🏽\u{200d}💻 and 👨\u{200d}💻"),
            ('c', "👍 done 🏳\u{fe0f}\u{200d}🌈 ❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3}"),
            ('d', "ﬂuﬀy oﬃce Ǆemal ĳs"),
            ('e', "ＡＢＣ１２３　ｆｏｏ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
            ('f', "🇫🇷🇩🇪 #日本語"),
        ],
        &[
            ("#100daysofcode", "a"),
            ("100daysofcode", "a"),
            ("@user_name", "a"),
            ("c#", "a"),
            ("👍", "bc"),
            ("👍🏿", "bc"),
            ("👩\u{200d}💻", "b"),
            ("👩🏽\u{200d}💻", "b"),
            ("👨🏻\u{200d}💻", "b"),
            ("🏳\u{fe0f}\u{200d}🌈", "c"),
            ("❤\u{200d}🔥", "c"),
            ("1", "c"),
            ("fluffy office", "d"),
            ("džemal", "d"),
            ("ijs", "d"),
            ("abc123", "e"),
            ("foo@example.com", "e"),
            ("🇩🇪", "f"),
            ("#日本語", "f"),
            ("日本", "f"),
        ],
    ),
    // Latin, Greek and Cyrillic letters.
    (
        &[
            ('a', "İĞNE ığdır ŞİŞLİ"),
            ('b', "Fußgängerübergänge ÄRGER Größe"),
            ('c', "Điện thoại Việt Nam"),
            ('d', "Ελλάδα ΟΔΥΣΣΕΎΣ"),
            ('e', "Ёлка и йод, Київ, ґанок"),
            ('f', "Þórr Æsir ǫ Ħal Škoda"),
        ],
        &[
            ("iğne", "a"),
            ("igne", "a"),
            ("ığdır", "a"),
            ("igdir", "a"),
            ("şişli", "a"),
            ("sisli", "a"),
            ("fussgangerubergange", "b"),
            ("FUSSGÄNGERÜBERGÄNGE", "b"),
            ("arger", "b"),
            ("größe", "b"),
            ("dien thoai", "c"),
            ("Viet", "c"),
            ("ελλαδα", "d"),
            ("οδυσσευς", "d"),
            ("елка", "e"),
            ("йод", "e"),
            ("иод", ""),
            ("київ", "e"),
            ("ганок", ""),
            ("thorr", "f"),
            ("skoda", "f"),
        ],
    ),
    // Chinese, Japanese, Korean, Thai.
    (
        &[
            ('a', "全文検索エンジン"),
            ('b', "東京タワーと漢字かな交じり文"),
            ('c', "ｻｰﾊﾞｰの設定"),
            ('d', "简体中文分词"),
            ('e', "한국어 검색 엔진입니다"),
            ('f', "กรุงเทพมหานคร ราคา ๕๐ บาท"),
        ],
        &[
            ("検索", "a"),
            ("エンジン", "a"),
            ("東京", "b"),
            ("タワー", "b"),
            ("漢字", "b"),
            ("京漢", ""),
            ("サーバー", "c"),
            ("サーバ", "c"),
            ("分词", "d"),
            ("中文", "d"),
            ("검색", "e"),
            ("엔진", "e"),
            ("กรุงเทพ", "f"),
            ("มหานคร", "f"),
            ("50", "f"),
        ],
    ),
    // Arabic, Persian, Hebrew, Devanagari.
    (
        &[
            ('a', "أحمد إلى المكتبة"),
            ('b', "كتاب عربي ٢٠٢٤"),
            ('c', "کتاب فارسی ۱۴۰۳"),
            ('d', "צה״ל בית־ספר"),
            ('e', "हिन्दी में खोज, क़लम १९४७"),
        ],
        &[
            ("احمد", "a"),
            ("أحمد", "a"),
            ("الى", "a"),
            ("2024", "b"),
            ("٢٠٢٤", "b"),
            ("كتاب", "bc"),
            ("کتاب", "bc"),
            ("1403", "c"),
            ("فارسي", "c"),
            ("צה\"ל", "d"),
            ("בית-ספר", "d"),
            ("ספר", "d"),
            ("हिन्दी", "e"),
            ("खोज", "e"),
            ("हिन", ""),
            ("क़लम", "e"),
            ("1947", "e"),
        ],
    ),
    // Operators, quotes, parentheses, wildcards.
    (
        &[
            ('a', "the ping tree"),
            ('b', "a pong tree, or not"),
            ('c', "printf(\"hello\") && exit"),
            ('d', "salt and pepper"),
        ],
        &[
            ("ping and tree", "abd"),
            ("or", "b"),
            ("not", "b"),
            ("OR", "b"),
            ("NOT", "b"),
            ("AND", "d"),
            ("AND OR", ""),
            ("\"salt AND pepper\"", "d"),
            ("-tree", "cd"),
            ("-tree -salt", "c"),
            ("NOT tree NOT salt", "c"),
            ("NOT (tree OR salt)", "c"),
            ("(NOT tree) AND salt", "d"),
            ("tree -(ping)", "b"),
            ("printf(\"hello\")", "c"),
            ("printf(hello", "c"),
            ("hello\") &&", "c"),
            ("\"\" ping", "a"),
            ("'' ping", "a"),
            ("( ping", "a"),
            (") ping (", "a"),
            ("ping \\(", "a"),
            ("\"p?ng tree\"", "ab"),
            ("\"pi* tree\"", "a"),
            ("\"*ng tr*\"", "ab"),
            ("\"the * tree\"", ""),
            ("\"th* tree\"~1", "a"),
            ("\"ping tree?\"", "a"),
            ("text:\"p*g tree\"", "ab"),
            ("title:\"p*g tree\"", ""),
            ("p??g", "ab"),
        ],
    ),
];

#[test]
fn what_reports_complain_of_is_found() {
    let mut wrong = Vec::new();
    for (documents, rows) in TRIALS {
        let index = MemoryIndex::with_analyzer(Analyzer::default());
        for (name, text) in *documents {
            index.insert(&Document::new(cid(u64::from(*name))).with_text(*text)).unwrap();
        }
        for place in ["memtable", "segment"] {
            for (text, expected) in *rows {
                let found = found(&index, documents, text);
                if found.as_deref() != Ok(*expected) {
                    wrong.push(format!("{text} in a {place}: {found:?}, expected {expected:?}"));
                }
            }
            index.compact().unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn found(index: &MemoryIndex, documents: &[(char, &str)], text: &str) -> Result<String, String> {
    let query = Query::parse_typed(text).map_err(|error| error.to_string())?;
    let hits = index.search(&query, &SearchOptions::default()).map_err(|error| error.to_string())?.hits;
    let is_found = |name: char| hits.iter().any(|hit| hit.cid == cid(u64::from(name)));
    Ok(documents.iter().map(|(name, _)| *name).filter(|name| is_found(*name)).collect())
}
