//! A reproducible synthetic corpus: Zipf-distributed words, topics, skewed tags.
//!
//! Each document has a topic. For three words in ten, the topic determines which word a rank stands
//! for. So each topic has its own frequent words, and words co-occur as in real text. Pairs of
//! words repeat, so that phrases have hits.

use cim_ipld_index::Document;

use crate::cid_of;
use crate::rng::Rng;

const WORDS: usize = 40_000;
const TOPICS: usize = 64;
const AUTHORS: usize = 400;
const SECTIONS: usize = 40;
const TAGS: usize = 120;

/// Generates `count` documents from a seed.
pub fn documents(count: usize, seed: u64) -> Vec<Document> {
    let mut rng = Rng::new(seed);
    let vocabulary: Vec<String> = (0..WORDS).map(word).collect();
    let zipf = Zipf::new(WORDS);
    (0..count).map(|number| document(number, &vocabulary, &zipf, &mut rng)).collect()
}

fn document(number: usize, vocabulary: &[String], zipf: &Zipf, rng: &mut Rng) -> Document {
    let topic = rng.below(TOPICS);
    // Short texts are common and long ones exist: 15 to about 600 words.
    let length = 15 + (1.0 / (0.012 + rng.unit())).powf(1.25) as usize * 2 + rng.below(60);
    let mut text = String::new();
    let mut last = 0;
    for place in 0..length {
        let rank = zipf.draw(rng);
        let index = match rng.below(10) {
            0..3 => (rank * (2 * topic + 3) + topic * 577) % WORDS,
            // The word that usually follows the previous one.
            3 => (last * 31 + 7) % WORDS,
            _ => rank,
        };
        if place > 0 {
            text.push_str(if place % 14 == 0 { ". " } else { " " });
        }
        text.push_str(&vocabulary[index]);
        last = index;
    }
    let title = format!("{}-{}", vocabulary[zipf.draw(rng)], vocabulary[(topic * 911 + number) % WORDS]);
    let author = rng.below(AUTHORS);
    let author = format!("{} {}", vocabulary[author + 300], vocabulary[author * 7 + 900]);
    let mut document = Document::new(cid_of(format!("{number} {title} {text}").as_bytes()))
        .with_title(title)
        .with_author(author)
        .with_content_type(if rng.below(8) == 0 { "text/markdown" } else { "text/plain" })
        .with_size(text.len() as u64)
        .with_text(text)
        .with_tag(format!("section::{}", vocabulary[skewed(SECTIONS, rng) + 2000]));
    for _ in 0..rng.below(5) {
        document = document.with_tag(format!("topic::{}", vocabulary[skewed(TAGS, rng) + 3000]));
    }
    document
}

/// Returns a number below `end`, with small numbers far more likely.
fn skewed(end: usize, rng: &mut Rng) -> usize {
    let unit = rng.unit();
    (unit * unit * unit * end as f64) as usize
}

/// Returns a pronounceable word, distinct for every number.
fn word(number: usize) -> String {
    const ONSETS: &[u8] = b"bdfgklmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    let mut rest = number;
    let mut word = String::new();
    loop {
        word.push(ONSETS[rest % ONSETS.len()] as char);
        rest /= ONSETS.len();
        word.push(VOWELS[rest % VOWELS.len()] as char);
        rest /= VOWELS.len();
        if rest == 0 {
            return word;
        }
        rest -= 1;
    }
}

/// Draws ranks, each with a probability proportional to 1 / (rank + 2).
struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new(count: usize) -> Self {
        let mut sum = 0.0;
        let cumulative = (0..count)
            .map(|rank| {
                sum += 1.0 / (rank as f64 + 2.0);
                sum
            })
            .collect();
        Self { cumulative }
    }

    fn draw(&self, rng: &mut Rng) -> usize {
        let wanted = rng.unit() * self.cumulative[self.cumulative.len() - 1];
        self.cumulative.partition_point(|sum| *sum <= wanted)
    }
}
