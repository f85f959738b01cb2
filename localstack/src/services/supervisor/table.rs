//! What the supervisor has reported about its processes.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug)]
pub(super) enum Status {
    Starting,
    Running { pid: u32, stopping: bool },
    Failed(String),
    Exited { code: i32, expected: bool },
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) ready: bool,
    pub(super) gone: bool,
    pub(super) processes: BTreeMap<String, Status>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Report {
    Ready {
        #[serde(rename = "ready")]
        _pid: u32,
    },
    Started {
        started: String,
        pid: u32,
    },
    Failed {
        failed: String,
        error: String,
    },
    Exited {
        exited: String,
        code: i32,
    },
}

impl Table {
    pub(super) fn note(&mut self, report: Report) {
        match report {
            Report::Ready { .. } => self.ready = true,
            Report::Started { started, pid } => {
                self.processes.insert(started, Status::Running { pid, stopping: false });
            }
            Report::Failed { failed, error } => {
                self.processes.insert(failed, Status::Failed(error));
            }
            Report::Exited { exited, code } => {
                let expected = matches!(self.processes.get(&exited), Some(Status::Running { stopping: true, .. }));
                self.processes.insert(exited, Status::Exited { code, expected });
            }
        }
    }
}
