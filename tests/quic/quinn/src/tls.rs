// SPDX-License-Identifier: Apache-2.0
//! TLS and the settings of connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{IdleTimeout, TransportConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::arguments::Arguments;
use crate::Fallible;

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Streams of the peer's that may be open at once.
const STREAMS_MAX: u32 = 1000;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn identity(arguments: &Arguments) -> Fallible<Option<Identity>> {
    let (Some(cert), Some(key)) = (&arguments.cert, &arguments.key) else {
        return Ok(None);
    };
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    Ok(Some((chain, PrivateKeyDer::from_pem_file(key)?)))
}

fn roots(path: &str) -> Fallible<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        store.add(certificate?)?;
    }
    Ok(Arc::new(store))
}

fn transport(arguments: &Arguments) -> Fallible<Arc<TransportConfig>> {
    let mut config = TransportConfig::default();
    config.max_concurrent_bidi_streams(STREAMS_MAX.into());
    config.max_concurrent_uni_streams(STREAMS_MAX.into());
    if let Some(idle) = arguments.idle {
        config.max_idle_timeout(Some(IdleTimeout::try_from(idle)?));
    }
    if !arguments.datagrams {
        config.datagram_receive_buffer_size(None);
    }
    Ok(Arc::new(config))
}

pub fn server(arguments: &Arguments) -> Fallible<quinn::ServerConfig> {
    let (chain, key) = identity(arguments)?.ok_or("--cert and --key are missing")?;
    let builder = rustls::ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match &arguments.client_ca {
        Some(path) => builder.with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(roots(path)?, provider()).build()?),
        None => builder.with_no_client_auth(),
    };
    let mut crypto = builder.with_single_cert(chain, key)?;
    crypto.alpn_protocols = vec![arguments.alpn.clone().into_bytes()];
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(crypto)?));
    config.transport_config(transport(arguments)?);
    config.preferred_address_v4(arguments.preferred);
    Ok(config)
}

/// A client's settings, and how often a server's certificate was verified: not when a session is resumed.
pub struct Client {
    pub config: quinn::ClientConfig,
    verifier: Arc<Counting>,
}

impl Client {
    pub fn verified(&self) -> u64 {
        self.verifier.n.load(Ordering::Relaxed)
    }
}

pub fn client(arguments: &Arguments, may_resume: bool) -> Fallible<Client> {
    let ca = arguments.ca.as_ref().ok_or("--ca is missing")?;
    let verifier = Arc::new(Counting {
        inner: WebPkiServerVerifier::builder_with_provider(roots(ca)?, provider()).build()?,
        n: AtomicU64::new(0),
    });
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone());
    let mut crypto = match identity(arguments)? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    crypto.alpn_protocols = vec![arguments.alpn.clone().into_bytes()];
    if !may_resume {
        crypto.resumption = Resumption::disabled();
    }
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto)?));
    config.transport_config(transport(arguments)?);
    Ok(Client { config, verifier })
}

/// The usual verification, counted.
#[derive(Debug)]
struct Counting {
    inner: Arc<WebPkiServerVerifier>,
    n: AtomicU64,
}

impl ServerCertVerifier for Counting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.n.fetch_add(1, Ordering::Relaxed);
        self.inner.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
