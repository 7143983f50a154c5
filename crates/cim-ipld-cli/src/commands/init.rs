use cim_ipld::envelope::EncryptionAlgorithm;
use cim_ipld::index::{Analyzer, AnalyzerSpec};
use cim_ipld::persistence::Protection;

use crate::args::InitArguments;
use crate::failure::{Failure, Result};
use crate::keys::{KeyFile, own_algorithm};
use crate::output::print_line;
use crate::pins::Pins;

pub(crate) async fn run(arguments: InitArguments, pins: &Pins) -> Result<()> {
    let place = arguments.at.store.place()?;
    let (protection, how) = protection(&arguments)?;
    let spec = analyzer(&arguments)?;
    let analyzer = Analyzer::from_spec(&spec).expect("words of languages need nothing of an application");
    place.create(protection, analyzer, pins).await?.close().await;
    match spec == AnalyzerSpec::default() {
        true => print_line(format!("created {place}, {how}")),
        false => print_line(format!("created {place}, {how}, for {spec}")),
    }
}

/// How the new index cuts its texts.
fn analyzer(arguments: &InitArguments) -> Result<AnalyzerSpec> {
    match arguments.languages.clone() {
        AnalyzerSpec::Words(words) if arguments.without_stop_words && words.stems.is_empty() => Err(Failure::usage(
            "--without-stop-words needs to know of which languages",
            "name them with --language, such as --language en",
        )),
        AnalyzerSpec::Words(words) if arguments.without_stop_words => {
            Ok(AnalyzerSpec::Words(words.without_stop_words()))
        }
        spec => Ok(spec),
    }
}

/// What protects the new index, and how that is called.
fn protection(arguments: &InitArguments) -> Result<(Protection, String)> {
    match (KeyFile::chosen(&arguments.at.key)?, arguments.plaintext) {
        (None, true) => Ok((Protection::Plaintext, "unencrypted".to_owned())),
        (Some(_), true) => Err(Failure::usage(
            "a key is set in the environment, and --plaintext asks for no encryption",
            "unset CIM_KEY_FILE and CIM_PASSPHRASE_FILE, or leave out --plaintext",
        )),
        (None, false) => Err(Failure::usage(
            "a new index needs a key",
            "make one with `cim key generate FILE` and give it with --key-file FILE; --plaintext does without",
        )),
        (Some(file), false) => {
            let key = file.read()?;
            let algorithm = arguments.algorithm.map(EncryptionAlgorithm::from).or_else(|| own_algorithm(&key));
            let algorithm = algorithm.unwrap_or(EncryptionAlgorithm::AES256GCM);
            Ok((Protection::Encrypted { algorithm, key }, format!("encrypted with {algorithm}")))
        }
    }
}
