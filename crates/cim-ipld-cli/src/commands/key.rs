use cim_ipld::envelope::{DataKeyInfo, DataKeyState, EncryptionAlgorithm, EncryptionKey, KeySlotInfo, KeySlotKind};
use cim_ipld::persistence::KeyReport;
use serde::Serialize;
use serde_json::json;

use crate::args::{GenerateArguments, ReportArguments, RotateArguments};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::keys::{KeyFile, own_algorithm};
use crate::output::{print, print_json};
use crate::shown::one_line;
use crate::status::Status;

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

pub(crate) fn generate(arguments: GenerateArguments, context: &Context) -> Result<()> {
    let algorithm = EncryptionAlgorithm::from(arguments.algorithm);
    let file = &arguments.file;
    if file.symlink_metadata().is_ok() {
        let message = format!("{} already exists, and a key is never overwritten", file.display());
        return Err(Failure::of(Status::Exists, message, "choose another file"));
    }
    EncryptionKey::generate(algorithm).write_file(file)?;
    let name = one_line(&file.display().to_string());
    let line = format!("wrote a key for {algorithm} to {name}; without it the index cannot be read, so keep a copy");
    context.say(line, &json!({ "file": name, "algorithm": algorithm.as_str() }))
}

pub(crate) async fn rotate(arguments: RotateArguments, context: &Context) -> Result<()> {
    if arguments.new.finish {
        return finish(arguments, context).await;
    }
    let file = KeyFile::new_one(&arguments.new)?;
    let new = file.read_new(context.key_access)?;
    let engine = arguments.at.open(context).await?;
    let chosen = arguments.algorithm.map(EncryptionAlgorithm::from).or_else(|| own_algorithm(&new));
    let algorithm = chosen.or_else(|| engine.algorithm()).unwrap_or(EncryptionAlgorithm::AES256GCM);
    engine.rotate_key(&new, algorithm).await?;
    engine.close().await;
    let name = one_line(&file.path().display().to_string());
    let line = format!("the index now opens with {name}, and later writes are encrypted with {algorithm}");
    context.say(line, &json!({ "file": name, "algorithm": algorithm.as_str() }))
}

async fn finish(arguments: RotateArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    // Fails for an index without keys, which has no rotation either.
    engine.keys()?;
    let was_unfinished = engine.stats().await?.rotation_unfinished;
    if was_unfinished {
        engine.finish_rotation().await?;
    }
    engine.close().await;
    let line = match was_unfinished {
        true => "the rotation is finished: the older data keys are retired",
        false => "there is no rotation to finish",
    };
    context.say(line, &json!({ "finished": was_unfinished }))
}

pub(crate) async fn list(arguments: ReportArguments, context: &Context) -> Result<()> {
    let engine = arguments.at.open(context).await?;
    let list = ListJson::from(&engine.keys()?);
    if context.json { print_json(&list) } else { print(&render(&list)) }
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
