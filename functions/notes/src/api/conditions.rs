//! What a request demands of what it changes, by its `If-Match`.

use shared::http::{Preconditions, Problem, ProblemType};

use crate::store::{Held, Share};
use crate::view::{etag, share_etag};

/// Refuses a change of a note that has another version than the request names.
pub(super) fn check_version(held: &Held, conditions: &Preconditions) -> Result<(), Problem> {
    demand_version(held, conditions)?;
    conditions.check(&etag(&held.note, held.access))
}

/// Refuses with 428 a change that names no version where the note's tenant demands one.
pub(super) fn demand_version(held: &Held, conditions: &Preconditions) -> Result<(), Problem> {
    if held.version_required && !conditions.has_if_match() {
        let detail = "the tenant wants If-Match with the ETag of what is changed; * is any";
        return Err(Problem::new(ProblemType::PreconditionRequired, detail));
    }
    Ok(())
}

/// Refuses a change of a share that has another version than the request names, or is not there to have any (RFC 9110,
/// section 13.1.1).
pub(super) fn check_share(share: Option<&Share>, conditions: &Preconditions) -> Result<(), Problem> {
    match share {
        Some(share) => conditions.check(&share_etag(share)),
        None => conditions.check_absent(),
    }
}
