// SPDX-License-Identifier: Apache-2.0
//! Bytes on streams: those of a client, which knows what must come back, and what a server does with them.

use quinn::{Connection, RecvStream, SendStream};

use crate::Fallible;

const PIECE: usize = 65536;

/// What a stream carries: one block over and over, with a number of the stream's own added, so that neither bytes nor streams can be exchanged unseen.
pub struct Pattern {
    block: Vec<u8>,
}

impl Pattern {
    pub fn new(stream: u64) -> Self {
        let block = (0..PIECE as u64).map(|i| (i * 31 + (i >> 8) * 17 + stream * 7) as u8).collect();
        Pattern { block }
    }

    /// The bytes from an offset on, up to the block's end.
    fn at(&self, offset: u64, max: u64) -> &[u8] {
        let from = (offset % PIECE as u64) as usize;
        let n = (self.block.len() - from).min(usize::try_from(max).unwrap_or(usize::MAX));
        &self.block[from..from + n]
    }

    fn check(&self, mut offset: u64, mut bytes: &[u8]) -> Fallible<()> {
        while !bytes.is_empty() {
            let expected = self.at(offset, bytes.len() as u64);
            if expected != &bytes[..expected.len()] {
                return Err(format!("other bytes came back, at {offset} or behind").into());
            }
            offset += expected.len() as u64;
            bytes = &bytes[expected.len()..];
        }
        Ok(())
    }
}

pub async fn write(send: &mut SendStream, pattern: &Pattern, from: u64, to: u64) -> Fallible<()> {
    let mut offset = from;
    while offset < to {
        let bytes = pattern.at(offset, to - offset);
        send.write_all(bytes).await?;
        offset += bytes.len() as u64;
    }
    Ok(())
}

/// Reads and compares what lies between two offsets, and not a byte more.
pub async fn expect(receive: &mut RecvStream, pattern: &Pattern, from: u64, to: u64) -> Fallible<()> {
    let mut offset = from;
    while offset < to {
        let max = usize::try_from(to - offset).unwrap_or(usize::MAX);
        let chunk = receive.read_chunk(max, true).await?.ok_or("the stream ended too early")?;
        pattern.check(offset, &chunk.bytes)?;
        offset += chunk.bytes.len() as u64;
    }
    Ok(())
}

pub async fn expect_end(receive: &mut RecvStream) -> Fallible<()> {
    match receive.read_chunk(1, true).await? {
        None => Ok(()),
        Some(_) => Err("more came back than was sent".into()),
    }
}

/// Sends bytes and their end while it compares what comes back, up to its end.
pub async fn exchange(mut send: SendStream, mut receive: RecvStream, stream: u64, size: u64) -> Fallible<()> {
    let pattern = Pattern::new(stream);
    let writing = async {
        write(&mut send, &pattern, 0, size).await?;
        send.finish()?;
        Fallible::Ok(())
    };
    let reading = async {
        expect(&mut receive, &pattern, 0, size).await?;
        expect_end(&mut receive).await
    };
    tokio::try_join!(writing, reading)?;
    Ok(())
}

/// A server's: what comes goes back.
pub async fn back(mut send: SendStream, mut receive: RecvStream, connection: Option<Connection>) -> Fallible<()> {
    while let Some(chunk) = receive.read_chunk(PIECE, true).await? {
        if let Some(connection) = &connection {
            connection.force_key_update();
        }
        send.write_chunk(chunk.bytes).await?;
    }
    send.finish()?;
    Ok(())
}

/// Reads up to the end. @return how much it was
pub async fn sink(receive: &mut RecvStream) -> Fallible<u64> {
    let mut n = 0;
    while let Some(chunk) = receive.read_chunk(usize::MAX, false).await? {
        n += chunk.bytes.len() as u64;
    }
    Ok(n)
}

/// A server's, of a benchmark: the first eight bytes say how many are wanted back, behind the end of what else comes.
pub async fn supply(mut send: SendStream, mut receive: RecvStream) -> Fallible<()> {
    let mut wanted = [0; 8];
    receive.read_exact(&mut wanted).await?;
    sink(&mut receive).await?;
    write(&mut send, &Pattern::new(0), 0, u64::from_be_bytes(wanted)).await?;
    send.finish()?;
    Ok(())
}
