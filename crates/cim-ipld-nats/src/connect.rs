//! Connects with an event callback that reports denied permissions.

use async_nats::Client;
use cim_ipld_backend::Result;

use crate::connect_error;
use crate::connection::NatsConnection;
use crate::denials::Denials;

pub(crate) async fn connect(connection: &NatsConnection, denials: Denials) -> Result<Client> {
    let options = connection.options().await?.event_callback(move |event| {
        denials.note(&event);
        std::future::ready(())
    });
    options.connect(connection.servers().for_client()?).await.map_err(connect_error::from_client)
}
