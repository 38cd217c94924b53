// SPDX-License-Identifier: Apache-2.0
//! The client: one scenario, and its result.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use quinn::{Connection, Endpoint};
use tokio::task::JoinSet;

use crate::arguments::Arguments;
use crate::echo::{self, Pattern};
use crate::{report, tls, Fallible};

/// How long a datagram's echo may take before it counts as lost.
const DATAGRAM_DEADLINE: Duration = Duration::from_secs(2);
const BEAT: Duration = Duration::from_millis(100);
/// In bytes: nobody answers a small packet by a reset.
const BEAT_SIZE: usize = 100;

struct Dialler {
    arguments: Arguments,
    endpoint: Endpoint,
    client: tls::Client,
}

fn any_port(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

impl Dialler {
    fn new(arguments: Arguments, may_resume: bool) -> Fallible<Self> {
        let endpoint = Endpoint::client(any_port(arguments.address()?))?;
        let client = tls::client(&arguments, may_resume)?;
        Ok(Dialler { arguments, endpoint, client })
    }

    async fn connect(&self) -> Fallible<Connection> {
        let connecting = self.endpoint.connect_with(self.client.config.clone(), self.arguments.address()?, &self.arguments.name)?;
        Ok(connecting.await?)
    }

    async fn close(&self, connection: Connection) {
        connection.close(0u32.into(), b"");
        self.endpoint.wait_idle().await;
    }
}

async fn exchange_one(connection: &Connection, stream: u64, size: u64) -> Fallible<()> {
    let (send, receive) = connection.open_bi().await?;
    echo::exchange(send, receive, stream, size).await
}

/// Streams side by side.
async fn exchange_many(connection: &Connection, streams: u64, size: u64) -> Fallible<()> {
    let mut tasks = JoinSet::new();
    for stream in 0..streams {
        let connection = connection.clone();
        tasks.spawn(async move { exchange_one(&connection, stream, size).await });
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(())
}

async fn echo(dialler: &Dialler) -> Fallible<String> {
    let (streams, size) = (dialler.arguments.number(0)?, dialler.arguments.number(1)?);
    let connection = dialler.connect().await?;
    let start = Instant::now();
    exchange_many(&connection, streams, size).await?;
    let ms = start.elapsed().as_millis();
    let peer = connection.remote_address();
    dialler.close(connection).await;
    Ok(format!(",\"streams\":{streams},\"bytes\":{},\"ms\":{ms},\"peer\":\"{peer}\"", streams * size))
}

async fn uni(dialler: &Dialler) -> Fallible<String> {
    let size = dialler.arguments.number(0)?;
    let connection = dialler.connect().await?;
    let send = connection.open_uni().await?;
    let receive = async {
        // It comes with its first byte, so it is waited for while ours are written.
        Fallible::Ok(connection.accept_uni().await?)
    };
    let pattern = Pattern::new(1);
    let writing = async {
        let mut send = send;
        echo::write(&mut send, &pattern, 0, size).await?;
        send.finish()?;
        Fallible::Ok(send)
    };
    let reading = async {
        let mut receive = receive.await?;
        echo::expect(&mut receive, &pattern, 0, size).await?;
        echo::expect_end(&mut receive).await
    };
    let (_send, ()) = tokio::try_join!(writing, reading)?;
    dialler.close(connection).await;
    Ok(format!(",\"bytes\":{size}"))
}

async fn datagrams(dialler: &Dialler) -> Fallible<String> {
    let (n, size) = (dialler.arguments.number(0)?, dialler.arguments.number(1)?);
    let connection = dialler.connect().await?;
    let max = connection.max_datagram_size().ok_or("the peer takes no datagrams")?;
    let mut received = 0;
    for i in 0..n {
        let mut bytes = vec![i as u8; usize::try_from(size)?];
        bytes[..8].copy_from_slice(&i.to_be_bytes());
        connection.send_datagram(bytes.clone().into())?;
        if let Ok(back) = tokio::time::timeout(DATAGRAM_DEADLINE, connection.read_datagram()).await {
            received += u64::from(back? == bytes);
        }
    }
    dialler.close(connection).await;
    Ok(format!(",\"sent\":{n},\"received\":{received},\"max\":{max}"))
}

async fn key_update(dialler: &Dialler) -> Fallible<String> {
    let size = dialler.arguments.number(0)?;
    let connection = dialler.connect().await?;
    for stream in 0..3 {
        exchange_one(&connection, stream, size).await?;
        connection.force_key_update();
    }
    exchange_one(&connection, 3, size).await?;
    dialler.close(connection).await;
    Ok(",\"key_updates\":3".to_string())
}

/// The same stream goes on from another port, and the server is not told.
async fn rebind(dialler: &Dialler) -> Fallible<String> {
    let size = dialler.arguments.number(0)?;
    let connection = dialler.connect().await?;
    let before = dialler.endpoint.local_addr()?.port();
    let pattern = Pattern::new(5);
    let (mut send, mut receive) = connection.open_bi().await?;
    echo::write(&mut send, &pattern, 0, size / 2).await?;
    echo::expect(&mut receive, &pattern, 0, size / 2).await?;
    dialler.endpoint.rebind(UdpSocket::bind(any_port(dialler.arguments.address()?))?)?;
    let writing = async {
        echo::write(&mut send, &pattern, size / 2, size).await?;
        send.finish()?;
        Fallible::Ok(())
    };
    let reading = async {
        echo::expect(&mut receive, &pattern, size / 2, size).await?;
        echo::expect_end(&mut receive).await
    };
    tokio::try_join!(writing, reading)?;
    let after = dialler.endpoint.local_addr()?.port();
    dialler.close(connection).await;
    Ok(format!(",\"bytes\":{size},\"before\":{before},\"after\":{after}"))
}

async fn resume(dialler: &Dialler) -> Fallible<String> {
    for stream in 0..2 {
        let connection = dialler.connect().await?;
        exchange_one(&connection, stream, 1000).await?;
        dialler.close(connection).await;
    }
    Ok(format!(",\"resumed\":{}", dialler.client.verified() == 1))
}

/// How the connection ended, and how long after the last answer.
fn ending(connection: &Connection, last: Instant) -> Fallible<String> {
    let error = connection.close_reason().ok_or("the connection has not ended")?;
    let (cause, text) = (report::cause(&error), report::quote(&error.to_string()));
    Ok(format!(",\"cause\":\"{cause}\",\"error\":{text},\"ms\":{}", last.elapsed().as_millis()))
}

async fn idle(dialler: &Dialler) -> Fallible<String> {
    let connection = dialler.connect().await?;
    exchange_one(&connection, 0, 1000).await?;
    let last = Instant::now();
    report::event("ready", "");
    connection.closed().await;
    ending(&connection, last)
}

/// Says something again and again until the connection is over.
async fn until_closed(dialler: &Dialler) -> Fallible<String> {
    let connection = dialler.connect().await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    let mut last = Instant::now();
    let mut beats = tokio::time::interval(BEAT);
    let mut is_ready = false;
    while connection.close_reason().is_none() {
        tokio::select! {
            _ = beats.tick() => drop(send.write_all(&[0; BEAT_SIZE]).await),
            chunk = receive.read_chunk(usize::MAX, true) => {
                if chunk.is_err() {
                    connection.closed().await;
                    break;
                }
                last = Instant::now();
                if !std::mem::replace(&mut is_ready, true) {
                    report::event("ready", "");
                }
            }
            _ = connection.closed() => break,
        }
    }
    ending(&connection, last)
}

/// One stream of a benchmark (echo::supply()).
async fn transfer(connection: Connection, up: u64, down: u64) -> Fallible<()> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(&down.to_be_bytes()).await?;
    echo::write(&mut send, &Pattern::new(0), 0, up).await?;
    send.finish()?;
    let n = echo::sink(&mut receive).await?;
    if n != down {
        return Err(format!("{n} bytes came instead of {down}").into());
    }
    Ok(())
}

async fn throughput(dialler: &Dialler) -> Fallible<String> {
    let is_up = dialler.arguments.words.get(1).is_some_and(|word| word == "up");
    let (streams, bytes) = (dialler.arguments.number(1)?, dialler.arguments.number(2)?);
    let share = bytes / streams.max(1);
    let connection = dialler.connect().await?;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..streams {
        let (up, down) = if is_up { (share, 0) } else { (0, share) };
        tasks.spawn(transfer(connection.clone(), up, down));
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    let seconds = start.elapsed().as_secs_f64();
    dialler.close(connection).await;
    Ok(format!(",\"streams\":{streams},\"bytes\":{},\"seconds\":{seconds:.6}", share * streams))
}

async fn handshakes(dialler: &Dialler) -> Fallible<String> {
    let n = dialler.arguments.number(0)?;
    let start = Instant::now();
    for _ in 0..n {
        dialler.connect().await?.close(0u32.into(), b"");
    }
    let seconds = start.elapsed().as_secs_f64();
    dialler.endpoint.wait_idle().await;
    Ok(format!(",\"handshakes\":{n},\"seconds\":{seconds:.6}"))
}

async fn streams(dialler: &Dialler) -> Fallible<String> {
    let n = dialler.arguments.number(0)?;
    let connection = dialler.connect().await?;
    let start = Instant::now();
    for stream in 0..n {
        exchange_one(&connection, stream, 1).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    dialler.close(connection).await;
    Ok(format!(",\"streams\":{n},\"seconds\":{seconds:.6}"))
}

/// Connections that do nothing, until somebody ends this program.
async fn hold(dialler: &Dialler) -> Fallible<String> {
    let n = dialler.arguments.number(0)?;
    let mut connections = Vec::new();
    for stream in 0..n {
        let connection = dialler.connect().await?;
        exchange_one(&connection, stream, 1).await?;
        connections.push(connection);
    }
    report::event("ready", &format!(",\"connections\":{n}"));
    for connection in &connections {
        connection.closed().await;
    }
    Err("the connections were closed".into())
}

pub async fn run(arguments: Arguments) -> Fallible<()> {
    let scenario = arguments.words.first().cloned().unwrap_or_default();
    let dialler = Dialler::new(arguments, scenario == "resume")?;
    let members = match scenario.as_str() {
        "echo" => echo(&dialler).await?,
        "uni" => uni(&dialler).await?,
        "datagrams" => datagrams(&dialler).await?,
        "key-update" => key_update(&dialler).await?,
        "rebind" => rebind(&dialler).await?,
        "resume" => resume(&dialler).await?,
        "idle" => idle(&dialler).await?,
        "until-closed" => until_closed(&dialler).await?,
        "throughput" => throughput(&dialler).await?,
        "handshakes" => handshakes(&dialler).await?,
        "streams" => streams(&dialler).await?,
        "hold" => hold(&dialler).await?,
        other => return Err(format!("there is no scenario {other}").into()),
    };
    report::done(&scenario, &members);
    Ok(())
}
