//! Mails are sent to a small SMTP server of this test's own and into a folder.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};

use super::*;
use crate::mail::Recipient;
use crate::mail::mime::tests::mail;

fn to(address: &str) -> Mail {
    Mail { to: vec![Recipient { address: address.to_owned(), name: None }], ..mail() }
}

const FROM: &str = "Tenfold <no-reply@tenfold.example>";

/// How the server behaves.
#[derive(Clone, Copy)]
enum Behaviour {
    Accept,
    /// Answers this to a command that begins so.
    Answer(&'static str, &'static str),
    /// Closes each connection after the first mail.
    CloseAfterMail,
    /// Answers nothing more after the first mail, but leaves the connection open.
    SilentAfterMail,
    /// Accepts connections and says nothing.
    Mute,
}

/// A server and what it heard: `connect`, the commands, and each mail as one text.
struct Server {
    port: u16,
    heard: UnboundedReceiver<String>,
}

impl Server {
    async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, heard) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tell.send("connect".to_owned()).unwrap();
                tokio::spawn(serve(stream, behaviour, tell.clone()));
            }
        });
        Self { port, heard }
    }

    fn transport(&self) -> Transport {
        from_url(&format!("smtp://user:p%2Fw@127.0.0.1:{}", self.port)).unwrap()
    }

    /// All that was heard up to now, without the words that every session has.
    fn heard(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    behaviour: Behaviour,
    tell: UnboundedSender<String>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut silent = matches!(behaviour, Behaviour::Mute);
    if !silent {
        stream.write_all(b"220 test ESMTP\r\n").await?;
    }
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        let command = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        let _ = tell.send(command.clone());
        let answer = match behaviour {
            Behaviour::Answer(start, answer) if command.starts_with(start) => answer,
            _ if command.starts_with("EHLO") => "250-test\r\n250 AUTH PLAIN",
            _ if command.starts_with("AUTH") => "235 welcome",
            _ if command == "DATA" => "354 go on",
            _ if command == "QUIT" => "221 bye",
            _ => "250 ok",
        };
        if !silent {
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        if answer.starts_with("354") {
            let mut content = Vec::new();
            while !content.ends_with(b"\r\n.\r\n") {
                stream.read_until(b'\n', &mut content).await?;
            }
            let _ = tell.send(String::from_utf8_lossy(&content).into_owned());
            stream.write_all(b"250 taken\r\n").await?;
            match behaviour {
                Behaviour::CloseAfterMail => return Ok(()),
                Behaviour::SilentAfterMail => silent = true,
                _ => {}
            }
        }
    }
    Ok(())
}

fn from_url(url: &str) -> Result<Transport, InvalidTransport> {
    Transport::from_url(&Secret::new(url), FROM)
}

fn smtp(transport: &mut Transport) -> &mut Smtp {
    match Arc::get_mut(&mut transport.route).unwrap() {
        Route::Smtp(smtp) => smtp,
        Route::Folder(_) => panic!("no SMTP"),
    }
}

