// SPDX-License-Identifier: Apache-2.0
//! The server: bidirectional streams and datagrams come back as they were, a unidirectional stream by one of its own.

use std::net::UdpSocket;
use std::sync::Arc;

use quinn::{Connection, Endpoint, EndpointConfig, Incoming, RecvStream, TokioRuntime};
use quinn_proto::RandomConnectionIdGenerator;

use crate::arguments::Arguments;
use crate::{echo, report, tls, Fallible};

const CONNECTION_ID_LENGTH: usize = 8;

/// One that derives its reset tokens from a key of ours, and takes connection IDs from before a restart for its own.
fn endpoint_config(arguments: &Arguments) -> EndpointConfig {
    let Some(key) = &arguments.reset_key else {
        return EndpointConfig::default();
    };
    let mut config = EndpointConfig::new(Arc::new(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes())));
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(CONNECTION_ID_LENGTH)));
    config
}

async fn answer(connection: Connection, mut receive: RecvStream) -> Fallible<()> {
    let mut send = connection.open_uni().await?;
    while let Some(chunk) = receive.read_chunk(usize::MAX, true).await? {
        send.write_chunk(chunk.bytes).await?;
    }
    send.finish()?;
    Ok(())
}

async fn serve_connection(incoming: Incoming, arguments: Arc<Arguments>) {
    let connection = match incoming.await {
        Ok(connection) => connection,
        Err(error) => return report::closed(&error),
    };
    report::event("accepted", &format!(",\"peer\":{}", report::quote(&connection.remote_address().to_string())));
    let error = loop {
        let result = tokio::select! {
            pair = connection.accept_bi() => pair.map(|(send, receive)| {
                if arguments.bench {
                    tokio::spawn(echo::supply(send, receive));
                } else {
                    tokio::spawn(echo::back(send, receive, arguments.key_update.then(|| connection.clone())));
                }
            }),
            receive = connection.accept_uni() => receive.map(|receive| {
                tokio::spawn(answer(connection.clone(), receive));
            }),
            datagram = connection.read_datagram() => datagram.map(|bytes| {
                let _ = connection.send_datagram(bytes);
            }),
        };
        if let Err(error) = result {
            break error;
        }
    };
    report::closed(&error);
}

pub async fn run(arguments: Arguments) -> Fallible<()> {
    let socket = UdpSocket::bind(arguments.address()?)?;
    let config = tls::server(&arguments)?;
    let endpoint = Endpoint::new(endpoint_config(&arguments), Some(config), socket, Arc::new(TokioRuntime))?;
    let arguments = Arc::new(arguments);
    report::line(&format!("port {}", endpoint.local_addr()?.port()));
    while let Some(incoming) = endpoint.accept().await {
        if arguments.retry && incoming.may_retry() && !incoming.remote_address_validated() {
            let _ = incoming.retry();
        } else {
            tokio::spawn(serve_connection(incoming, arguments.clone()));
        }
    }
    Ok(())
}
