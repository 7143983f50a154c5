//! Connections to NATS, from options or a context of the `nats` program.

use std::path::{Path, PathBuf};

use cim_ipld::envelope::Zeroizing;
use cim_ipld::nats::{NatsConnection, NatsSettings, ServerList};
use serde::Deserialize;

use crate::args::{BucketArguments, NatsArguments, Storage};
use crate::failure::{Failure, Result};

/// The fields of a context that are used or refused. The `nats` program writes empty strings for
/// unset fields.
#[derive(Default, Deserialize)]
#[serde(default)]
struct CliContext {
    url: String,
    user: String,
    password: String,
    token: String,
    creds: String,
    nkey: String,
    cert: String,
    key: String,
    ca: String,
    jetstream_domain: String,
    jetstream_api_prefix: String,
    inbox_prefix: String,
    tls_first: bool,
    /// Unsupported ways to authenticate, which are refused rather than ignored.
    nsc: String,
    user_jwt: String,
    user_seed: String,
}

/// Returns the servers of the context.
pub(crate) fn servers(arguments: &NatsArguments) -> Result<ServerList> {
    let none =
        || Failure::usage("STORE does not name a NATS server", "give nats://HOST:PORT[/INDEX], or --context NAME");
    let context = CliContext::load(arguments.context.as_deref().ok_or_else(none)?)?;
    match context.url.as_str() {
        "" => Err(none()),
        url => Ok(url.parse()?),
    }
}

/// Returns the connection settings from the options, or otherwise from the context.
pub(crate) fn connection(servers: &ServerList, arguments: &NatsArguments) -> Result<NatsConnection> {
    let mut connection = NatsConnection::to_servers(servers.clone());
    if let Some(name) = &arguments.context {
        connection = CliContext::load(name)?.apply(connection)?;
    }
    options(connection, arguments)
}

fn options(mut connection: NatsConnection, arguments: &NatsArguments) -> Result<NatsConnection> {
    if let Some(file) = &arguments.creds {
        connection = connection.credentials_file(file);
    }
    if let Some(file) = &arguments.nkey {
        connection = connection.nkey_file(file);
    }
    if let Some(file) = &arguments.token_file {
        connection = connection.token(secret(file)?);
    }
    if let (Some(user), Some(file)) = (&arguments.user, &arguments.password_file) {
        connection = connection.user_and_password(user, secret(file)?);
    }
    if let Some(file) = &arguments.tls_ca {
        connection = connection.ca_file(file);
    }
    if let (Some(certificate), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) {
        connection = connection.client_certificate(certificate, key);
    }
    if arguments.tls_first {
        connection = connection.tls_first();
    }
    if let Some(domain) = &arguments.js_domain {
        connection = connection.domain(domain)?;
    }
    if let Some(prefix) = &arguments.js_api_prefix {
        connection = connection.api_prefix(prefix)?;
    }
    if let Some(prefix) = &arguments.inbox_prefix {
        connection = connection.inbox_prefix(prefix)?;
    }
    Ok(connection)
}

impl CliContext {
    /// Reads `nats/context/NAME.json` in the configuration folder.
    fn load(name: &str) -> Result<Self> {
        let hint = "list the contexts with `nats context ls`";
        if name.is_empty() || name.contains(['/', '\\']) {
            return Err(Failure::usage("--context is not a valid name of a context", hint));
        }
        let folder = config_folder(|name| std::env::var_os(name).map(PathBuf::from));
        let folder = folder.ok_or_else(|| {
            Failure::usage("contexts cannot be found: neither XDG_CONFIG_HOME nor HOME is set", "set one of them")
        })?;
        let file = folder.join("nats/context").join(format!("{name}.json"));
        let text = std::fs::read(&file).map(Zeroizing::new).map_err(|error| {
            Failure::usage(format!("the context {name} cannot be read: {}: {error}", file.display()), hint)
        })?;
        // The message does not quote the context, which may contain a password.
        serde_json::from_slice(&text).map_err(|error| {
            let message =
                format!("{} is not a context: line {}, column {}", file.display(), error.line(), error.column());
            Failure::usage(message, "save it again with `nats context save`")
        })
    }

    fn apply(self, mut connection: NatsConnection) -> Result<NatsConnection> {
        let set = |text: &str| !text.is_empty();
        if set(&self.nsc) || set(&self.user_jwt) || set(&self.user_seed) {
            return Err(Failure::usage(
                "the context authenticates by nsc or an inline JWT, which is not supported",
                "use a context with a credentials file, or give the file with --creds FILE",
            ));
        }
        if set(&self.creds) {
            connection = connection.credentials_file(home(&self.creds));
        } else if set(&self.nkey) {
            connection = connection.nkey_file(home(&self.nkey));
        } else if set(&self.token) {
            connection = connection.token(Zeroizing::new(self.token));
        } else if set(&self.user) && set(&self.password) {
            connection = connection.user_and_password(self.user, Zeroizing::new(self.password));
        } else if set(&self.user) {
            // Without a password, the `nats` program treats the user name as a token.
            connection = connection.token(Zeroizing::new(self.user));
        }
        if set(&self.ca) {
            connection = connection.ca_file(home(&self.ca));
        }
        if set(&self.cert) && set(&self.key) {
            connection = connection.client_certificate(home(&self.cert), home(&self.key));
        }
        if self.tls_first {
            connection = connection.tls_first();
        }
        if set(&self.jetstream_domain) {
            connection = connection.domain(&self.jetstream_domain)?;
        } else if set(&self.jetstream_api_prefix) {
            connection = connection.api_prefix(&self.jetstream_api_prefix)?;
        }
        if set(&self.inbox_prefix) {
            connection = connection.inbox_prefix(&self.inbox_prefix)?;
        }
        Ok(connection)
    }
}

/// Returns the settings of the buckets of a new index.
pub(crate) fn new_buckets(arguments: &BucketArguments) -> NatsSettings {
    let mut settings = NatsSettings::default();
    settings.replicas = arguments.replicas.map_or(settings.replicas, usize::from);
    settings.in_memory = arguments.storage == Some(Storage::Memory);
    settings.max_bytes = arguments.max_bytes;
    settings.placement_tags.clone_from(&arguments.placement_tags);
    settings
}

/// Returns the settings for an existing index, whose buckets keep their own.
pub(crate) fn existing_buckets() -> NatsSettings {
    let mut settings = NatsSettings::default();
    settings.allow_in_memory = true;
    settings
}

fn config_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))
}

fn home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.into(),
    }
}

/// Reads a password or token from the first line of a file.
fn secret(path: &Path) -> Result<Zeroizing<String>> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| {
        Failure::usage(format!("{} cannot be read: {error}", path.display()), "check the path and its permissions")
    })?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(Zeroizing::new(line.to_owned())),
        None => {
            Err(Failure::usage(format!("{} is empty", path.display()), "put the password or token on its first line"))
        }
    }
}
