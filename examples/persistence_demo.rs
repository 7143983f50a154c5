//! A tour of cim-ipld on real input, from creating a key to rotating it, with a restart in a second
//! process in between.
//!
//! ```bash
//! cargo run --release --example persistence_demo                              # the files of this workspace
//! cargo run --release --example persistence_demo -- FOLDER                    # your files
//! cargo run --release --example persistence_demo -- --nats nats://127.0.0.1:4222
//! ```
//!
//! The index is created in a temporary folder, or under a unique name on the NATS server, and
//! removed at the end. Every step checks its result, and the program fails if anything is wrong.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use cim_ipld::nats::async_nats;
use cim_ipld::{
    ContentEncryption, ContentIndex, DocumentMetadata, EncryptedCidWrapper, EncryptionAlgorithm, EncryptionKey,
    ErrorKind, IndexName, IndexPersistence, IndexPersistenceBuilder, SearchQuery,
};
use cim_ipld_examples::{Questions, SEARCHED_BYTES, Tree, TreeCounts, files_below};
use clap::Parser;
use serde::{Deserialize, Serialize};

/// The bounds of a batch, which is one atomic write.
const BATCH_DOCUMENTS: usize = 256;
const BATCH_BYTES: u64 = 4 << 20;

#[derive(Parser)]
struct Args {
    /// The folder to index [default: this workspace]
    folder: Option<PathBuf>,
    /// The NATS server to store the index on, instead of a temporary folder
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Passed by the demonstration to its second process: the folder of the first one. Answers the
    /// queries saved there and exits
    #[arg(long, hide = true, value_name = "FOLDER")]
    home: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(folder) = args.home {
        return second_process(&Home { folder, nats: args.nats });
    }
    let input = args.folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let folder = tempfile::Builder::new().prefix("cim-demo-").tempdir()?;
    let home = Home { folder: folder.path().to_owned(), nats: args.nats };
    let outcome = demonstrate(&home, &input);
    home.clean_up()?;
    outcome
}

fn demonstrate(home: &Home, input: &Path) -> Result<()> {
    let questions = make_index(home, input)?;
    let answers = search(home, &questions)?;
    restart(home, &questions, &answers)?;
    refuse_wrong_keys(home)?;
    back_up_and_restore(home, &questions, &answers)?;
    let old_key = rotate(home, &questions, &answers)?;
    reopen_after_rotation(home, old_key, &questions, &answers)?;
    wrap_a_cid(home, &answers[0].hits[0])?;
    look_into_the_store(home, &questions)?;
    println!("everything held");
    Ok(())
}

// Each of the following steps has its own runtime, so that everything it opened is closed when it
// returns.

#[tokio::main]
async fn make_index(home: &Home, input: &Path) -> Result<Vec<SearchQuery>> {
    let started = Instant::now();
    let key = ContentEncryption::generate_key(EncryptionAlgorithm::ChaCha20Poly1305);
    key.write_file(home.key_file())?;
    report("key", started, format_args!("{}, in a file that only you can read", key.algorithm()));

    let started = Instant::now();
    let index = open(home.builder().await?.encryption_key(key).create().await?);
    report("create", started, home.store());

    let started = Instant::now();
    let mut tree = Tree::new(input)?;
    let mut questions = Questions::default();
    let (mut batch, mut indexed) = (Vec::new(), TreeCounts::default());
    while let Some(document) = tree.next().transpose()? {
        questions.consider(&document, tree.counts().documents);
        batch.push(document);
        if batch.len() == BATCH_DOCUMENTS || tree.counts().bytes - indexed.bytes > BATCH_BYTES {
            index.index_all(&batch).await?;
            indexed = tree.counts();
            batch.clear();
        }
    }
    index.index_all(&batch).await?;
    let TreeCounts { documents, bytes, binaries, copies } = tree.counts();
    let passed_over = format!("passed over {binaries} files that are not text and {copies} copies");
    report("index", started, format_args!("{documents} documents, {bytes} bytes; {passed_over}"));

    let started = Instant::now();
    let stats = index.stats().await?;
    ensure!(stats.total_documents == documents, "after {documents} documents the index counts {stats:?}");
    report("count", started, format_args!("{} words, {} tags", stats.unique_words, stats.unique_tags));
    questions.into_queries()
}

#[tokio::main]
async fn search(home: &Home, questions: &[SearchQuery]) -> Result<Vec<Answer>> {
    let index = open(home.builder().await?.encryption_key(home.key()?).open().await?);
    let mut answers = Vec::new();
    for question in questions {
        let started = Instant::now();
        let answer = Answer::to(question, &index).await?;
        ensure!(answer.total > 0, "nothing was found for {question:?}, which occurs in the input");
        let best = answer.hits[0].title.as_deref().unwrap_or("untitled");
        report("search", started, format_args!("{}: {} found, best {best}", wording(question), answer.total));
        answers.push(answer);
    }
    Ok(answers)
}

