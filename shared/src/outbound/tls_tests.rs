#![allow(clippy::unwrap_used)]
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::Method;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;

/// A server for `known.example`, and the roots that vouch for it.
async fn server() -> (u16, RootCertStore) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();

    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["known.example".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not like the certificate goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /path HTTP/1.1\r\n"));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
        }
    });
    (port, roots)
}

fn outbound(roots: RootCertStore) -> Outbound {
    let here: Resolver = Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) }));
    Outbound::build(Settings { allow_loopback: true }, here, roots)
}

#[tokio::test]
async fn a_certificate_of_a_known_root_for_the_hosts_name_is_accepted_and_no_other() {
    let (port, roots) = server().await;
    let get = |host: &str| Request::new(Method::GET, format!("https://{host}:{port}/path"));
    let response = outbound(roots.clone()).send(get("known.example")).await.unwrap();
    assert_eq!(response.body, "hi");

    let refused = outbound(roots.clone()).send(get("other.example")).await.unwrap_err();
    assert!(matches!(&refused, OutboundError::Tls(reason) if reason.contains("not valid for name")), "{refused}");
    // The name in the certificate counts, not the address that it led to.
    assert_eq!(outbound(roots).send(get("127.0.0.1")).await.unwrap_err().code(), "tls_failed");
    let refused = outbound(connector::web_roots()).send(get("known.example")).await.unwrap_err();
    assert!(matches!(&refused, OutboundError::Tls(reason) if reason.contains("UnknownIssuer")), "{refused}");
}
