use cim_ipld::envelope::EncryptionAlgorithm;
use cim_ipld::index::{Analyzer, AnalyzerSpec};
use cim_ipld::persistence::Protection;
use serde_json::json;

use crate::args::InitArguments;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::keys::{KeyFile, own_algorithm};

pub(crate) async fn run(arguments: InitArguments, context: &Context) -> Result<()> {
    let place = arguments.at.place()?;
    let (protection, algorithm) = protection(&arguments, context)?;
    let spec = analyzer(&arguments)?;
    let analyzer =
        Analyzer::from_spec(&spec).expect("an analyzer for languages can be built from its specification alone");
    place.create(protection, analyzer, &arguments, context).await?.close().await;
    let object = json!({
        "store": place.to_string(),
        "algorithm": algorithm.map(|algorithm| algorithm.as_str()),
        "analyzer": spec.to_string(),
    });
    let mut how = algorithm.map_or_else(|| "unencrypted".to_owned(), |algorithm| format!("encrypted with {algorithm}"));
    if spec != AnalyzerSpec::default() {
        how.push_str(&format!(", for {spec}"));
    }
    context.say(format!("created {place}, {how}"), &object)
}

/// Returns the analyzer of the new index.
fn analyzer(arguments: &InitArguments) -> Result<AnalyzerSpec> {
    match arguments.languages.clone() {
        AnalyzerSpec::Words(words) if arguments.without_stop_words && words.stems.is_empty() => {
            Err(Failure::usage("--without-stop-words requires --language", "add the languages, such as --language en"))
        }
        AnalyzerSpec::Words(words) if arguments.without_stop_words => {
            Ok(AnalyzerSpec::Words(words.without_stop_words()))
        }
        spec => Ok(spec),
    }
}

/// Returns the protection of the new index and its algorithm.
fn protection(arguments: &InitArguments, context: &Context) -> Result<(Protection, Option<EncryptionAlgorithm>)> {
    match (KeyFile::chosen(&arguments.at.key)?, arguments.plaintext) {
        (None, true) => Ok((Protection::Plaintext, None)),
        (Some(_), true) => Err(Failure::usage(
            "--plaintext conflicts with the key set in the environment",
            "unset CIM_KEY_FILE and CIM_PASSPHRASE_FILE, or leave out --plaintext",
        )),
        (None, false) => Err(Failure::usage(
            "a new index needs a key",
            "create one with `cim key generate FILE` and give it with --key-file FILE, or use --plaintext",
        )),
        (Some(file), false) => {
            let key = file.read_new(context.key_access)?;
            let algorithm = arguments.algorithm.map(EncryptionAlgorithm::from).or_else(|| own_algorithm(&key));
            let algorithm = algorithm.unwrap_or(EncryptionAlgorithm::AES256GCM);
            Ok((Protection::Encrypted { algorithm, key }, Some(algorithm)))
        }
    }
}