/// Runs this program again with nothing but the store and the key, and compares its answers.
fn restart(home: &Home, questions: &[SearchQuery], answers: &[Answer]) -> Result<()> {
    let started = Instant::now();
    fs::write(home.questions_file(), serde_json::to_vec(questions)?)?;
    let mut process = Command::new(std::env::current_exe()?);
    process.arg("--home").arg(&home.folder);
    if let Some(url) = &home.nats {
        process.args(["--nats", url]);
    }
    let output = process.output().context("the second process does not start")?;
    ensure!(output.status.success(), "the second process failed: {}", String::from_utf8_lossy(&output.stderr));
    let again: Vec<Answer> = serde_json::from_slice(&output.stdout)?;
    ensure!(again == answers, "the second process answers {again:?} instead of {answers:?}");
    report("restart", started, format_args!("a second process gives the same {} answers", again.len()));
    Ok(())
}

#[tokio::main]
async fn second_process(home: &Home) -> Result<()> {
    let questions: Vec<SearchQuery> = serde_json::from_slice(&fs::read(home.questions_file())?)?;
    let index = open(home.builder().await?.encryption_key(home.key()?).open().await?);
    println!("{}", serde_json::to_string(&Answer::to_all(&questions, &index).await?)?);
    Ok(())
}

#[tokio::main]
async fn refuse_wrong_keys(home: &Home) -> Result<()> {
    let started = Instant::now();
    let other = ContentEncryption::generate_key(EncryptionAlgorithm::ChaCha20Poly1305);
    let opened = home.builder().await?.encryption_key(other).open().await;
    ensure!(kind_of(&opened) == Some(ErrorKind::WrongKey), "another key was not refused: {opened:?}");
    let opened = home.builder().await?.open().await;
    ensure!(kind_of(&opened) == Some(ErrorKind::KeyRequired), "opening without a key was not refused: {opened:?}");
    report("refuse", started, "another key, and no key");
    Ok(())
}

#[tokio::main]
async fn back_up_and_restore(home: &Home, questions: &[SearchQuery], answers: &[Answer]) -> Result<()> {
    const NAME: &str = "before the accident";
    let index = open(home.builder().await?.encryption_key(home.key()?).open().await?);
    let started = Instant::now();
    let backup = index.backup(NAME).await?;
    report("back up", started, format_args!("{} documents, {} bytes of pages", backup.documents, backup.bytes));

    let started = Instant::now();
    let (question, removed) = (&questions[0], &answers[0].hits);
    for hit in removed {
        index.remove(&hit.cid.parse()?).await?;
    }
    let left = Answer::to(question, &index).await?.total;
    ensure!(left + removed.len() as u64 == answers[0].total, "{left} are left of {answers:?}");
    report("delete", started, format_args!("{} documents; {} now finds {left}", removed.len(), wording(question)));

    let started = Instant::now();
    index.restore_backup(NAME).await?;
    ensure!(Answer::to_all(questions, &index).await? == answers, "the restored index answers differently");
    let found = index.verify().await?;
    ensure!(found.is_sound(), "the restored index is not sound: {:?}", found.problems);
    report("restore", started, format_args!("the same answers; {} pages verified", found.pages));
    Ok(())
}

/// Returns the old key.
#[tokio::main]
async fn rotate(home: &Home, questions: &[SearchQuery], answers: &[Answer]) -> Result<EncryptionKey> {
    let persistence = Arc::new(home.builder().await?.encryption_key(home.key()?).open().await?);
    let index = ContentIndex::with_persistence(Arc::clone(&persistence));
    let started = Instant::now();
    let old_key = home.key()?;
    fs::remove_file(home.key_file())?;
    let new_key = ContentEncryption::generate_key(EncryptionAlgorithm::AES256GCM);
    new_key.write_file(home.key_file())?;
    persistence.rotate_encryption_key(new_key).await?;
    ensure!(Answer::to_all(questions, &index).await? == answers, "the rotated index answers differently");
    report("rotate", started, "to aes-256-gcm; the same answers");
    Ok(old_key)
}

#[tokio::main]
async fn reopen_after_rotation(
    home: &Home,
    old: EncryptionKey,
    questions: &[SearchQuery],
    answers: &[Answer],
) -> Result<()> {
    let started = Instant::now();
    let opened = home.builder().await?.encryption_key(old).open().await;
    ensure!(kind_of(&opened) == Some(ErrorKind::WrongKey), "the old key was not refused: {opened:?}");
    let index = open(home.builder().await?.encryption_key(home.key()?).open().await?);
    ensure!(Answer::to_all(questions, &index).await? == answers, "the index answers differently to the new key");
    report("reopen", started, "the old key is refused, the new one gets the same answers");
    Ok(())
}

