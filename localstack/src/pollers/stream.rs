//! Reads the stream of one table, in order. A batch that fails is tried again from the record that failed, with
//! growing pauses, until it succeeds or its retries are used up; meanwhile nothing after it is handed over.

mod handle;
mod record;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodbstreams::types::{Shard, ShardIteratorType};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::position::{Position, Positions};
use super::{Target, filter};
use crate::clients::Clients;
use crate::template::StreamTrigger;

/// The pause when nothing has come.
const IDLE: Duration = Duration::from_millis(100);
/// How often new shards are looked for.
const DISCOVERY: Duration = Duration::from_secs(10);
/// What is left in the stream when the stack stops is handled within this time.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// One event source mapping.
#[derive(Debug)]
pub(super) struct Poller<T> {
    pub(super) settings: StreamTrigger,
    /// The stream's ARN.
    pub(super) stream: String,
    /// The URL of the queue that learns of what was given up.
    pub(super) on_failure: Option<String>,
    pub(super) clients: Clients,
    pub(super) target: Arc<T>,
    pub(super) function_arn: String,
    /// The file of the positions.
    pub(super) positions: PathBuf,
}

/// One record on its way.
#[derive(Clone, Debug)]
struct Pending {
    sequence: String,
    event: Value,
}

impl<T: Target> Poller<T> {
    /// Reads until `stop` turns true and nothing is left to read, or [`LAST_RECORDS`] is over.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let stopped = stop.clone();
        let over = async {
            let _ = stop.wait_for(|stop| *stop).await;
            tokio::time::sleep(LAST_RECORDS).await;
        };
        tokio::select! {
            () = self.read_all(&stopped) => {}
            () = over => tracing::warn!(stream = self.stream, "records were left in a stream"),
        }
    }

    async fn read_all(&self, stop: &watch::Receiver<bool>) {
        let mut positions = Positions::load(&self.positions, &self.stream);
        let mut iterators = BTreeMap::new();
        let mut discovery = Instant::now();
        loop {
            let last = *stop.borrow();
            if discovery <= Instant::now() {
                self.discover(&mut iterators, &mut positions).await;
                discovery = Instant::now() + DISCOVERY;
            }
            let mut idle = true;
            for shard in iterators.keys().cloned().collect::<Vec<_>>() {
                match self.read(&shard, &mut iterators, &mut positions, stop).await {
                    Read::Nothing => {}
                    Read::Something => idle = false,
                    Read::Closed => discovery = Instant::now(),
                }
            }
            if idle && last {
                return;
            }
            if idle {
                tokio::time::sleep(IDLE).await;
            }
        }
    }

    /// Opens the shards that may be read: those not read to their end whose parent has been.
    async fn discover(&self, iterators: &mut BTreeMap<String, String>, positions: &mut Positions) {
        let shards = match self.shards().await {
            Ok(shards) => shards,
            Err(error) => {
                tracing::warn!(
                    error = shared::telemetry::chain(&*error),
                    stream = self.stream,
                    "a stream was not read"
                );
                return;
            }
        };
        let known: BTreeSet<&str> = shards.iter().filter_map(Shard::shard_id).collect();
        for shard in &shards {
            let Some(id) = shard.shard_id() else { continue };
            let parent = shard.parent_shard_id().filter(|parent| known.contains(parent));
            let parent_is_open = parent.is_some_and(|parent| positions.of(parent) != Some(&Position::End));
            if parent_is_open || iterators.contains_key(id) || positions.of(id) == Some(&Position::End) {
                continue;
            }
            // Only the first shards are begun by the starting position; their children are read whole.
            if let Some(iterator) = self.open(id, parent.is_some() || self.settings.from_start, positions).await {
                iterators.insert(id.to_owned(), iterator);
            }
        }
    }

    async fn shards(&self) -> Result<Vec<Shard>, shared::BoxError> {
        let mut shards = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.clients.streams.describe_stream().stream_arn(&self.stream);
            let page = page.set_exclusive_start_shard_id(after).send().await?.stream_description;
            let Some(page) = page else { return Ok(shards) };
            shards.extend(page.shards.unwrap_or_default());
            after = page.last_evaluated_shard_id;
            if after.is_none() {
                return Ok(shards);
            }
        }
    }

    /// An iterator from the kept position on; when that is no longer valid, from where the trigger starts.
    async fn open(&self, shard: &str, from_start: bool, positions: &mut Positions) -> Option<String> {
        let request = self.clients.streams.get_shard_iterator().stream_arn(&self.stream).shard_id(shard);
        let kept = match positions.of(shard) {
            Some(Position::After(sequence)) => Some(sequence.clone()),
            _ => None,
        };
        if let Some(sequence) = kept {
            let request = request.clone().shard_iterator_type(ShardIteratorType::AfterSequenceNumber);
            match request.sequence_number(sequence).send().await {
                Ok(answer) => return answer.shard_iterator,
                Err(error) if error.code().is_none() => return None,
                Err(error) => {
                    tracing::info!(
                        error = shared::telemetry::chain(&error),
                        shard,
                        "the position is not valid any more"
                    );
                    positions.forget(shard);
                }
            }
        }
        let start = if from_start { ShardIteratorType::TrimHorizon } else { ShardIteratorType::Latest };
        match request.shard_iterator_type(start).send().await {
            Ok(answer) => answer.shard_iterator,
            Err(error) => {
                tracing::warn!(error = shared::telemetry::chain(&error), shard, "a shard was not opened");
                None
            }
        }
    }

    /// Reads a shard once, gathers a batch from what comes then, and handles it.
    async fn read(
        &self,
        shard: &str,
        iterators: &mut BTreeMap<String, String>,
        positions: &mut Positions,
        stop: &watch::Receiver<bool>,
    ) -> Read {
        let Some(iterator) = iterators.get(shard) else { return Read::Nothing };
        let (mut records, mut next) = match self.records(iterator).await {
            Ok(read) => read,
            Err(error) => {
                // Expired, or the endpoint was restarted: the position leads to a new one.
                tracing::warn!(error = shared::telemetry::chain(&*error), shard, "a shard was not read");
                iterators.remove(shard);
                if let Some(iterator) = self.open(shard, self.settings.from_start, positions).await {
                    iterators.insert(shard.to_owned(), iterator);
                }
                return Read::Nothing;
            }
        };
        let over = Instant::now() + self.settings.window;
        while let Some(iterator) = &next
            && self.gathers(&records)
            && Instant::now() < over
            && !*stop.borrow()
        {
            tokio::time::sleep(IDLE).await;
            // What cannot be read now is read with the next batch.
            let Ok((more, after)) = self.records(iterator).await else { break };
            records.extend(more);
            next = after;
        }
        let came = !records.is_empty();
        self.handle(shard, records, positions).await;
        if let Some(next) = next {
            iterators.insert(shard.to_owned(), next);
            if came { Read::Something } else { Read::Nothing }
        } else {
            iterators.remove(shard);
            positions.keep(shard, Position::End);
            Read::Closed
        }
    }

    /// Whether a batch has begun and is not full.
    fn gathers(&self, records: &VecDeque<Pending>) -> bool {
        let admitted = records.iter().filter(|record| filter::admits(&self.settings.filters, &record.event)).count();
        admitted > 0 && u64::try_from(admitted).is_ok_and(|admitted| admitted < self.settings.batch_size)
    }

    /// What an iterator leads to, and the next iterator; none after the last record of a closed shard.
    async fn records(&self, iterator: &str) -> Result<(VecDeque<Pending>, Option<String>), shared::BoxError> {
        let answer = self.clients.streams.get_records().shard_iterator(iterator).send().await?;
        let records = answer.records.unwrap_or_default();
        let records = records.iter().filter_map(|record| {
            let sequence = record.dynamodb()?.sequence_number()?.to_owned();
            Some(Pending { sequence, event: record::json(record, &self.stream) })
        });
        Ok((records.collect(), answer.next_shard_iterator))
    }
}

/// What reading a shard once has brought.
enum Read {
    Nothing,
    Something,
    Closed,
}

#[cfg(test)]
mod tests;
