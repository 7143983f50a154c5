//! Metadata of documents, images, audio and video, and its conversion to and from index documents.

use cid::Cid;
use cim_ipld_index::{Document, DocumentKind, Timestamp, Value};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// Metadata of a text document.
///
/// ```
/// use cim_ipld_persistence::{DocumentMetadata, content_cid};
///
/// let metadata = DocumentMetadata {
///     title: Some("Tides".into()),
///     tags: vec!["sea".into()],
///     created_at: Some(1_700_000_000),
///     ..DocumentMetadata::default()
/// };
/// let document = metadata.to_document(content_cid(b"ebb and flow"), Some("ebb and flow"))?;
/// assert_eq!(document.text.as_deref(), Some("ebb and flow"));
/// assert_eq!(DocumentMetadata::from(&document), metadata);
/// # Ok::<(), cim_ipld_persistence::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DocumentMetadata {
    /// The title; searched.
    pub title: Option<String>,
    /// The author; searched.
    pub author: Option<String>,
    /// The creation time in Unix seconds.
    pub created_at: Option<u64>,
    /// The modification time in Unix seconds.
    pub modified_at: Option<u64>,
    /// Tags to filter by, matched exactly.
    pub tags: Vec<String>,
    /// The language as a BCP 47 tag, such as `pt-BR`. It is stored unchanged.
    pub language: Option<String>,
    /// The media type, such as `text/markdown`, to filter by.
    pub content_type: Option<String>,
    /// The size of the content in bytes.
    pub size: Option<u64>,
}

/// Metadata of an image.
///
/// ```
/// use cim_ipld_persistence::{ImageMetadata, content_cid};
///
/// let metadata = ImageMetadata { width: Some(640), height: Some(480), ..ImageMetadata::default() };
/// let document = metadata.to_document(content_cid(b"pixels"), "image/png");
/// assert_eq!(document.content_type.as_deref(), Some("image/png"));
/// assert_eq!(ImageMetadata::from(&document), metadata);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageMetadata {
    /// The width in pixels.
    pub width: Option<u32>,
    /// The height in pixels.
    pub height: Option<u32>,
    /// The file format, such as `JPEG`.
    pub format: Option<String>,
    /// The colour space, such as `sRGB`.
    pub color_space: Option<String>,
    /// The compression method.
    pub compression: Option<String>,
    /// Tags to filter by, matched exactly.
    pub tags: Vec<String>,
}

/// Metadata of an audio recording.
///
/// ```
/// use cim_ipld_persistence::{AudioMetadata, content_cid};
///
/// let metadata = AudioMetadata { artist: Some("Ella".into()), year: Some(1956), ..AudioMetadata::default() };
/// let document = metadata.to_document(content_cid(b"samples"), "audio/flac")?;
/// assert_eq!(document.author.as_deref(), Some("Ella"));
/// assert_eq!(AudioMetadata::from(&document), metadata);
/// # Ok::<(), cim_ipld_persistence::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AudioMetadata {
    /// The duration in milliseconds.
    pub duration_ms: Option<u64>,
    /// The bit rate in bits per second.
    pub bitrate: Option<u32>,
    /// The sample rate in hertz.
    pub sample_rate: Option<u32>,
    /// The number of channels.
    pub channels: Option<u8>,
    /// The codec, such as `flac`.
    pub codec: Option<String>,
    /// The performer; searched as the author.
    pub artist: Option<String>,
    /// The album; searched as the text.
    pub album: Option<String>,
    /// The title; searched.
    pub title: Option<String>,
    /// The year of publication.
    pub year: Option<u16>,
    /// Tags to filter by, matched exactly.
    pub tags: Vec<String>,
}

