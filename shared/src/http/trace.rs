//! W3C trace context: `traceparent` is continued when it is valid, else a new trace starts
//! (<https://www.w3.org/TR/trace-context/>, version 00).

use std::fmt;

use crate::random::Random;

/// The trace that a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 lower-case hexadecimal digits.
    pub trace_id: String,
    /// This function's own span: 16 lower-case hexadecimal digits.
    pub span_id: String,
    sampled: bool,
}

impl TraceContext {
    /// Continues the caller's trace with a span of our own, or starts one.
    pub fn continue_or_start(traceparent: Option<&str>, random: &Random) -> Self {
        let span_id = hex(&random.bytes::<8>());
        match traceparent.and_then(parse) {
            Some((trace_id, sampled)) => Self { trace_id: trace_id.to_owned(), span_id, sampled },
            None => Self { trace_id: hex(&random.bytes::<16>()), span_id, sampled: false },
        }
    }
}

impl fmt::Display for TraceContext {
    /// The `traceparent` to send on.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{}-{}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// The trace id and the sampled flag of a valid header.
fn parse(header: &str) -> Option<(&str, bool)> {
    let mut parts = header.split('-');
    let (version, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let valid = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace_id, 32)
        && trace_id.bytes().any(|byte| byte != b'0')
        && is_hex(parent_id, 16)
        && parent_id.bytes().any(|byte| byte != b'0')
        && is_hex(flags, 2)
        && (version != "00" || parts.next().is_none());
    valid.then(|| (trace_id, u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1)))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_trace_is_continued_with_a_span_of_our_own() {
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::continue_or_start(Some(given), &Random::seeded(1));
        assert_eq!(context.trace_id, "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(context.span_id, "b7ad6b7169203331");
        assert!(context.to_string().ends_with("-01"));
    }

    #[test]
    fn what_the_specification_calls_invalid_starts_a_new_trace() {
        for header in [
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
        assert!(parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra").is_some());
    }
}