/// The message and its causes, as a log would have them.
fn chain(error: &SendError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_mail_is_sent_by_smtp_and_the_connection_is_used_again() {
    let mut server = Server::start(Behaviour::Accept).await;
    let transport = server.transport();
    transport.send(&mail()).await.unwrap();
    let heard = server.heard();
    // base64 of "\0user\0p/w".
    let expected = ["connect", "EHLO tenfold.example", "AUTH PLAIN AHVzZXIAcC93"];
    assert_eq!(heard[..3], expected);
    assert_eq!(heard[3..6], ["MAIL FROM:<no-reply@tenfold.example>", "RCPT TO:<ada@example.org>", "DATA"]);
    let content = &heard[6];
    assert!(
        content.contains("\r\nMessage-ID: <mail_01j9z8k7m6n5p4q3r2s1t0v9w8@tenfold.example>\r\n")
            || content.starts_with("Message-ID")
    );
    assert!(
        content.contains("\r\n..\r\n"),
        "a line that is a full stop is doubled (RFC 5321, section 4.5.2): {content}"
    );

    transport.clone().send(&mail()).await.unwrap();
    let heard = server.heard();
    assert_eq!(heard[..2], ["NOOP", "MAIL FROM:<no-reply@tenfold.example>"]);
}

#[tokio::test]
async fn a_connection_that_was_closed_or_went_silent_is_replaced() {
    for behaviour in [Behaviour::CloseAfterMail, Behaviour::SilentAfterMail] {
        let mut server = Server::start(behaviour).await;
        let mut transport = server.transport();
        smtp(&mut transport).alive_timeout = Duration::from_millis(50);
        for _ in 0..3 {
            transport.send(&mail()).await.unwrap();
        }
        let heard = server.heard();
        assert_eq!(heard.iter().filter(|word| *word == "connect").count(), 3, "{heard:?}");
        assert_eq!(heard.iter().filter(|word| word.contains("Message-ID")).count(), 3);
    }
}

#[tokio::test]
async fn a_refusal_of_the_mail_is_permanent_or_transient_by_its_code() {
    for (command, answer, transient) in [
        ("MAIL", "550 5.7.1 no-reply may not send", false),
        ("RCPT", "550 5.1.1 <ada@example.org> unknown", false),
        ("RCPT", "452 4.2.2 <ada@example.org> full", true),
        ("RCPT", "ada@example.org is nobody", true),
        ("DATA", "554 5.6.0 no", false),
        ("DATA", "421 4.3.2 going down", true),
    ] {
        let server = Server::start(Behaviour::Answer(command, answer)).await;
        let error = server.transport().send(&mail()).await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{command} {answer}: {error:?}");
        assert!(!chain(&error).contains("ada@") && !format!("{error:?}").contains("ada@"), "{error:?}");
    }
}

#[tokio::test]
async fn a_refused_mail_does_not_spoil_the_next() {
    let mut server = Server::start(Behaviour::Answer("RCPT TO:<eve", "550 no")).await;
    let transport = server.transport();
    let eve = to("eve@example.org");
    assert!(!transport.send(&eve).await.unwrap_err().is_transient());
    transport.send(&mail()).await.unwrap();
    assert!(server.heard().iter().any(|word| word.contains("Message-ID")));
}

#[tokio::test]
async fn trouble_before_the_mail_is_transient() {
    let refusing = Server::start(Behaviour::Answer("AUTH", "535 5.7.8 wrong")).await;
    let error = refusing.transport().send(&mail()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(chain(&error), "the mail could not be sent now: the mail server answered 535");

    let mute = Server::start(Behaviour::Mute).await;
    let mut transport = mute.transport();
    smtp(&mut transport).timeout = Duration::from_millis(50);
    let error = transport.send(&mail()).await.unwrap_err();
    assert!(error.is_transient() && chain(&error).ends_with("did not answer in time"), "{error:?}");

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = from_url(&format!("smtp://127.0.0.1:{closed}")).unwrap().send(&mail()).await.unwrap_err();
    assert!(error.is_transient() && chain(&error).contains("refused"), "{}", chain(&error));
}

#[tokio::test]
async fn nothing_is_said_in_clear_where_tls_is_required() {
    // A server that does not offer STARTTLS.
    let mut server = Server::start(Behaviour::Accept).await;
    let mut transport = server.transport();
    smtp(&mut transport).tls = Tls::Required(TlsParameters::new_rustls("localhost".to_owned()).unwrap());
    assert!(transport.send(&mail()).await.unwrap_err().is_transient());
    assert_eq!(server.heard(), ["connect", "EHLO tenfold.example"]);

    // A server that speaks no TLS hears the client's TLS handshake and nothing else.
    let mut server = Server::start(Behaviour::Accept).await;
    let transport = from_url(&format!("smtps://user:p%2Fw@127.0.0.1:{}", server.port)).unwrap();
    assert!(transport.send(&mail()).await.unwrap_err().is_transient());
    let heard = server.heard();
    assert!(
        !heard.iter().any(|word| word.contains("EHLO") || word.contains("AUTH") || word.contains("MAIL")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_mail_goes_by_tls_to_a_server_with_a_trusted_certificate_only() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, mut heard) = unbounded_channel();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(serve(stream, Behaviour::Accept, tell.clone()));
            }
        }
    });
    let mut transport = from_url(&format!("smtps://user:p%2Fw@localhost:{port}")).unwrap();
    let error = transport.send(&mail()).await.unwrap_err();
    assert!(error.is_transient() && chain(&error).contains("certificate"), "{}", chain(&error));
    assert!(heard.try_recv().is_err());

    let trusting = TlsParameters::builder("localhost".to_owned())
        .certificate_store(CertificateStore::None)
        .add_root_certificate(Certificate::from_der(certificate.to_vec()).unwrap());
    smtp(&mut transport).tls = Tls::Wrapper(trusting.build_rustls().unwrap());
    transport.send(&mail()).await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), "EHLO tenfold.example");
}

