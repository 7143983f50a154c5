use cim_ipld::envelope::{DataKeyInfo, DataKeyState, EncryptionAlgorithm, EncryptionKey, KeySlotInfo, KeySlotKind};
use cim_ipld::persistence::KeyReport;
use serde::Serialize;

use crate::args::{GenerateArguments, ReportArguments, RotateArguments};
use crate::failure::{Failure, Result};
use crate::keys::{KeyFile, own_algorithm};
use crate::output::{one_line, print, print_json, print_line};
use crate::pins::Pins;

/// The object of `key list --json`.
#[derive(Debug, Serialize)]
struct ListJson {
    slots: Vec<SlotJson>,
    data_keys: Vec<DataKeyJson>,
}

#[derive(Debug, Serialize)]
struct SlotJson {
    id: String,
    kind: String,
    algorithm: &'static str,
}

#[derive(Debug, Serialize)]
struct DataKeyJson {
    id: String,
    algorithm: &'static str,
    state: &'static str,
    rotation_due: bool,
}

pub(crate) fn generate(arguments: GenerateArguments) -> Result<()> {
    let algorithm = EncryptionAlgorithm::from(arguments.algorithm);
    let file = &arguments.file;
    if file.symlink_metadata().is_ok() {
        let message = format!("{} is there already, and a key is never overwritten", file.display());
        return Err(Failure::new(message, "choose another file"));
    }
    EncryptionKey::generate(algorithm).write_file(file)?;
    let name = one_line(&file.display().to_string());
    print_line(format!("wrote a key for {algorithm} to {name}; without it the index cannot be read, so keep a copy"))
}

pub(crate) async fn rotate(arguments: RotateArguments, pins: &Pins) -> Result<()> {
    if arguments.new.finish {
        return finish(arguments, pins).await;
    }
    let file = KeyFile::new_one(&arguments.new)?;
    let new = file.read()?;
    let engine = arguments.at.open(pins).await?;
    let chosen = arguments.algorithm.map(EncryptionAlgorithm::from).or_else(|| own_algorithm(&new));
    let algorithm = chosen.or_else(|| engine.algorithm()).unwrap_or(EncryptionAlgorithm::AES256GCM);
    engine.rotate_key(&new, algorithm).await?;
    engine.close().await;
    let name = one_line(&file.path().display().to_string());
    print_line(format!("the index opens with {name} now; what is written from now on is sealed with {algorithm}"))
}

async fn finish(arguments: RotateArguments, pins: &Pins) -> Result<()> {
    let engine = arguments.at.open(pins).await?;
    // An index without keys has no rotation either.
    engine.keys()?;
    let was_unfinished = engine.stats().await?.rotation_unfinished;
    if was_unfinished {
        engine.finish_rotation().await?;
    }
    engine.close().await;
    print_line(if was_unfinished {
        "the rotation is finished: older data keys authenticate nothing new"
    } else {
        "there is no rotation to finish"
    })
}

pub(crate) async fn list(arguments: ReportArguments, pins: &Pins) -> Result<()> {
    let engine = arguments.at.open(pins).await?;
    let list = ListJson::from(&engine.keys()?);
    if arguments.json { print_json(&list) } else { print(&render(&list)) }
}

fn render(list: &ListJson) -> String {
    let mut text = String::new();
    for slot in &list.slots {
        text.push_str(&format!("opened by  {}  {}  {}\n", slot.id, one_line(&slot.kind), slot.algorithm));
    }
    for key in &list.data_keys {
        let due = if key.rotation_due { "  (rotation due)" } else { "" };
        text.push_str(&format!("sealed by  {}  {}  {}{due}\n", key.id, key.state, key.algorithm));
    }
    text
}

impl From<&KeyReport> for ListJson {
    fn from(report: &KeyReport) -> Self {
        Self {
            slots: report.slots.iter().map(SlotJson::from).collect(),
            data_keys: report.data_keys.iter().map(DataKeyJson::from).collect(),
        }
    }
}

impl From<&KeySlotInfo> for SlotJson {
    fn from(slot: &KeySlotInfo) -> Self {
        let kind = match &slot.kind {
            KeySlotKind::Key => "key".to_owned(),
            KeySlotKind::Passphrase(_) => "passphrase".to_owned(),
            KeySlotKind::Provider(name) => format!("provider {name}"),
            _ => "other".to_owned(),
        };
        Self { id: slot.id.to_string(), kind, algorithm: slot.algorithm.as_str() }
    }
}

impl From<&DataKeyInfo> for DataKeyJson {
    fn from(key: &DataKeyInfo) -> Self {
        let state = match key.state {
            DataKeyState::Active => "active",
            DataKeyState::DecryptOnly => "decrypt-only",
            DataKeyState::Destroyed => "destroyed",
            _ => "other",
        };
        Self { id: key.id.to_string(), algorithm: key.algorithm.as_str(), state, rotation_due: key.rotation_due() }
    }
}
