// SPDX-License-Identifier: Apache-2.0
//! The command line.

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use crate::Fallible;

#[derive(Clone, Default)]
pub struct Arguments {
    pub verb: String,
    pub address: Option<SocketAddr>,
    pub name: String,
    pub alpn: String,
    pub ca: Option<String>,
    pub client_ca: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
    pub reset_key: Option<String>,
    pub preferred: Option<SocketAddrV4>,
    pub idle: Option<Duration>,
    pub retry: bool,
    pub datagrams: bool,
    pub key_update: bool,
    pub bench: bool,
    /// The scenario and what belongs to it.
    pub words: Vec<String>,
}

impl Arguments {
    pub fn parse(mut all: impl Iterator<Item = String>) -> Fallible<Self> {
        let mut arguments = Arguments {
            verb: all.next().ok_or("a verb is missing: serve or dial")?,
            ..Default::default()
        };
        while let Some(word) = all.next() {
            if !word.starts_with("--") {
                arguments.words.push(word);
            } else if !arguments.set_switch(&word) {
                let value = all.next().ok_or_else(|| format!("{word} lacks its value"))?;
                arguments.set_value(&word, value)?;
            }
        }
        Ok(arguments)
    }

    fn set_switch(&mut self, word: &str) -> bool {
        match word {
            "--retry" => self.retry = true,
            "--datagrams" => self.datagrams = true,
            "--key-update" => self.key_update = true,
            "--bench" => self.bench = true,
            _ => return false,
        }
        true
    }

    fn set_value(&mut self, word: &str, value: String) -> Fallible<()> {
        match word {
            "--listen" | "--to" => self.address = Some(value.parse()?),
            "--name" => self.name = value,
            "--alpn" => self.alpn = value,
            "--ca" => self.ca = Some(value),
            "--client-ca" => self.client_ca = Some(value),
            "--cert" => self.cert = Some(value),
            "--key" => self.key = Some(value),
            "--reset-key" => self.reset_key = Some(value),
            "--preferred-address" => self.preferred = Some(value.parse()?),
            "--idle" => self.idle = Some(Duration::from_millis(value.parse()?)),
            _ => return Err(format!("there is no argument {word}").into()),
        }
        Ok(())
    }

    pub fn address(&self) -> Fallible<SocketAddr> {
        Ok(self.address.ok_or("--listen or --to is missing")?)
    }

    /// The number at `index` behind the scenario's name.
    pub fn number(&self, index: usize) -> Fallible<u64> {
        let word = self.words.get(index + 1).ok_or("the scenario lacks a number")?;
        Ok(word.parse()?)
    }
}
