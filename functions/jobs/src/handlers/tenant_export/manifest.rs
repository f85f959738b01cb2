//! What an export says of itself: `manifest.json`, and the job's result.

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use shared::events::export::{ExportedFile, Part};
use shared::export::CONTENT_TYPE;
use shared::time::Timestamp;

use super::super::{Failed, Work};

/// The name of the manifest.
pub(super) const NAME: &str = "manifest.json";

/// Its media type.
pub(super) const MANIFEST_TYPE: &str = "application/json";

/// What no part has.
const LEFT_OUT: [(&str, &str); 3] = [
    (
        "secrets",
        "passwords, second factors, API keys, client secrets and signing secrets are for nobody to read, nor are hashes of them",
    ),
    ("files of jobs", "GET /v1/jobs/{id}/files/{name} leads to each file that the result of a job names"),
    ("what was changed meanwhile", "an export takes a while: each record is as it was when it was read"),
];

/// The manifest.
#[derive(Debug, Serialize)]
pub(super) struct Manifest {
    /// What it is, and its version.
    format: &'static str,
    tenant_id: String,
    job_id: String,
    #[serde(serialize_with = "shared::time::millis")]
    began_at: Timestamp,
    #[serde(serialize_with = "shared::time::millis")]
    finished_at: Timestamp,
    files: Vec<Entry>,
    left_out: Vec<Omission>,
}

/// A file, as the manifest names it.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    file: String,
    part: &'static str,
    content_type: &'static str,
    records: u64,
    bytes: u64,
    sha256: String,
}

/// What is not in an export; `part` is null for what no part has.
#[derive(Debug, Serialize)]
struct Omission {
    part: Option<&'static str>,
    what: String,
    why: String,
}

/// The result of the job.
#[derive(Debug, Serialize)]
pub(in crate::handlers) struct Done {
    manifest: &'static str,
    files: Vec<Kept>,
}

/// A file, as the result names it.
#[derive(Debug, Serialize)]
struct Kept {
    file: String,
    content_type: &'static str,
    bytes: u64,
    sha256: String,
    /// Where it is kept, below the job's folder.
    place: String,
}

/// What is made of the parts of an export that began at `began_at`: the manifest as a file, and the result. `folder` is where
/// the parts are, and `place` where the manifest is to be.
pub(super) fn describe(
    work: &Work,
    (began_at, finished_at): (Timestamp, Timestamp),
    parts: Vec<(&'static str, Part)>,
    folder: &str,
    place: String,
) -> Result<(Vec<u8>, Done), Failed> {
    let (mut entries, mut kept, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for (part, Part { files, left_out: omitted, .. }) in parts {
        for ExportedFile { file, place, records, bytes, sha256 } in files {
            let place = format!("{folder}{place}");
            kept.push(Kept { file: file.clone(), content_type: CONTENT_TYPE, bytes, sha256: sha256.clone(), place });
            entries.push(Entry { file, part, content_type: CONTENT_TYPE, records, bytes, sha256 });
        }
        left_out.extend(omitted.into_iter().map(|one| Omission { part: Some(part), what: one.what, why: one.why }));
    }
    left_out.extend(LEFT_OUT.map(|(what, why)| Omission { part: None, what: what.to_owned(), why: why.to_owned() }));
    let manifest = Manifest {
        format: "tenfold.export.1",
        tenant_id: work.tenant_id.to_string(),
        job_id: work.job_id.to_string(),
        began_at,
        finished_at,
        files: entries,
        left_out,
    };
    let content = serde_json::to_vec_pretty(&manifest).map_err(|error| Failed::poison("result", error.to_string()))?;
    let sha256 = HEXLOWER.encode(digest(&SHA256, &content).as_ref());
    let bytes = content.len() as u64;
    let own = Kept { file: NAME.to_owned(), content_type: MANIFEST_TYPE, bytes, sha256, place };
    let files = std::iter::once(own).chain(kept).collect();
    Ok((content, Done { manifest: NAME, files }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};
    use shared::events::export::{LeftOut, PARTS};
    use shared::id::TenantId;
    use shared::random::Random;
    use std::time::Duration;
    use tokio::sync::watch;

    use super::super::super::LARGEST_RESULT;
    use super::*;
    use crate::job::JobId;

    fn described(parts: Vec<(&'static str, Part)>) -> (Value, Value) {
        let (now, random) = (Timestamp::UNIX_EPOCH, Random::seeded(1));
        let work = Work {
            tenant_id: TenantId::new(now, &random),
            job_id: JobId::new(now, &random),
            created_by: String::new(),
            attempt: 1,
            time: Duration::ZERO,
            progress: watch::channel(None).0,
            stop: watch::channel(false).1,
        };
        let (content, done) = describe(&work, (now, now), parts, "export/run/", "export/run/own".to_owned()).unwrap();
        let done = serde_json::to_value(&done).unwrap();
        assert_eq!(done["files"][0]["sha256"], HEXLOWER.encode(digest(&SHA256, &content).as_ref()));
        (serde_json::from_slice(&content).unwrap(), done)
    }

    fn file(name: String) -> ExportedFile {
        ExportedFile { file: name, place: "abcdefghjkmn".to_owned(), records: 1, bytes: 2, sha256: "0".repeat(64) }
    }

    #[test]
    fn the_manifest_names_what_is_there_and_what_is_not() {
        let left_out = vec![LeftOut { what: "notes".to_owned(), why: "Postgres is off".to_owned() }];
        let links = Part { files: vec![file("links.ndjson".to_owned())], ..Part::default() };
        let (manifest, done) = described(vec![("links", links), ("notes", Part { left_out, ..Part::default() })]);
        let expected = json!({
            "file": "links.ndjson", "part": "links", "content_type": "application/x-ndjson", "records": 1, "bytes": 2,
            "sha256": "0".repeat(64),
        });
        assert_eq!(manifest["files"], json!([expected]));
        assert_eq!(manifest["left_out"][0], json!({"part": "notes", "what": "notes", "why": "Postgres is off"}));
        assert_eq!(manifest["left_out"].as_array().unwrap().len(), 1 + LEFT_OUT.len());
        assert_eq!(done["manifest"], "manifest.json");
        assert_eq!(done["files"][0]["place"], "export/run/own");
        assert_eq!(done["files"][1]["place"], "export/run/abcdefghjkmn");
    }

    #[test]
    fn the_result_of_many_files_is_not_too_large() {
        let part = |part: &'static str| {
            let files = (0..12).map(|index| file(format!("{part}_{index:020}.ndjson"))).collect();
            (part, Part { files, ..Part::default() })
        };
        let (_, done) = described(PARTS.map(part).into());
        assert!(done.to_string().len() <= LARGEST_RESULT);
    }
}
