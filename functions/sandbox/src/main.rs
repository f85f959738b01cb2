//! The sandbox's Lambda.

use lambda_runtime::{Error, run, service_fn};

// A Lambda's instance handles one event at a time, so one thread is enough.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(sandbox::handle)).await
}
