//! Configuration from the environment, read once at start; every missing or bad value is reported at once.
//!
//! A function never reads the process's environment itself: it is given an [`Environment`], so that the local
//! stack can run many functions, each with the variables its block of the template declares, in one process.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The variables of one function.
#[derive(Clone, Debug, Default)]
pub struct Environment(Arc<BTreeMap<String, Secret>>);

impl Environment {
    /// The process's own environment: what a Lambda runs with.
    #[allow(clippy::disallowed_methods)] // the one reader of the process's environment
    pub fn of_process() -> Self {
        std::env::vars().collect()
    }

    /// A variable's text, when it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose).filter(|value| !value.is_empty())
    }

    /// All variables with their values: what a process of its own is started with.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// The same variables with one more, or with another value for one.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut variables = BTreeMap::clone(&self.0);
        variables.insert(name.to_owned(), Secret::new(value));
        Self(Arc::new(variables))
    }

    /// Starts to read a set of values; [`Reader::finish`] tells all that is wrong with them.
    pub fn reader(&self) -> Reader<'_> {
        Reader { environment: self, faults: Vec::new() }
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(Arc::new(variables.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()))
    }
}

/// Reads values one after the other and collects what is missing or bad.
#[derive(Debug)]
pub struct Reader<'a> {
    environment: &'a Environment,
    faults: Vec<String>,
}

impl Reader<'_> {
    /// A value that must be there. When it is not, or does not parse, the fault is kept and the type's default
    /// stands in until [`Reader::finish`] refuses the whole.
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
        T::default()
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

    /// Refuses the configuration when anything was missing or bad.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.faults.is_empty() { Ok(()) } else { Err(ConfigError { faults: self.faults }) }
    }
}

/// Everything that is wrong with a function's configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} fault(s): {}", faults.len(), faults.join("; "))]
pub struct ConfigError {
    faults: Vec<String>,
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
}
