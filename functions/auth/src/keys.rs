//! `auth.keys`: rotates the keys that sign access tokens, each hour when it is due, and when whoever runs the deployment
//! asks for it.
//!
//! It has no route: who may invoke it (`lambda:InvokeFunction`) owns the deployment anyway. Besides the schedule's event it
//! takes
//!
//! | event | what it does |
//! |---|---|
//! | `{"command": "status"}` | tells the keys' ids, states and times |
//! | `{"command": "rotate"}` | has the next key sign from now on; refused within an hour of the rotation before |
//! | `{"command": "rotate", "compromised": true}` | has all keys be new at once: the tokens of those before are refused. An instance that signs with one notices within five minutes |
//!
//! and answers each with `{"keys": […]}`. Nothing private is told.

use serde::Deserialize;
use serde_json::{Value, json};
use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};

use crate::key_ring::vault::{Vault, VaultError};
use crate::key_ring::{KeyRing, Reason};

/// What is asked for.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    Status {},
    Rotate {
        #[serde(default)]
        compromised: bool,
    },
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The event is another than described above.
    #[error("send {{\"command\": \"status\"}} or {{\"command\": \"rotate\"}}, with \"compromised\": true if it is")]
    Event(#[from] serde_json::Error),
    /// The ring was not changed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Builds the function. It reads what [`Vault::new`] reads.
pub fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let vault = Vault::new(&runtime)?;
        Ok(Function::event(runtime.deferred, move |event, _context| {
            let vault = vault.clone();
            async move { Ok(handle(&vault, event).await?) }
        }))
    })
}

async fn handle(vault: &Vault, event: Value) -> Result<Value, KeysError> {
    let ring = match command(event)? {
        Some(Command::Status {}) => vault.ring().await?,
        Some(Command::Rotate { compromised: false }) => Some(vault.rotate(Reason::Asked).await?),
        Some(Command::Rotate { compromised: true }) => Some(vault.rotate(Reason::Compromised).await?),
        None => Some(vault.rotate(Reason::Due).await?),
    };
    Ok(json!({"keys": ring.as_ref().map(KeyRing::status).unwrap_or_default()}))
}

/// The command of an event; none in the schedule's.
fn command(event: Value) -> Result<Option<Command>, serde_json::Error> {
    if event.get("source").and_then(Value::as_str) == Some("aws.scheduler") {
        return Ok(None);
    }
    serde_json::from_value(event).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_whole_or_refused() {
        let read = |event| command(event).unwrap();
        assert_eq!(read(json!({"source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": "{}"})), None);
        assert_eq!(read(json!({"command": "status"})), Some(Command::Status {}));
        assert_eq!(read(json!({"command": "rotate"})), Some(Command::Rotate { compromised: false }));
        let compromised = json!({"command": "rotate", "compromised": true});
        assert_eq!(read(compromised), Some(Command::Rotate { compromised: true }));
        for event in [
            json!(null),
            json!({}),
            json!({"command": "drop"}),
            json!({"command": "status", "compromised": true}),
            json!({"command": "rotate", "compromized": true}),
            json!({"command": "rotate", "compromised": "true"}),
        ] {
            command(event).unwrap_err();
        }
    }
}