/// Metadata of a video.
///
/// ```
/// use cim_ipld_persistence::{VideoMetadata, content_cid};
///
/// let metadata = VideoMetadata { duration_ms: Some(90_000), frame_rate: Some(25.0), ..VideoMetadata::default() };
/// let document = metadata.to_document(content_cid(b"frames"), "video/webm")?;
/// assert_eq!(VideoMetadata::from(&document), metadata);
/// # Ok::<(), cim_ipld_persistence::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VideoMetadata {
    /// The duration in milliseconds.
    pub duration_ms: Option<u64>,
    /// The width in pixels.
    pub width: Option<u32>,
    /// The height in pixels.
    pub height: Option<u32>,
    /// The frame rate in frames per second.
    pub frame_rate: Option<f64>,
    /// The codec of the video stream, such as `av1`.
    pub video_codec: Option<String>,
    /// The codec of the audio stream, such as `opus`.
    pub audio_codec: Option<String>,
    /// The total bit rate in bits per second.
    pub bitrate: Option<u32>,
    /// Tags to filter by, matched exactly.
    pub tags: Vec<String>,
}

impl DocumentMetadata {
    /// Returns the index document of `cid` with this metadata and the full text `text`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if a time exceeds the range of the index, about
    /// 292 million years.
    pub fn to_document(&self, cid: Cid, text: Option<&str>) -> Result<Document> {
        let mut document = Document::new(cid);
        document.title.clone_from(&self.title);
        document.author.clone_from(&self.author);
        document.created_at = timestamp("created_at", self.created_at)?;
        document.modified_at = timestamp("modified_at", self.modified_at)?;
        document.tags.clone_from(&self.tags);
        document.content_type.clone_from(&self.content_type);
        document.size = self.size;
        document.text = text.map(str::to_owned);
        set_keyword(&mut document, "language", &self.language);
        Ok(document)
    }
}

impl From<&Document> for DocumentMetadata {
    fn from(document: &Document) -> Self {
        Self {
            title: document.title.clone(),
            author: document.author.clone(),
            created_at: document.created_at.and_then(unix_seconds),
            modified_at: document.modified_at.and_then(unix_seconds),
            tags: document.tags.clone(),
            language: keyword(document, "language"),
            content_type: document.content_type.clone(),
            size: document.size,
        }
    }
}

impl ImageMetadata {
    /// Returns the index document of `cid` with this metadata and the media type `content_type`.
    #[must_use]
    pub fn to_document(&self, cid: Cid, content_type: &str) -> Document {
        let mut document = media_document(cid, DocumentKind::Image, content_type, &self.tags);
        set_integer(&mut document, "width", self.width);
        set_integer(&mut document, "height", self.height);
        set_keyword(&mut document, "format", &self.format);
        set_keyword(&mut document, "color_space", &self.color_space);
        set_keyword(&mut document, "compression", &self.compression);
        document
    }
}

impl From<&Document> for ImageMetadata {
    fn from(document: &Document) -> Self {
        Self {
            width: integer(document, "width"),
            height: integer(document, "height"),
            format: keyword(document, "format"),
            color_space: keyword(document, "color_space"),
            compression: keyword(document, "compression"),
            tags: document.tags.clone(),
        }
    }
}

impl AudioMetadata {
    /// Returns the index document of `cid` with this metadata and the media type `content_type`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the duration is 2^63 milliseconds or more.
    pub fn to_document(&self, cid: Cid, content_type: &str) -> Result<Document> {
        let mut document = media_document(cid, DocumentKind::Audio, content_type, &self.tags);
        document.title.clone_from(&self.title);
        document.author.clone_from(&self.artist);
        document.text.clone_from(&self.album);
        set_integer(&mut document, "duration_ms", duration(self.duration_ms)?);
        set_integer(&mut document, "bitrate", self.bitrate);
        set_integer(&mut document, "sample_rate", self.sample_rate);
        set_integer(&mut document, "channels", self.channels);
        set_keyword(&mut document, "codec", &self.codec);
        set_integer(&mut document, "year", self.year);
        Ok(document)
    }
}

impl From<&Document> for AudioMetadata {
    fn from(document: &Document) -> Self {
        Self {
            duration_ms: integer(document, "duration_ms"),
            bitrate: integer(document, "bitrate"),
            sample_rate: integer(document, "sample_rate"),
            channels: integer(document, "channels"),
            codec: keyword(document, "codec"),
            artist: document.author.clone(),
            album: document.text.clone(),
            title: document.title.clone(),
            year: integer(document, "year"),
            tags: document.tags.clone(),
        }
    }
}

