//! Free ports on loopback, the same ones as last time where possible, so that addresses stay stable.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::storage::write_private;
use super::{Error, Service};

/// The ports of one stack.
#[derive(Debug)]
pub(super) struct Ports {
    file: PathBuf,
    last: BTreeMap<String, u16>,
    chosen: Mutex<BTreeMap<String, u16>>,
}

impl Ports {
    /// Remembers the ports of the last run from `file`; a missing or damaged file counts as none.
    pub(super) fn load(file: PathBuf) -> Self {
        let last = std::fs::read(&file).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        Self { file, last, chosen: Mutex::default() }
    }

    /// The last run's port if it is free and this is the first try, else any free one.
    pub(super) fn choose(&self, service: Service) -> Result<u16, Error> {
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.last.get(service.name()).copied();
        let first_try = !chosen.contains_key(service.name());
        let port = match last.filter(|&port| first_try && is_free(port)) {
            Some(port) => port,
            None => self.any(&chosen).map_err(Error::system("no free port on loopback"))?,
        };
        chosen.insert(service.name().to_owned(), port);
        Ok(port)
    }

    /// A port that nobody listens on and that no other server of this stack has or had.
    fn any(&self, chosen: &BTreeMap<String, u16>) -> std::io::Result<u16> {
        // Refused ports stay bound until one fits, so that each look finds another.
        let mut refused = Vec::new();
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            if !chosen.values().chain(self.last.values()).any(|&taken| taken == port) {
                return Ok(port);
            }
            refused.push(listener);
        }
    }

    /// Keeps the chosen ports for the next run.
    pub(super) fn save(&self) -> Result<(), Error> {
        let mut ports = self.last.clone();
        ports.extend(self.chosen.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let json = serde_json::json!(ports).to_string();
        write_private(&self.file, json.as_bytes())
    }
}

/// Whether a server could listen on this port of loopback now.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