fn wrap_a_cid(home: &Home, hit: &Found) -> Result<()> {
    let started = Instant::now();
    let key = home.key()?;
    let metadata = DocumentMetadata { title: hit.title.clone(), ..DocumentMetadata::default() };
    let wrapper = EncryptedCidWrapper::seal_value(&key, hit.cid.parse()?, &metadata, b"persistence_demo")?;
    let block = wrapper.to_dag_cbor();
    let again = EncryptedCidWrapper::from_dag_cbor(&block)?;
    ensure!(again.cid == wrapper.cid && again.open_value::<DocumentMetadata>(&key)? == metadata, "the wrapper changed");
    let mut forged = again;
    forged.aad.push(0);
    ensure!(forged.open(&key).is_err(), "an altered wrapper opened");
    report("wrap", started, format_args!("{} in a block of {} bytes, {}", hit.cid, block.len(), wrapper.wrapper_cid()));
    Ok(())
}

/// Searches the files of the store for the words of the queries, as a thief of the disk would.
fn look_into_the_store(home: &Home, questions: &[SearchQuery]) -> Result<()> {
    if home.nats.is_some() {
        return Ok(());
    }
    let started = Instant::now();
    let texts = questions.iter().filter_map(|question| question.text.as_deref());
    let words: Vec<&str> = texts.flat_map(str::split_whitespace).filter(|word| word.len() >= SEARCHED_BYTES).collect();
    let mut bytes = 0;
    for file in files_below(&home.store_folder())? {
        let content = fs::read(file)?;
        bytes += content.len();
        let content = String::from_utf8_lossy(&content).to_lowercase();
        for word in &words {
            ensure!(!content.contains(word), "{word:?} is stored unencrypted");
        }
    }
    report("look", started, format_args!("none of the words of the queries is in the {bytes} bytes of the store"));
    Ok(())
}

/// The files of this demonstration.
struct Home {
    folder: PathBuf,
    nats: Option<String>,
}

impl Home {
    fn key_file(&self) -> PathBuf {
        self.folder.join("index.key")
    }

    fn questions_file(&self) -> PathBuf {
        self.folder.join("questions.json")
    }

    fn store_folder(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Returns the name of the index on the server, derived from the unique name of the temporary
    /// folder.
    fn index_name(&self) -> Result<IndexName> {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        Ok(IndexName::new(&name)?)
    }

    fn store(&self) -> String {
        match &self.nats {
            Some(_) => "a separate index on the NATS server".to_owned(),
            None => format!("an index in {}", self.store_folder().display()),
        }
    }

    fn key(&self) -> Result<EncryptionKey> {
        Ok(EncryptionKey::read_file(self.key_file())?)
    }

    async fn builder(&self) -> Result<IndexPersistenceBuilder> {
        Ok(match &self.nats {
            None => IndexPersistence::builder().folder(self.store_folder()),
            Some(url) => IndexPersistence::builder().jetstream(jetstream(url).await?).name(self.index_name()?),
        })
    }

    #[tokio::main]
    async fn clean_up(&self) -> Result<()> {
        let Some(url) = &self.nats else { return Ok(()) };
        let (jetstream, name) = (jetstream(url).await?, self.index_name()?);
        for bucket in ["text_index_v1", "tag_index_v1", "type_index_v1", "metadata_cache_v1", "catalog_v1"] {
            let bucket = format!("{}_{bucket}", name.as_str().unwrap_or_default());
            // A bucket that was never created needs no deletion.
            let _ = jetstream.delete_key_value(bucket).await;
        }
        Ok(())
    }
}

async fn jetstream(url: &str) -> Result<async_nats::jetstream::Context> {
    let client = async_nats::connect(url).await.context("the NATS server does not answer")?;
    Ok(async_nats::jetstream::new(client))
}

fn open(persistence: IndexPersistence) -> ContentIndex {
    ContentIndex::with_persistence(Arc::new(persistence))
}

fn kind_of(opened: &cim_ipld::Result<IndexPersistence>) -> Option<ErrorKind> {
    opened.as_ref().err().map(cim_ipld::Error::kind)
}

/// The answer of an index to a query. Two answers are equal only if all scores are bitwise equal.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    total: u64,
    hits: Vec<Found>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Found {
    cid: String,
    title: Option<String>,
    score_bits: u32,
}

impl Answer {
    async fn to(question: &SearchQuery, index: &ContentIndex) -> Result<Self> {
        let found = index.find(&question.to_query()?, &question.to_options()).await?;
        let hits = found.hits.into_iter().map(|hit| Found {
            cid: hit.cid.to_string(),
            title: hit.title,
            score_bits: hit.score.to_bits(),
        });
        Ok(Self { total: found.total, hits: hits.collect() })
    }

    async fn to_all(questions: &[SearchQuery], index: &ContentIndex) -> Result<Vec<Self>> {
        let mut answers = Vec::new();
        for question in questions {
            answers.push(Self::to(question, index).await?);
        }
        Ok(answers)
    }
}

fn wording(question: &SearchQuery) -> String {
    let text = question.text.iter().map(|text| format!("{text:?}"));
    let tags = question.tags.iter().map(|tag| format!("everything tagged {tag:?}"));
    text.chain(tags).collect::<Vec<_>>().join(", ")
}

fn report(step: &str, started: Instant, outcome: impl Display) {
    println!("{step:<8} {:>9.1} ms  {outcome}", started.elapsed().as_secs_f64() * 1e3);
}
