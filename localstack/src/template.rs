//! template.yaml, the one declaration of functions, routes, triggers and resources, as the local stack reads it.

mod functions;
mod scope;
mod triggers;
mod yaml;

use std::path::PathBuf;

use serde_json::{Map, Value};

pub use functions::DeclaredFunction;
pub use scope::{ACCOUNT, REGION, Resource, Scope};
pub use triggers::{QueueTrigger, Route, ScheduleTrigger, StreamTrigger, Trigger};

/// A template in the long form of JSON templates.
#[derive(Clone, Debug)]
pub struct Template {
    root: Map<String, Value>,
}

/// Why a template could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not YAML.
    #[error("the template is not YAML")]
    Yaml {
        /// Where it stops being YAML.
        source: saphyr::ScanError,
    },
    /// A part of it is wrong, or is not understood.
    #[error("template.yaml: {at}: {what}")]
    Invalid {
        /// The logical id, or the text at fault.
        at: String,
        /// What is wrong with it.
        what: String,
    },
}

impl TemplateError {
    pub(crate) fn invalid(at: &str, what: impl Into<String>) -> Self {
        Self::Invalid { at: at.to_owned(), what: what.into() }
    }
}

impl Template {
    /// Reads the template of the workspace that this program was built from.
    pub fn of_workspace() -> Result<Self, TemplateError> {
        let path = workspace_root().join("template.yaml");
        let text = std::fs::read_to_string(&path).map_err(|source| TemplateError::Read { path, source })?;
        Self::parse(&text)
    }

    /// Reads a template's text.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        match yaml::read(text)? {
            Value::Object(root) => Ok(Self { root }),
            _ => Err(TemplateError::invalid("the template", "is not a mapping")),
        }
    }

    /// The whole document.
    pub fn root(&self) -> &Map<String, Value> {
        &self.root
    }

    /// The entries of a top-level section; empty when it is not there.
    pub fn section(&self, name: &str) -> &Map<String, Value> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        self.root.get(name).and_then(Value::as_object).unwrap_or(&EMPTY)
    }

    /// The functions that exist under `scope`'s conditions, in the template's order of names.
    pub fn functions(&self, scope: &Scope) -> Result<Vec<DeclaredFunction>, TemplateError> {
        functions::read(self, scope)
    }
}

/// The root of the workspace: where template.yaml and `.tenfold` are.
pub fn workspace_root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}
