//! SQLite FTS5 in an SQLCipher file, a common choice of applications that need encrypted search.
//!
//! Text is tokenized by FTS5's `unicode61` with accents removed, so the hits are similar to those
//! of the index core and Tantivy, but are not compared. The three text columns are searched
//! together, as by any search without a column; `rank` is FTS5's BM25.

use std::path::PathBuf;

use anyhow::Result;
use cim_ipld_index::Document;
use rusqlite::{CachedStatement, Connection, Transaction, params};

use crate::queries::Question;

/// A database in a temporary file, which is removed on drop.
pub struct Sqlite {
    connection: Connection,
    folder: PathBuf,
}

/// A statement and its parameters.
#[derive(Debug)]
pub struct Ask {
    matches: String,
    tag: Option<String>,
}

const TOP: &str = "SELECT rowid, rank FROM words WHERE words MATCH ?1 ORDER BY rank LIMIT 10";
const TOP_TAGGED: &str = "SELECT rowid, rank FROM words WHERE words MATCH ?1
     AND rowid IN (SELECT document FROM tags WHERE tag = ?2) ORDER BY rank LIMIT 10";

impl Sqlite {
    /// Creates an empty database: SQLCipher with a raw key, write-ahead log,
    /// `synchronous = NORMAL`, and a page cache of 256 MB.
    ///
    /// # Errors
    ///
    /// The errors of SQLite.
    pub fn create(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("cim-peers-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let connection = Connection::open(folder.join("peer.db"))?;
        connection.execute_batch(
            "PRAGMA key = \"x'2dd29ca851e7b56e4697b0e1f08507293d761a05ce4d1b628663f411a8086d99'\";
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             PRAGMA cache_size = -262144;
             CREATE VIRTUAL TABLE words USING fts5(text, title, author, tokenize = 'unicode61 remove_diacritics 2');
             CREATE TABLE documents(id INTEGER PRIMARY KEY, cid BLOB UNIQUE, type TEXT, size INTEGER);
             CREATE TABLE tags(tag TEXT, document INTEGER, PRIMARY KEY(tag, document)) WITHOUT ROWID;",
        )?;
        connection.set_prepared_statement_cache_capacity(16);
        Ok(Self { connection, folder })
    }

    /// Inserts documents in one transaction.
    ///
    /// # Errors
    ///
    /// The errors of SQLite.
    pub fn insert_all(&mut self, documents: &[Document]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        for document in documents {
            insert(&transaction, document)?;
        }
        Ok(transaction.commit()?)
    }

    /// Translates a question. Returns `None` for fuzzy words, which SQLite does not support.
    pub fn ask(question: &Question) -> Option<Ask> {
        let quoted = |word: &str| format!("\"{word}\"");
        let joined =
            |words: &[String], with: &str| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(with);
        let (matches, tag) = match question {
            Question::Term(word) => (quoted(word), None),
            Question::All(words) => (joined(words, " AND "), None),
            Question::Any(words) => (joined(words, " OR "), None),
            Question::Phrase(words) => (quoted(&words.join(" ")), None),
            Question::Prefix(prefix) => (format!("{}*", quoted(prefix)), None),
            Question::Fuzzy(_) => return None,
            Question::Tagged(tag, question) => (Self::ask(question)?.matches, Some(tag.to_lowercase())),
        };
        Some(Ask { matches, tag })
    }

    /// Returns the rows and ranks of the best ten.
    ///
    /// # Errors
    ///
    /// The errors of SQLite.
    pub fn top(&self, ask: &Ask) -> Result<Vec<(i64, f64)>> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let collect = |mut statement: CachedStatement<'_>, tag: Option<&String>| -> Result<Vec<(i64, f64)>> {
            Ok(match tag {
                None => statement.query_map(params![ask.matches], read)?.collect::<Result<_, _>>()?,
                Some(tag) => statement.query_map(params![ask.matches, tag], read)?.collect::<Result<_, _>>()?,
            })
        };
        let sql = if ask.tag.is_some() { TOP_TAGGED } else { TOP };
        collect(self.connection.prepare_cached(sql)?, ask.tag.as_ref())
    }

    /// Returns the size of the database in bytes, after a checkpoint of the log.
    ///
    /// # Errors
    ///
    /// The errors of SQLite.
    pub fn bytes(&self) -> Result<u64> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(std::fs::metadata(self.folder.join("peer.db"))?.len())
    }

    /// Returns the versions of SQLite and SQLCipher.
    ///
    /// # Errors
    ///
    /// The errors of SQLite.
    pub fn versions(&self) -> Result<String> {
        let sqlite: String = self.connection.query_row("SELECT sqlite_version()", [], |row| row.get(0))?;
        let cipher: String = self.connection.query_row("PRAGMA cipher_version", [], |row| row.get(0))?;
        Ok(format!("SQLite {sqlite}, SQLCipher {cipher}"))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // If the folder cannot be removed, the system cleans it up.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn insert(transaction: &Transaction<'_>, document: &Document) -> Result<()> {
    transaction.prepare_cached("INSERT INTO documents(cid, type, size) VALUES (?1, ?2, ?3)")?.execute(params![
        document.cid.to_bytes(),
        document.content_type,
        document.size.map(|size| size as i64)
    ])?;
    let id = transaction.last_insert_rowid();
    transaction
        .prepare_cached("INSERT INTO words(rowid, text, title, author) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id, document.text, document.title, document.author])?;
    let mut statement = transaction.prepare_cached("INSERT OR IGNORE INTO tags(tag, document) VALUES (?1, ?2)")?;
    for tag in &document.tags {
        statement.execute(params![tag.to_lowercase(), id])?;
    }
    Ok(())
}