#[test]
fn starttls_is_required_of_every_host_but_loopback() {
    let tls = |url: &str| {
        let mut transport = from_url(url).unwrap();
        let smtp = smtp(&mut transport);
        let tls = match smtp.tls {
            Tls::None => "none",
            Tls::Required(_) => "starttls",
            Tls::Wrapper(_) => "implicit",
            Tls::Opportunistic(_) => "opportunistic",
        };
        (smtp.host.clone(), smtp.port, tls)
    };
    for (url, host, port, kind) in [
        ("smtp://mail.example.com", "mail.example.com", 587, "starttls"),
        ("smtp://u:p@192.0.2.1:2525/", "192.0.2.1", 2525, "starttls"),
        ("smtps://u:p@mail.example.com", "mail.example.com", 465, "implicit"),
        ("smtps://localhost:1", "localhost", 1, "implicit"),
        ("smtp://localhost:1025", "localhost", 1025, "none"),
        ("smtp://127.8.9.1", "127.8.9.1", 587, "none"),
        ("smtp://[::1]:1025", "::1", 1025, "none"),
        ("smtp://localhost.example.com", "localhost.example.com", 587, "starttls"),
    ] {
        assert_eq!(tls(url), (host.to_owned(), port, kind), "{url}");
    }
}

#[test]
fn other_settings_are_refused_and_not_shown() {
    for url in [
        "",
        "hunter2",
        "https://user:hunter2@example.com",
        "smtp:hunter2",
        "smtp://",
        "smtp://user@example.com",
        "smtp://:hunter2@example.com",
        "smtp://user:hunter2@example.com/path",
        "smtps://user:hunter2@example.com?tls=none",
        "smtps://user:hunter2@example.com#x",
        "smtps://user:hunter2%ff@example.com",
        "smtps://user:hunter2@exa mple.com",
        "file:hunter2",
        "file://host/hunter2",
        "file:/hunter2",
        "file:///hunter2?x",
    ] {
        let error = from_url(url).unwrap_err();
        assert!(matches!(error, InvalidTransport::Url(_)), "{url}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    for from in ["", "hunter2", "hunter2@", "a@b\r\nBcc: c@d"] {
        let error = Transport::from_url(&Secret::new("smtp://localhost"), from).unwrap_err();
        assert_eq!(error, InvalidTransport::From, "{from}");
    }
    let transport = from_url("smtps://user:hunter2@example.com").unwrap();
    assert!(!format!("{transport:?}").contains("hunter2") && format!("{transport:?}").contains("example.com"));
}

#[tokio::test]
async fn a_mail_becomes_one_private_file_named_by_time_and_id() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a b/ü/mail");
    let url = Url::from_file_path(&folder).unwrap();
    assert!(url.as_str().contains("a%20b"));
    let transport = from_url(url.as_str()).unwrap();
    let later = Mail { date: "2026-03-05T14:07:08Z".parse().unwrap(), message_id: "a".parse().unwrap(), ..mail() };
    for mail in [&later, &mail(), &mail()] {
        transport.send(mail).await.unwrap();
    }
    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let first = "2026-03-05T14:07:07.250Z-mail_01j9z8k7m6n5p4q3r2s1t0v9w8.eml";
    assert_eq!(names, [first, "2026-03-05T14:07:08.000Z-a.eml"]);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(folder.clone()), mode(folder.join(first))), (0o700, 0o600));
    let content = fs::read(folder.join(first)).unwrap();
    let read = mail_parser::MessageParser::default().parse(&content).unwrap();
    assert_eq!(read.subject(), Some("Confirm your address"));
    assert!(read.body_text(0).unwrap().contains("https://app.example.com/?a=1&b=2"));
}

#[tokio::test]
async fn a_mail_that_cannot_be_written_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("mail");
    let transport = from_url(Url::from_file_path(&folder).unwrap().as_str()).unwrap();
    // A folder stands where the file should be.
    let name = "2026-03-05T14:07:07.250Z-mail_01j9z8k7m6n5p4q3r2s1t0v9w8.eml";
    fs::create_dir_all(folder.join(name)).unwrap();
    assert!(transport.send(&mail()).await.unwrap_err().is_transient());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);

    // A file stands where the folder should be.
    let transport = from_url(Url::from_file_path(root.path().join("file")).unwrap().as_str()).unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    assert!(transport.send(&mail()).await.unwrap_err().is_transient());

    let bad = to("nobody");
    assert!(!transport.send(&bad).await.unwrap_err().is_transient());
}
