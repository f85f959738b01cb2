//! Configuration from the environment, read once at start; every missing or bad value is reported at once.
//!
//! A function never reads the process's environment itself: it is given an [`Environment`], so that the local
//! stack can run many functions, each with the variables its block of the template declares, in one process.
//!
//! The parts of a function read their own values, each by a [`Reader`]. While
//! [`Service::build`](crate::lambda::Service::build) builds them, a fault ends none of them: it is collected, something
//! stands in for the value, and all faults are reported together. What was built on stand-ins is never run.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::BoxError;

/// The variables of one function.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: Arc<BTreeMap<String, Secret>>,
    /// What readers have found, where and while it is collected.
    faults: Arc<Mutex<Option<Vec<String>>>>,
}

impl Environment {
    /// The process's own environment: what a Lambda runs with.
    #[allow(clippy::disallowed_methods)] // the one reader of the process's environment
    pub fn of_process() -> Self {
        std::env::vars().collect()
    }

    /// A variable's text, when it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(Secret::expose).filter(|value| !value.is_empty())
    }

    /// All variables with their values: what a process of its own is started with.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// The same variables with one more, or with another value for one.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut variables = BTreeMap::clone(&self.variables);
        variables.insert(name.to_owned(), Secret::new(value));
        Self { variables: Arc::new(variables), ..self.clone() }
    }

    /// The same variables, whose readers leave their faults to [`Self::collected`] and go on.
    pub fn collecting(&self) -> Self {
        Self { faults: Arc::new(Mutex::new(Some(Vec::new()))), ..self.clone() }
    }

    /// Ends the collecting, and tells the faults: each once, in the order in which they were found. Who reads later gets
    /// an error again.
    pub(crate) fn collected(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Starts to read a set of values; [`Reader::finish`] tells all that is wrong with them.
    pub fn reader(&self) -> Reader<'_> {
        Reader { environment: self, faults: Vec::new() }
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Self { variables: Arc::new(variables), faults: Arc::default() }
    }
}

/// Reads values one after the other and collects what is missing or bad.
#[derive(Debug)]
pub struct Reader<'a> {
    environment: &'a Environment,
    faults: Vec<String>,
}

impl Reader<'_> {
    /// A value that must be there. When it is not, or does not parse, the fault is kept and something stands in for it
    /// until the whole is refused.
    pub fn required<T>(&mut self, name: &str) -> T
    where
        T: FromStr<Err: fmt::Display> + Default,
    {
        if let Some(value) = self.optional(name) {
            return value;
        }
        if self.environment.get(name).is_none() {
            self.faults.push(format!("{name} is not set"));
        }
        // Of a number one: what is built from it may refuse 0, and would hide the faults that come after.
        "1".parse().unwrap_or_default()
    }

    /// A value that may be absent.
    pub fn optional<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let text = self.environment.get(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                // The value itself stays out of the message: it may be a secret.
                self.faults.push(format!("{name} is not valid: {error}"));
                None
            }
        }
    }

    /// Refuses the configuration when anything was missing or bad. Where faults are collected it is refused later, with
    /// those of all readers.
    pub fn finish(self) -> Result<(), ConfigError> {
        let mut collected = self.environment.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(collected) = &mut *collected {
            for fault in self.faults {
                // What several parts of a function read is one fault.
                if !collected.contains(&fault) {
                    collected.push(fault);
                }
            }
            return Ok(());
        }
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigError::new(self.faults, None)) }
    }

    /// The same for who cannot fail: where faults are not collected, they are logged.
    pub(crate) fn leave(self) {
        if let Err(error) = self.finish() {
            tracing::error!(%error, "bad values of the configuration are left out");
        }
    }
}

/// Everything that is wrong with a function's configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} fault(s): {}", faults.len(), faults.join("; "))]
pub struct ConfigError {
    faults: Vec<String>,
    /// What the start ended with. It may follow from what stood in for the missing, and be a fault of its own as well.
    source: Option<BoxError>,
}

impl ConfigError {
    pub(crate) const fn new(faults: Vec<String>, source: Option<BoxError>) -> Self {
        Self { faults, source }
    }
}

/// A text that never appears in logs or debug output.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into keeping.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The text itself. Named so that each use is seen in review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_fault_is_listed_at_once_and_no_value_is_shown() {
        let environment: Environment =
            [("PORT".to_owned(), "hunter2".to_owned()), ("EMPTY".to_owned(), String::new())].into_iter().collect();
        let mut reader = environment.reader();
        let _: u16 = reader.required("PORT");
        let _: String = reader.required("TABLE");
        let _: String = reader.required("EMPTY");
        let message = reader.finish().unwrap_err().to_string();
        assert!(message.contains("3 fault(s)"), "{message}");
        for name in ["PORT is not valid", "TABLE is not set", "EMPTY is not set"] {
            assert!(message.contains(name), "{message}");
        }
        assert!(!message.contains("hunter2"));
        assert!(!format!("{environment:?}").contains("hunter2"));
    }

    #[test]
    fn collected_faults_end_no_reader_and_are_told_each_once_in_their_order() {
        let environment: Environment = [("PORT".to_owned(), "hunter2".to_owned())].into_iter().collect();
        let environment = environment.collecting();
        let mut first = environment.reader();
        assert_eq!(first.required::<u16>("PORT"), 1);
        let _: String = first.required("TABLE");
        first.finish().unwrap();
        // A copy with another variable is of the same function.
        let environment = environment.with("OTHER", "1");
        let mut second = environment.reader();
        let _: String = second.required("TABLE");
        let _: String = second.required("QUEUE");
        second.leave();

        let faults = environment.collected();
        assert!(faults[0].starts_with("PORT is not valid: ") && !faults[0].contains("hunter2"), "{faults:?}");
        assert_eq!(faults[1..], ["TABLE is not set", "QUEUE is not set"]);
        // From then on a fault is an error.
        let mut late = environment.reader();
        let _: String = late.required("TABLE");
        late.finish().unwrap_err();
    }
}
