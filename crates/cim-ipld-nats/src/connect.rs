//! Connects with an event callback that reports denied permissions.

use async_nats::Client;
use cim_ipld_backend::Result;

use crate::connect_error;
use crate::connection::NatsConnection;
use crate::notices::Notices;

pub(crate) async fn connect(connection: &NatsConnection, notices: Notices) -> Result<Client> {
    let options = connection.options().await?.event_callback(move |event| {
        notices.note(&event);
        std::future::ready(())
    });
    options.connect(connection.servers().for_client()?).await.map_err(connect_error::from_client)
}