impl VideoMetadata {
    /// Returns the index document of `cid` with this metadata and the media type `content_type`.
    ///
    /// # Errors
    /// [`InvalidInput`](ErrorKind::InvalidInput) if the duration is 2^63 milliseconds or more.
    pub fn to_document(&self, cid: Cid, content_type: &str) -> Result<Document> {
        let mut document = media_document(cid, DocumentKind::Video, content_type, &self.tags);
        set_integer(&mut document, "duration_ms", duration(self.duration_ms)?);
        set_integer(&mut document, "width", self.width);
        set_integer(&mut document, "height", self.height);
        if let Some(frame_rate) = self.frame_rate {
            document.attributes.insert("frame_rate".into(), Value::Float(frame_rate));
        }
        set_keyword(&mut document, "video_codec", &self.video_codec);
        set_keyword(&mut document, "audio_codec", &self.audio_codec);
        set_integer(&mut document, "bitrate", self.bitrate);
        Ok(document)
    }
}

impl From<&Document> for VideoMetadata {
    fn from(document: &Document) -> Self {
        Self {
            duration_ms: integer(document, "duration_ms"),
            width: integer(document, "width"),
            height: integer(document, "height"),
            frame_rate: match document.attributes.get("frame_rate") {
                Some(Value::Float(rate)) => Some(*rate),
                _ => None,
            },
            video_codec: keyword(document, "video_codec"),
            audio_codec: keyword(document, "audio_codec"),
            bitrate: integer(document, "bitrate"),
            tags: document.tags.clone(),
        }
    }
}

/// Returns `at` in whole Unix seconds, or `None` for a time before 1970.
///
/// ```
/// use cim_ipld_index::Timestamp;
/// use cim_ipld_persistence::unix_seconds;
///
/// assert_eq!(unix_seconds(Timestamp(1999)), Some(1));
/// assert_eq!(unix_seconds(Timestamp(-1)), None);
/// ```
#[must_use]
pub fn unix_seconds(at: Timestamp) -> Option<u64> {
    u64::try_from(at.0).ok().map(|milliseconds| milliseconds / 1000)
}

fn timestamp(field: &str, seconds: Option<u64>) -> Result<Option<Timestamp>> {
    let milliseconds = |seconds: u64| i64::try_from(seconds).ok()?.checked_mul(1000);
    seconds
        .map(|seconds| {
            milliseconds(seconds).map(Timestamp).ok_or_else(|| {
                let message = format!("{field} is {seconds} seconds after 1970, which exceeds the range of the index");
                Error::new(ErrorKind::InvalidInput, message)
            })
        })
        .transpose()
}

fn duration(milliseconds: Option<u64>) -> Result<Option<i64>> {
    milliseconds.map(i64::try_from).transpose().map_err(|error| {
        Error::new(ErrorKind::InvalidInput, "duration_ms exceeds the range of the index").with_source(error)
    })
}

fn media_document(cid: Cid, kind: DocumentKind, content_type: &str, tags: &[String]) -> Document {
    let mut document = Document::new(cid).with_kind(kind).with_content_type(content_type);
    document.tags = tags.to_vec();
    document
}

fn set_keyword(document: &mut Document, name: &str, value: &Option<String>) {
    if let Some(value) = value {
        document.attributes.insert(name.to_owned(), Value::Keyword(value.clone()));
    }
}

fn set_integer(document: &mut Document, name: &str, value: Option<impl Into<i64>>) {
    if let Some(value) = value {
        document.attributes.insert(name.to_owned(), Value::Integer(value.into()));
    }
}

fn keyword(document: &Document, name: &str) -> Option<String> {
    match document.attributes.get(name) {
        Some(Value::Keyword(value)) => Some(value.clone()),
        _ => None,
    }
}

/// Returns the integer attribute of this name if it fits `N`.
fn integer<N: TryFrom<i64>>(document: &Document, name: &str) -> Option<N> {
    match document.attributes.get(name) {
        Some(Value::Integer(value)) => N::try_from(*value).ok(),
        _ => None,
    }
}
