//! One server: how it is started, and how it is known to answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use super::postgres::Login;
use super::storage::tail;
use super::supervisor::{Process, Supervisor};
use super::{Error, Service};

/// How long a server may take to answer: much, for a first start on a loaded machine.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(15);
/// How long one question may take, so that a lost connection does not use up the whole time.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A server that can be started, more than once, on its port.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) service: Service,
    pub(super) process: Process,
    pub(super) probe: Probe,
}

/// How to find out whether it is our server that answers, and not a stranger who took the port.
#[derive(Clone, Debug)]
pub(super) enum Probe {
    /// A connection is sent `question`; the answer must hold each of `expected`.
    Tcp { port: u16, question: String, expected: Vec<String> },
    /// The database must accept this login.
    Database(Login),
}

impl Server {
    /// Starts the server and waits until it answers.
    pub(super) async fn start(&self, supervisor: &Supervisor) -> Result<(), Error> {
        supervisor.spawn(&self.process).await?;
        tokio::select! {
            answered = timeout(START_LIMIT, self.answers()) => {
                if let Ok(result) = answered {
                    return result;
                }
                supervisor.kill(self.process.name).await?;
                Err(self.silent())
            }
            code = supervisor.exit(self.process.name) => Err(self.ended(code?)),
        }
    }

    async fn answers(&self) -> Result<(), Error> {
        let mut ticks = interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            let answer = match &self.probe {
                Probe::Tcp { port, question, expected } => timeout(ANSWER_LIMIT, ask(*port, question, expected))
                    .await
                    .map(|answer| Ok(answer.unwrap_or(false))),
                Probe::Database(login) => timeout(ANSWER_LIMIT, login.ready()).await,
            };
            if let Ok(answer) = answer
                && answer?
            {
                return Ok(());
            }
        }
    }

    /// The error that this server has ended.
    pub(super) fn ended(&self, code: i32) -> Error {
        let log = self.process.log.clone();
        Error::Ended { service: self.service, code, tail: tail(&log), log }
    }

    fn silent(&self) -> Error {
        let log = self.process.log.clone();
        Error::Silent { service: self.service, seconds: START_LIMIT.as_secs(), tail: tail(&log), log }
    }
}

/// Sends the question and reads until the answer holds all that is expected (true) or ends without it (false).
async fn ask(port: u16, question: &str, expected: &[String]) -> std::io::Result<bool> {
    const LONGEST: usize = 64 * 1024;
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    connection.write_all(question.as_bytes()).await?;
    let mut answer = Vec::new();
    while connection.read_buf(&mut answer).await? > 0 && answer.len() < LONGEST {
        let text = String::from_utf8_lossy(&answer);
        if expected.iter().all(|part| text.contains(part.as_str())) {
            return Ok(true);
        }
    }
    Ok(false)
}
