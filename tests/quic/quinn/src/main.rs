// SPDX-License-Identifier: Apache-2.0
//! A QUIC server and client by quinn, for netbroker's tests: tests/quic/README.md has the command line, which all peers share.

mod arguments;
mod dial;
mod echo;
mod report;
mod serve;
mod tls;

use arguments::Arguments;

pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

async fn run(arguments: Arguments) -> Fallible<()> {
    match arguments.verb.as_str() {
        "serve" => serve::run(arguments).await,
        "dial" => dial::run(arguments).await,
        other => Err(format!("there is no verb {other}; there are serve and dial").into()),
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let result = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => run(arguments).await,
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        report::failed(error.as_ref());
        std::process::exit(1);
    }
}
