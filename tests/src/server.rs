//! A small HTTP server for what stands between a function and its world.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What a handler answers. An error breaks the connection.
pub(crate) type Answered = anyhow::Result<hyper::Response<Full<Bytes>>>;

/// Serves a free port of loopback for as long as the caller's runtime lives; returns the address, `127.0.0.1:PORT`.
pub(crate) async fn serve<H, F>(handle: H) -> String
where
    H: Fn(hyper::Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answered> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound port").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(handle.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}
