//! How long a job waits before it is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::random::Random;
use shared::refusal::{Fault, Refusal};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};

/// The longest wait between two attempts, in seconds: 30 days.
pub const LONGEST_SECONDS: u32 = 30 * 24 * 60 * 60;

/// The most entries of a list of waits.
const MOST_WAITS: usize = 25;

/// How the wait grows from attempt to attempt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = JobBackoff)]
pub enum Backoff {
    /// The same wait each time.
    Fixed {
        /// The wait: 1 second to 30 days.
        #[schema(minimum = 1, maximum = 2_592_000)]
        seconds: u32,
    },
    /// Any wait up to `base_seconds`, doubled with each attempt and at most `cap_seconds`: full jitter
    /// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
    Exponential {
        /// The longest wait after the first attempt: 1 second to 30 days.
        #[schema(minimum = 1, maximum = 2_592_000)]
        base_seconds: u32,
        /// The longest wait of all: `base_seconds` to 30 days.
        #[schema(minimum = 1, maximum = 2_592_000)]
        cap_seconds: u32,
    },
    /// The waits one by one; the last is repeated.
    List {
        /// 1 to 25 waits, each of 1 second to 30 days.
        #[schema(schema_with = waits)]
        seconds: Vec<u32>,
    },
}

/// The list of [`Backoff::List`]: the macro has no bounds for what is in a list.
fn waits() -> Array {
    let wait = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
        .minimum(Some(1))
        .maximum(Some(LONGEST_SECONDS));
    let list = ArrayBuilder::new().items(wait).min_items(Some(1)).max_items(Some(MOST_WAITS));
    list.description(Some("1 to 25 waits, each of 1 second to 30 days.")).build()
}

impl Default for Backoff {
    fn default() -> Self {
        Self::Exponential { base_seconds: 10, cap_seconds: 3600 }
    }
}

impl Backoff {
    /// Each member that is out of bounds, where the backoff is the `backoff` of what was sent.
    pub fn faults(&self) -> Vec<Fault> {
        let wait = |seconds: &u32, pointer: &'static str| {
            let bounded = (1..=LONGEST_SECONDS).contains(seconds);
            (!bounded).then(|| Refusal::new("out_of_range", "must be 1 second to 30 days").at(pointer))
        };
        match self {
            Self::Fixed { seconds } => wait(seconds, "/backoff/seconds").into_iter().collect(),
            Self::Exponential { base_seconds, cap_seconds } => {
                let base = wait(base_seconds, "/backoff/base_seconds");
                let cap = wait(cap_seconds, "/backoff/cap_seconds");
                let over = (base.is_none() && cap.is_none() && base_seconds > cap_seconds)
                    .then(|| Refusal::new("out_of_range", "must not be over the cap").at("/backoff/base_seconds"));
                [base, cap, over].into_iter().flatten().collect()
            }
            Self::List { seconds } if !(1..=MOST_WAITS).contains(&seconds.len()) => {
                vec![Refusal::new("out_of_range", "must be 1 to 25 waits").at("/backoff/seconds")]
            }
            Self::List { seconds } => {
                seconds.iter().find_map(|seconds| wait(seconds, "/backoff/seconds")).into_iter().collect()
            }
        }
    }

    /// As it is called.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Fixed { .. } => "fixed",
            Self::Exponential { .. } => "exponential",
            Self::List { .. } => "list",
        }
    }

    /// The wait after the attempt number `attempt` (1 for the first) has failed: at least a second.
    pub fn wait(&self, attempt: u32, random: &Random) -> Duration {
        let past = attempt.saturating_sub(1);
        let seconds = match self {
            Self::Fixed { seconds } => *seconds,
            Self::List { seconds } => {
                let index = usize::try_from(past).unwrap_or(usize::MAX).min(seconds.len().saturating_sub(1));
                seconds.get(index).copied().unwrap_or(1)
            }
            Self::Exponential { base_seconds, cap_seconds } => {
                let most = u64::from(*base_seconds).saturating_mul(1_u64.checked_shl(past).unwrap_or(u64::MAX));
                let most = most.min(u64::from(*cap_seconds)).max(1);
                let millis =
                    u128::from(most) * 1000 * u128::from(u32::from_le_bytes(random.bytes())) / u128::from(u32::MAX);
                return Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).max(1000));
            }
        };
        Duration::from_secs(u64::from(seconds.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_their_kind() {
        let random = Random::seeded(1);
        let seconds = |backoff: &Backoff, attempt| backoff.wait(attempt, &random).as_secs();
        let fixed = Backoff::Fixed { seconds: 7 };
        assert_eq!((1..4).map(|attempt| seconds(&fixed, attempt)).collect::<Vec<_>>(), [7, 7, 7]);
        let list = Backoff::List { seconds: vec![1, 60] };
        assert_eq!((1..4).map(|attempt| seconds(&list, attempt)).collect::<Vec<_>>(), [1, 60, 60]);
        let exponential = Backoff::Exponential { base_seconds: 10, cap_seconds: 100 };
        for (attempt, bound) in [(1, 10), (2, 20), (4, 80), (5, 100), (40, 100), (200, 100)] {
            let longest = (0..200).map(|_| exponential.wait(attempt, &random).as_millis()).max().unwrap_or_default();
            assert!((bound * 500..=bound * 1000).contains(&longest), "{attempt}: {longest}");
        }
    }

    #[test]
    fn each_wait_that_is_out_of_bounds_is_pointed_at() {
        let (long, list) = (LONGEST_SECONDS + 1, |seconds| Backoff::List { seconds });
        let exponential = |base_seconds, cap_seconds| Backoff::Exponential { base_seconds, cap_seconds };
        for (bad, pointers) in [
            (Backoff::Fixed { seconds: 0 }, vec!["/backoff/seconds"]),
            (Backoff::Fixed { seconds: long }, vec!["/backoff/seconds"]),
            (list(vec![]), vec!["/backoff/seconds"]),
            (list(vec![1; 26]), vec!["/backoff/seconds"]),
            (list(vec![0, 1, 0]), vec!["/backoff/seconds"]),
            (exponential(2, 1), vec!["/backoff/base_seconds"]),
            (exponential(1, long), vec!["/backoff/cap_seconds"]),
            (exponential(0, 0), vec!["/backoff/base_seconds", "/backoff/cap_seconds"]),
        ] {
            let found: Vec<_> = bad.faults().into_iter().map(|fault| fault.pointer).collect();
            assert_eq!(found, pointers, "{bad:?}");
        }
        assert!(Backoff::default().faults().is_empty());
    }

    #[test]
    fn a_kind_is_called_as_it_is_read() {
        let list = Backoff::List { seconds: vec![1] };
        for backoff in [Backoff::default(), Backoff::Fixed { seconds: 1 }, list] {
            assert_eq!(serde_json::to_value(&backoff).ok().map(|value| value["kind"] == backoff.kind()), Some(true));
        }
    }
}
