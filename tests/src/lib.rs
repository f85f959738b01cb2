//! What the black-box tests stand on: one throw-away stack for all of them, a tenant for each, and a faulty network to
//! put between a function and its stores.
//!
//! The stack runs in this process, started by the first test that asks for it, on a runtime of its own; its servers end
//! with the process, however it ends.

// All of this crate is for tests: it fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[macro_use]
mod methods;

pub mod account;
mod conformance;
mod fault;
mod invoke;
pub mod openapi;
pub mod python;
mod runtime_api;
mod server;
mod tenant;
pub mod token;
mod unheard;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use localstack::{Options, Stack};

pub use account::Account;
pub use fault::{Fault, FaultProxy};
pub use invoke::{Instance, http_event, queue_event};
pub use runtime_api::LambdaProcess;
pub use tenant::{Answer, Ask, Tenant, anonymous, client, identity};

/// How long [`eventually`] waits. Much longer than anything takes: a test that fails here has found something.
const PATIENCE: Duration = Duration::from_mins(1);

/// The stack that all tests of this process share. With `TENFOLD_LOG` (`info`) its functions' logs go to standard error.
///
/// # Panics
/// When it does not start.
pub fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| {
        if std::env::var_os("TENFOLD_LOG").is_some() {
            shared::telemetry::init_logs(std::io::stderr);
        } else {
            // A bench may have its own.
            let _ = tracing::subscriber::set_global_default(unheard::Unheard);
        }
        // Its own thread: the caller may be inside a runtime, in which no other can be waited for.
        let started = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let stack = runtime.block_on(Stack::start(Options::ephemeral(tenfold::SERVICES)))?;
            // It serves for as long as the process lives.
            std::mem::forget(runtime);
            anyhow::Ok(stack)
        });
        match started.join().expect("the start of the stack does not panic") {
            Ok(stack) => stack,
            Err(error) => panic!("the stack did not start: {error:#}"),
        }
    })
}

/// Waits until `probe` finds something.
///
/// # Panics
/// When it has found nothing for a minute.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
