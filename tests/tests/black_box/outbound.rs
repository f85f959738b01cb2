//! The client for URLs that others choose, against servers on loopback that behave badly.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use shared::config::Environment;
use shared::outbound::{
    AddressClass, LARGEST_HEADERS, Outbound, OutboundError, Part, Phase, Request, Resolver, Settings, UrlFault,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a server does when it has read a request.
#[derive(Clone)]
enum Reply {
    /// Sends these bytes and waits for the next request.
    Send(String),
    /// Sends these bytes and then nothing more, without an end.
    Stall(String),
    /// Sends these bytes and closes the connection.
    Close(String),
    /// Sends these bytes again and again.
    Flood(&'static str, String),
}

fn ok(body: &str) -> Reply {
    Reply::Send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

fn redirect(status: u16, location: &str) -> Reply {
    Reply::Send(format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"))
}

/// A server on a free port of loopback, for as long as the test runs.
#[derive(Clone, Default)]
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    /// Heads and bodies, in their order.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), reply)
    }

    fn on(listener: TcpListener, reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let server = Self { port: listener.local_addr().unwrap().port(), ..Self::default() };
        let (this, reply) = (server.clone(), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                this.connections.fetch_add(1, Ordering::SeqCst);
                let (this, reply) = (this.clone(), reply.clone());
                tokio::spawn(async move { this.serve(stream, &*reply).await });
            }
        });
        server
    }

    /// Serves one connection until either side ends it.
    async fn serve(self, stream: TcpStream, reply: &(impl Fn(&str) -> Reply + ?Sized)) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut request = String::new();
            while !request.ends_with("\r\n\r\n") {
                if stream.read_line(&mut request).await? == 0 {
                    return Ok(());
                }
            }
            let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut body).await?;
            request.push_str(std::str::from_utf8(&body).unwrap());
            let path = request.split(' ').nth(1).unwrap().to_owned();
            self.requests.lock().unwrap().push(request);
            match reply(&path) {
                Reply::Send(text) => stream.write_all(text.as_bytes()).await?,
                Reply::Stall(text) => {
                    stream.write_all(text.as_bytes()).await?;
                    std::future::pending::<()>().await;
                }
                Reply::Close(text) => return stream.write_all(text.as_bytes()).await,
                Reply::Flood(start, rest) => {
                    stream.write_all(start.as_bytes()).await?;
                    loop {
                        stream.write_all(rest.as_bytes()).await?;
                    }
                }
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn get(url: impl Into<String>) -> Request {
    Request::new(Method::GET, url)
}

/// The local stage's client.
fn local() -> Outbound {
    let environment: Environment = [("OUTBOUND_ALLOW_LOOPBACK".to_owned(), "true".to_owned())].into_iter().collect();
    Outbound::new(Settings::read(&environment).unwrap())
}

/// A client whose lookups have these answers, one after the other, the last one for ever; and how many it has made.
fn looking_up<const N: usize>(settings: Settings, answers: [&[&str]; N]) -> (Outbound, Arc<AtomicUsize>) {
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let answers: Vec<Vec<IpAddr>> = answers.into_iter().map(addresses).collect();
    let lookups = Arc::new(AtomicUsize::new(0));
    let counter = lookups.clone();
    let resolver: Resolver = Arc::new(move |_| {
        let turn = counter.fetch_add(1, Ordering::SeqCst);
        let answer = answers[turn.min(answers.len() - 1)].clone();
        Box::pin(async move { Ok(answer) })
    });
    (Outbound::with_resolver(settings, resolver), lookups)
}

const LOOPBACK: Settings = Settings { allow_loopback: true };

#[tokio::test]
async fn loopback_is_refused_unless_the_stage_allows_it() {
    let server = Server::start(|_| ok("here")).await;
    let production = Outbound::new(Settings::read(&Environment::default()).unwrap());
    let forbidden = OutboundError::Forbidden(AddressClass::Loopback);
    for host in ["127.0.0.1", "0x7f.1", "2130706433", "localhost"] {
        let mut request = get(format!("http://{host}:{}/", server.port));
        assert_eq!(production.send(request.clone()).await.unwrap_err().code(), "not_https");
        request.https_only = false;
        assert_eq!(production.send(request).await.unwrap_err(), forbidden, "{host}");
    }
    let error = production.send(get(format!("https://127.0.0.1:{}/", server.port))).await.unwrap_err();
    assert_eq!(error, forbidden);
    assert_eq!(error.to_string(), "the host's address is not public (loopback)");
    assert_eq!(server.connections(), 0);

    let response = local().send(get(server.url("/a?b=c#d"))).await.unwrap();
    assert_eq!((response.status.as_u16(), &response.body[..]), (200, &b"here"[..]));
    assert_eq!(response.final_url.as_str(), server.url("/a?b=c"));
    assert!(server.requests()[0].starts_with("GET /a?b=c HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_given_and_with_nothing_else() {
    let server = Server::start(|_| ok("")).await;
    let mut request = Request::new(Method::POST, server.url("/hook"));
    request.headers.insert("x-signature", HeaderValue::from_static("v1,abc"));
    request.body = Bytes::from_static(b"{}");
    local().send(request.clone()).await.unwrap();
    let [sent] = &server.requests()[..] else { panic!("one request") };
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().collect();
    lines[1..].sort_unstable();
    let host = format!("host: 127.0.0.1:{}", server.port);
    let agent = lines.iter().find(|line| line.starts_with("user-agent: tenfold/")).unwrap();
    assert_eq!(lines, ["POST /hook HTTP/1.1", "content-length: 2", &host, agent, "x-signature: v1,abc"]);
    assert_eq!(body, "{}");

    request.headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
    assert_eq!(local().check(&request).unwrap_err().code(), "bad_header");
    assert_eq!(local().send(request).await.unwrap_err().code(), "bad_header");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn only_the_allowed_addresses_of_an_answer_are_connected_to() {
    let server = Server::start(|_| ok("public")).await;
    // All of these lead to this machine, if they are connected to at all.
    let refused: &[&str] = &["::ffff:127.0.0.2", "0.0.0.0", "::"];
    let trap = Server::on(TcpListener::bind(("127.0.0.2", server.port)).await.unwrap(), |_| ok("internal"));
    let url = format!("http://tenant.localhost:{}/", server.port);

    let mixed = [refused, &["127.0.0.1"]].concat();
    let (outbound, _) = looking_up(LOOPBACK, [&mixed]);
    assert_eq!(outbound.send(get(&url)).await.unwrap().body, "public");

    let (outbound, _) = looking_up(LOOPBACK, [refused]);
    assert!(matches!(outbound.send(get(&url)).await.unwrap_err(), OutboundError::Forbidden(_)));
    let (outbound, _) = looking_up(Settings::default(), [&["127.0.0.1", "127.0.0.2"]]);
    let error = outbound.send(Request { https_only: false, ..get(&url) }).await.unwrap_err();
    assert_eq!(error, OutboundError::Forbidden(AddressClass::Loopback));
    let (outbound, _) = looking_up(LOOPBACK, [&[]]);
    assert_eq!(outbound.send(get(&url)).await.unwrap_err().code(), "resolve_failed");
    assert_eq!((server.connections(), trap.connections()), (1, 0));
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_asked_once_for_each_connection() {
    let server = Server::start(|path| if path == "/close" { Reply::Close(close()) } else { ok("first") }).await;
    let trap = Server::on(TcpListener::bind(("127.0.0.2", server.port)).await.unwrap(), |_| ok("internal"));
    let url = |path: &str| format!("http://tenant.localhost:{}{path}", server.port);

    let (outbound, lookups) = looking_up(LOOPBACK, [&["127.0.0.1"], &["::ffff:127.0.0.2"]]);
    for _ in 0..3 {
        assert_eq!(outbound.send(get(url("/"))).await.unwrap().body, "first");
    }
    assert_eq!((lookups.load(Ordering::SeqCst), server.connections()), (1, 1));
    // The next connection is judged anew.
    outbound.send(get(url("/close"))).await.unwrap();
    let error = outbound.send(get(url("/"))).await.unwrap_err();
    assert_eq!(error, OutboundError::Forbidden(AddressClass::Translated));
    assert_eq!((lookups.load(Ordering::SeqCst), trap.connections()), (2, 0));
}

fn close() -> String {
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned()
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_was_closed_is_replaced() {
    // It says nothing of closing: the client has to notice.
    let server = Server::start(|path| match path {
        "/close" => Reply::Close("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()),
        _ => ok("x"),
    })
    .await;
    let outbound = local();
    for _ in 0..5 {
        outbound.send(get(server.url("/"))).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    outbound.clone().send(get(server.url("/close"))).await.unwrap();
    assert_eq!(server.connections(), 1);
    tests::eventually("the end of the connection is noticed", async || {
        let post = Request { body: Bytes::from_static(b"x"), ..Request::new(Method::POST, server.url("/")) };
        outbound.send(post).await.ok()
    })
    .await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_lost_connection_is_replaced_once_and_only_where_that_is_safe() {
    let turn = AtomicUsize::new(0);
    let server = Server::start(move |path| match path {
        // Every other request is read and not answered.
        "/flaky" if turn.fetch_add(1, Ordering::SeqCst) % 2 == 1 => Reply::Close(String::new()),
        "/never" => Reply::Close(String::new()),
        _ => ok("x"),
    })
    .await;
    let outbound = local();
    let ask = async |method: Method, path: &str| {
        let before = server.requests().len();
        let answer = outbound.send(Request::new(method, server.url(path))).await;
        (
            answer.map_or_else(|error| error.code().to_owned(), |_| "answered".to_owned()),
            server.requests().len() - before,
        )
    };
    assert_eq!(ask(Method::GET, "/flaky").await, ("answered".to_owned(), 1));
    assert_eq!(ask(Method::GET, "/flaky").await, ("answered".to_owned(), 2));
    assert_eq!(ask(Method::POST, "/flaky").await, ("connection_lost".to_owned(), 1));
    assert_eq!(ask(Method::GET, "/never").await, ("connection_lost".to_owned(), 2));
    assert_eq!(ask(Method::DELETE, "/never").await, ("connection_lost".to_owned(), 1));
}

#[tokio::test]
async fn redirects_are_counted_and_each_is_held_to_the_rules() {
    let server = Server::start(|path| match path {
        "/loop" => redirect(302, "/loop"),
        "/one" => redirect(301, "/two"),
        "/two" => redirect(307, "./three?x"),
        "/metadata" => redirect(302, "https://169.254.169.254/latest/meta-data/"),
        "/any" => redirect(302, "https://0.0.0.0/"),
        "/file" => redirect(302, "file:///etc/passwd"),
        "/public" => redirect(302, "http://example.com/"),
        path => ok(path),
    })
    .await;
    let outbound = local();
    let follow = async |path: &str, redirects: u8| {
        let mut request = Request { redirects, ..Request::new(Method::POST, server.url(path)) };
        request.headers.insert("authorization", HeaderValue::from_static("Bearer secret"));
        request.body = Bytes::from_static(b"body");
        outbound.send(request).await
    };
    let refusal = async |path: &str| follow(path, 5).await.unwrap_err();

    // None are followed unless they are asked for.
    assert_eq!(follow("/one", 0).await.unwrap().status, 301);
    assert_eq!(follow("/one", 1).await.unwrap_err(), OutboundError::TooManyRedirects);
    let response = follow("/one", 2).await.unwrap();
    assert_eq!((&response.body[..], response.final_url.as_str()), (&b"/three?x"[..], &*server.url("/three?x")));
    let last = server.requests().pop().unwrap();
    assert!(last.starts_with("GET /three?x ") && last.ends_with("\r\n\r\n"), "{last}");
    assert!(last.contains("authorization: Bearer secret") && !last.contains("content-length"), "{last}");

    let before = server.requests().len();
    assert_eq!(follow("/loop", 255).await.unwrap_err(), OutboundError::TooManyRedirects);
    assert_eq!(server.requests().len() - before, 11);
    assert_eq!(refusal("/metadata").await, OutboundError::Forbidden(AddressClass::LinkLocal));
    assert_eq!(refusal("/any").await, OutboundError::Forbidden(AddressClass::Unspecified));
    assert_eq!(refusal("/file").await, OutboundError::InvalidUrl(UrlFault::BadScheme));
    assert_eq!(refusal("/public").await, OutboundError::InvalidUrl(UrlFault::NotHttps));
}

#[tokio::test]
async fn no_secret_is_sent_on_to_another_origin() {
    let other = Server::start(ok).await;
    let (see_other, temporary) = (other.url("/see-other"), other.url("/temporary"));
    let server =
        Server::start(move |path| if path == "/303" { redirect(303, &see_other) } else { redirect(307, &temporary) })
            .await;
    let post = async |path: &str| {
        let mut request = Request { redirects: 3, ..Request::new(Method::POST, server.url(path)) };
        for name in ["authorization", "cookie", "x-api-key", "content-type"] {
            request.headers.insert(name, HeaderValue::from_static("secret"));
        }
        request.body = Bytes::from_static(b"secret");
        local().send(request).await.unwrap()
    };
    assert_eq!(post("/303").await.body, "/see-other");
    // With a method that keeps the body, the redirect is the response.
    assert_eq!(post("/307").await.status, 307);
    let [reached] = &other.requests()[..] else { panic!("one request") };
    assert!(reached.starts_with("GET /see-other ") && !reached.contains("secret"), "{reached}");
    assert!(!reached.contains("referer"), "{reached}");
}

#[tokio::test]
async fn a_body_is_cut_off_at_its_limit() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    const UNTIL_CLOSED: &str = "HTTP/1.1 200 OK\r\n\r\n";
    const PROMISED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    let server = Server::start(|path| match path {
        "/chunked" => Reply::Flood(CHUNKED, format!("400\r\n{}\r\n", "x".repeat(0x400))),
        "/until-closed" => Reply::Flood(UNTIL_CLOSED, "x".repeat(1024)),
        "/promised" => Reply::Flood(PROMISED, "x".repeat(1024)),
        // It is not decompressed: what is small stays small.
        "/gzip" => Reply::Send(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10\r\n\r\n\u{1f}~~~~~~~~~".to_owned(),
        ),
        _ => ok(&"x".repeat(1000)),
    })
    .await;
    let limited = async |path: &str, response_limit: usize| {
        local().send(Request { response_limit, ..get(server.url(path)) }).await
    };
    assert_eq!(limited("/exact", 1000).await.unwrap().body.len(), 1000);
    assert_eq!(limited("/gzip", 10).await.unwrap().body.len(), 10);
    let too_large = OutboundError::TooLarge(Part::Body);
    assert_eq!(limited("/exact", 999).await.unwrap_err(), too_large);
    for path in ["/chunked", "/until-closed", "/promised"] {
        assert_eq!(limited(path, 100_000).await.unwrap_err(), too_large, "{path}");
        // No limit is above the client's own.
        assert_eq!(limited(path, usize::MAX).await.unwrap_err(), too_large, "{path}");
    }
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    const STATUS: &str = "HTTP/1.1 200 OK\r\n";
    let server = Server::start(|path| match path {
        "/many" => Reply::Flood(STATUS, "a: b\r\n".to_owned()),
        "/long" => Reply::Flood("HTTP/1.1 200 OK\r\na: ", "x".repeat(1024)),
        "/status" => Reply::Flood("HTTP/1.1 200 ", "x".repeat(1024)),
        _ => Reply::Send(format!("{STATUS}a: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(LARGEST_HEADERS - 100))),
    })
    .await;
    for path in ["/many", "/long", "/status"] {
        let error = local().send(get(server.url(path))).await.unwrap_err();
        assert_eq!(error, OutboundError::TooLarge(Part::Headers), "{path}");
    }
    local().send(get(server.url("/fits"))).await.unwrap();
}

#[tokio::test]
async fn a_timeout_tells_what_was_waited_for() {
    let server = Server::start(|path| match path {
        "/headers" => Reply::Stall("HTTP/1.1 200 OK\r\n".to_owned()),
        "/informed" => Reply::Flood("", "HTTP/1.1 100 Continue\r\n\r\n".to_owned()),
        "/redirect" => redirect(302, "/nothing"),
        "/body" => Reply::Stall("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx".to_owned()),
        _ => Reply::Stall(String::new()),
    })
    .await;
    let hasty = async |outbound: Outbound, url: String| {
        let request = Request { timeout: Duration::from_millis(200), redirects: 1, ..get(url) };
        outbound.send(request).await.unwrap_err()
    };
    for path in ["/nothing", "/headers", "/informed", "/redirect"] {
        assert_eq!(hasty(local(), server.url(path)).await, OutboundError::Timeout(Phase::Headers), "{path}");
    }
    assert_eq!(hasty(local(), server.url("/body")).await, OutboundError::Timeout(Phase::Body));

    let silent: Resolver = Arc::new(|_| Box::pin(std::future::pending()));
    let outbound = Outbound::with_resolver(LOOPBACK, silent);
    assert_eq!(hasty(outbound, "https://example.com/".to_owned()).await, OutboundError::Timeout(Phase::Connect));
    // A server that takes the connection and never shakes hands.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", mute.local_addr().unwrap());
    assert_eq!(hasty(local(), url).await, OutboundError::Timeout(Phase::Connect));
}

#[tokio::test]
async fn a_host_that_is_not_there_or_does_not_speak_http_is_told_apart() {
    let server = Server::start(|path| match path {
        "/nonsense" => Reply::Send("SSH-2.0-OpenSSH_9.9\r\n".to_owned()),
        "/chunks" => Reply::Send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfive\r\n".to_owned()),
        "/half" => Reply::Close("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_owned()),
        _ => Reply::Close(String::new()),
    })
    .await;
    let code = async |outbound: Outbound, url: String| outbound.send(get(url)).await.unwrap_err().code();
    for (path, expected) in [
        ("/nonsense", "protocol_error"),
        ("/chunks", "protocol_error"),
        ("/half", "connection_lost"),
        ("/nothing", "connection_lost"),
    ] {
        assert_eq!(code(local(), server.url(path)).await, expected, "{path}");
    }
    // A server that speaks no TLS and says so at once.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", plain.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(code(local(), url).await, "tls_failed");

    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    assert_eq!(code(local(), format!("http://{closed}/")).await, "connect_failed");
    let unknown: Resolver = Arc::new(|_| Box::pin(async { Err(std::io::Error::other("no such host")) }));
    assert_eq!(
        code(Outbound::with_resolver(LOOPBACK, unknown), "https://example.com/".to_owned()).await,
        "resolve_failed"
    );
}
