// SPDX-License-Identifier: Apache-2.0
//! Results and events: one JSON object a line.

use std::error::Error;
use std::io::Write;

use quinn::ConnectionError;

/// Writes a line at once, so that who waits for it need not wait for more.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

pub fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

const CRYPTO_ERRORS: std::ops::Range<u64> = 0x100..0x200;

fn transport_cause(code: u64) -> &'static str {
    if CRYPTO_ERRORS.contains(&code) {
        "tls"
    } else {
        "transport"
    }
}

/// Why a connection ended, in the words that all peers share.
pub fn cause(error: &ConnectionError) -> &'static str {
    match error {
        ConnectionError::Reset => "stateless-reset",
        ConnectionError::TimedOut => "idle-timeout",
        ConnectionError::ApplicationClosed(_) => "application",
        ConnectionError::LocallyClosed => "local",
        ConnectionError::VersionMismatch => "version",
        ConnectionError::TransportError(e) => transport_cause(e.code.into()),
        ConnectionError::ConnectionClosed(e) => transport_cause(e.error_code.into()),
        ConnectionError::CidsExhausted => "other",
    }
}

/// An error's whole story, and the connection's end where that is in it.
fn trace(error: &(dyn Error + 'static)) -> (String, &'static str) {
    let mut text = error.to_string();
    let mut found = "other";
    let mut next = Some(error);
    while let Some(e) = next {
        if let Some(ended) = e.downcast_ref::<ConnectionError>() {
            found = cause(ended);
        }
        next = e.source();
        if let Some(below) = next {
            text = format!("{text}: {below}");
        }
    }
    (text, found)
}

pub fn event(name: &str, members: &str) {
    line(&format!("{{\"event\":{}{members}}}", quote(name)));
}

pub fn closed(error: &ConnectionError) {
    event(
        "closed",
        &format!(",\"cause\":\"{}\",\"error\":{}", cause(error), quote(&error.to_string())),
    );
}

pub fn failed(error: &(dyn Error + 'static)) {
    let (text, cause) = trace(error);
    line(&format!("{{\"ok\":false,\"cause\":\"{cause}\",\"error\":{}}}", quote(&text)));
}

/// @param members  further ones, each with a comma before it
pub fn done(scenario: &str, members: &str) {
    line(&format!("{{\"ok\":true,\"scenario\":{}{members}}}", quote(scenario)));
}
