//! W3C trace context, level 1 (<https://www.w3.org/TR/trace-context/>): which trace the work at hand belongs to.
//!
//! Where an invocation, or the work on a message, begins, the trace of who caused it is continued, or one is started; it is
//! [`TraceContext::current`] until that work has ended, also for what it defers. Every message, event and request of a job
//! that is made meanwhile carries it as `traceparent`, with the span of that work as the parent, and so does the line in
//! the log. One search for the trace's id therefore finds all that a request has caused.
//!
//! A trace that is started here is marked as sampled, since its lines are recorded; of one that is continued the mark is
//! kept, and all other flags are set to zero, as level 1 demands. `tracestate` is left out: it is neither read nor sent on,
//! which is allowed, and nothing that a caller wrote there reaches others.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::random::Random;

/// The name of the header, of the attribute of messages, and of that of events.
pub const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// A trace, and the span of it that is at work. As a text it is a `traceparent` of version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl TraceContext {
    /// Continues the trace of a valid `traceparent` with a span of our own, or starts one.
    pub fn continue_or_start(traceparent: Option<&str>, random: &Random) -> Self {
        // Zero is no id.
        let span_id = u64::from_be_bytes(random.bytes()).max(1);
        match traceparent.and_then(|text| text.parse().ok()) {
            Some(caller) => Self { span_id, ..caller },
            None => Self { trace_id: u128::from_be_bytes(random.bytes()).max(1), span_id, sampled: true },
        }
    }

    /// A new trace whose id is this random UUID; none when the half of it that becomes the span's is zero, which is no id.
    pub fn of_uuid(id: Uuid) -> Option<Self> {
        let (_, span_id) = id.as_u64_pair();
        (span_id != 0).then_some(Self { trace_id: id.as_u128(), span_id, sampled: true })
    }

    /// The trace of the work at hand; none outside of an invocation.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| *current).ok()
    }

    /// Does `work` as part of this trace.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The trace: 32 lower-case hexadecimal digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The span at work: 16 lower-case hexadecimal digits.
    pub fn span_id(self) -> String {
        format!("{:016x}", self.span_id)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// A text is not a valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a traceparent")]
pub struct InvalidTraceparent;

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    /// Reads version 00, and of later versions, which may be longer, what they have in common with it (section 4.3).
    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        let mut parts = text.split('-');
        let mut next = |length| {
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let part = parts.next().filter(|part| part.len() == length && part.bytes().all(is_digit));
            part.and_then(|part| u128::from_str_radix(part, 16).ok()).ok_or(InvalidTraceparent)
        };
        let (version, trace_id, parent_id, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let is_longer = parts.next().is_some();
        if version == 0xff || (version == 0 && is_longer) || trace_id == 0 || parent_id == 0 {
            return Err(InvalidTraceparent);
        }
        let span_id = u64::try_from(parent_id).map_err(|_| InvalidTraceparent)?;
        Ok(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

impl Serialize for TraceContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn taken(text: &str) -> Option<TraceContext> {
        text.parse().ok()
    }

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_our_own() {
        for flags in ["00", "01"] {
            let given = format!("00-{TRACE}-{PARENT}-{flags}");
            let context = TraceContext::continue_or_start(Some(&given), &Random::seeded(1));
            assert_eq!(context.trace_id(), TRACE);
            assert_ne!(context.span_id(), PARENT);
            assert_eq!(context.to_string(), format!("00-{TRACE}-{}-{flags}", context.span_id()));
        }
    }

    #[test]
    fn what_is_no_trace_starts_a_new_one_that_is_sampled() {
        let random = Random::seeded(1);
        let mut before = Vec::new();
        for given in [None, Some(""), Some("garbage"), Some("00-0-0-0")] {
            let context = TraceContext::continue_or_start(given, &random);
            assert!(taken(&context.to_string()) == Some(context) && context.to_string().ends_with("-01"));
            assert!(!before.contains(&context.trace_id()), "each has an id of its own");
            before.push(context.trace_id());
        }
    }

    #[test]
    fn what_the_specification_calls_invalid_is_refused() {
        for text in [
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("ff-{TRACE}-{PARENT}-01-more"),
            format!("00-{}-{PARENT}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", PARENT.to_uppercase()),
            format!("0A-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-0F"),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-+1"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("00-{}-{PARENT}-01", &TRACE[1..]),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}0-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("{TRACE}-{PARENT}-01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01"),
            format!("01-{TRACE}-{PARENT}-01.more"),
        ] {
            assert_eq!(taken(&text), None, "{text}");
        }
    }

    #[test]
    fn of_a_later_version_that_is_taken_which_this_one_knows() {
        let known = taken(&format!("00-{TRACE}-{PARENT}-01")).unwrap();
        for text in ["01-{}-01", "cc-{}-01-", "fe-{}-ff-more-of-it", "42-{}-03-\u{e4} X"] {
            let text = text.replace("{}", &format!("{TRACE}-{PARENT}"));
            assert_eq!(taken(&text), Some(known), "{text}");
        }
        // Flags that this version does not know are not sent on.
        assert_eq!(taken(&format!("00-{TRACE}-{PARENT}-fe")).unwrap().to_string(), format!("00-{TRACE}-{PARENT}-00"));
    }

    #[test]
    fn a_random_uuid_is_the_id_of_a_trace() {
        let uuid = "6f1c9f1e-52aa-4c0e-9d0a-3f1f4ce1b9a7".parse().unwrap();
        let context = TraceContext::of_uuid(uuid).unwrap();
        assert_eq!(context.to_string(), "00-6f1c9f1e52aa4c0e9d0a3f1f4ce1b9a7-9d0a3f1f4ce1b9a7-01");
        assert_eq!(TraceContext::of_uuid(Uuid::nil()), None);
    }

    #[tokio::test]
    async fn work_knows_the_trace_that_it_is_part_of() {
        let (random, now) = (Random::seeded(1), TraceContext::current);
        let [outer, inner] = [(); 2].map(|()| TraceContext::continue_or_start(None, &random));
        assert_eq!(now(), None);
        let seen = outer.scope(async { (now(), inner.scope(async { now() }).await, now()) }).await;
        assert_eq!((seen, now()), ((Some(outer), Some(inner), Some(outer)), None));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_and_what_is_sent_on_is_valid(
            text in "\\PC{0,60}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-\\PC{0,9})?"
        ) {
            let sent = TraceContext::continue_or_start(Some(&text), &Random::seeded(1)).to_string();
            prop_assert_eq!(sent.len(), 55);
            prop_assert!(taken(&sent).is_some());
            prop_assert_eq!(taken(&text).is_some(), sent.get(3..35) == text.get(3..35), "{}", text);
        }

        #[test]
        fn a_trace_is_read_back_from_its_text(trace_id in 1_u128.., span_id in 1_u64.., sampled: bool) {
            let context = TraceContext { trace_id, span_id, sampled };
            prop_assert_eq!(taken(&context.to_string()), Some(context));
            let json = serde_json::to_string(&context).unwrap();
            prop_assert_eq!(serde_json::from_str::<TraceContext>(&json).unwrap(), context);
        }
    }
}
