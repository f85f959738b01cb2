//! Why a value is refused: a code for programs and a sentence for people, the same for every type of the domain.

use std::borrow::Cow;

use crate::http::{FieldError, Problem};

/// A value breaks a rule. Reads `code: detail`, which is what `shared::http::Json` takes apart into the code and the
/// detail of a field error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// What is wrong, for programs: lower case with underscores.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with its code and sentence.
    pub fn new(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The same, said about one field of a request.
    pub const fn at(self, pointer: &'static str) -> Fault {
        Fault { pointer, refusal: self }
    }
}

/// A field whose value is well-formed and yet not acceptable here and now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {refusal}")]
pub struct Fault {
    /// A JSON pointer into the body (RFC 6901), or `?name` for a query parameter.
    pub pointer: &'static str,
    /// Why.
    #[source]
    pub refusal: Refusal,
}

/// Each fault is one bad field of the request.
impl From<Vec<Fault>> for Problem {
    fn from(faults: Vec<Fault>) -> Self {
        let error = |fault: Fault| FieldError::new(fault.pointer, fault.refusal.code, fault.refusal.detail);
        Self::validation(faults.into_iter().map(error).collect())
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        vec![fault].into()
    }
}
