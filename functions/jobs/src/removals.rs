//! `jobs.removals`: when the table has let go of a job that was kept long enough, its payload in the bucket goes as well.

use shared::lambda::{Function, Runtime, StreamConsumer, StreamRecord};
use shared::{BoxError, BoxFuture};

use crate::job::Job;
use crate::payload::{Payload, Payloads};

struct Removals {
    payloads: Payloads,
}

impl StreamConsumer for Removals {
    async fn consume(&self, record: StreamRecord) -> Result<(), BoxError> {
        // The trigger lets through removals alone. A job that is there still needs its payload.
        if record.old.is_empty() || !record.new.is_empty() {
            return Ok(());
        }
        let job: Job = serde_dynamo::from_item(record.old)?;
        if let Payload::Stored { .. } = job.payload {
            self.payloads.remove(&job).await?;
        }
        Ok(())
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let removals = Removals { payloads: Payloads::new(&runtime)? };
        Ok(Function::stream(&runtime, removals))
    })
}
