//! From what a client asks to the job, for one and for many.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use shared::http::{FieldError, Problem, ProblemType};
use shared::identity::Principal;
use shared::refusal::Fault;

use crate::app::App;
use crate::dependency::Dependency;
use crate::done::OnDone;
use crate::handlers;
use crate::job::{Job, JobId, ParentFailure, Phase};
use crate::name::{JobRef, JobType};
use crate::rules::{MOST_PARENTS, NewJob, Origin};

/// The largest payload of a follow-up job in bytes: it is kept with the job that it follows.
const LARGEST_FOLLOW_UP: usize = 16 * 1024;

/// The job that `new` asks for, and its payload. The refusal tells every bad field.
pub(crate) async fn job(app: &App, caller: &Principal, new: NewJob) -> Result<(Job, Box<RawValue>), Problem> {
    if new.reference.is_some() {
        let error = FieldError::new("/ref", "not_allowed", "has a meaning in a batch alone");
        return Err(Problem::validation(vec![error]));
    }
    job_of_batch(app, caller, new, &BTreeSet::new()).await
}

/// The same in a batch, whose earlier jobs are called `earlier`. It depends on the jobs that there are: those of the batch
/// are for the caller to add when they have their ids.
pub(crate) async fn job_of_batch(
    app: &App,
    caller: &Principal,
    new: NewJob,
    earlier: &BTreeSet<JobRef>,
) -> Result<(Job, Box<RawValue>), Problem> {
    let engine = &app.engine;
    permitted(caller, &new.kind, new.on_done.as_ref())?;
    let mut faults: Vec<Fault> = Vec::new();
    if let Some(url) = &new.deliver_to {
        faults.extend(app.check_url(url).err().map(|refusal| refusal.at("/deliver_to")));
    }
    faults.extend(new.tags.check().err().map(|refusal| refusal.at("/tags")));
    match &new.on_done {
        Some(OnDone::Url { url, .. }) => {
            faults.extend(app.check_url(url).err().map(|refusal| refusal.at("/on_done/url")));
        }
        Some(OnDone::Job { job: follow_up }) => {
            if let Some(payload) = &follow_up.payload {
                if payload.get().len() > LARGEST_FOLLOW_UP {
                    let refusal = shared::refusal::Refusal::new("too_large", "may have at most 16 KB");
                    faults.push(refusal.at("/on_done/job/payload"));
                }
                handlers::check_payload(&follow_up.kind, payload, &app.outbound)
                    .map_err(|problem| problem.below("/on_done/job"))?;
            }
        }
        None => {}
    }
    let payload = new.payload.clone().unwrap_or_else(|| RawValue::NULL.to_owned());
    let mut errors: Vec<FieldError> = match handlers::check_payload(&new.kind, &payload, &app.outbound) {
        Ok(()) => Vec::new(),
        Err(problem) if problem.kind() == ProblemType::Validation => problem.errors().to_vec(),
        Err(problem) => return Err(problem),
    };
    let settings = engine.queues.settings_of_used(&caller.tenant, &new.queue).await?;
    let now = engine.clock.now();
    let origin = Origin {
        id: JobId::new(now, &engine.random),
        tenant_id: caller.tenant,
        created_by: caller.subject.clone(),
        now,
    };
    let (waits_for, more) = parents(app, caller, &new.depends_on, new.on_parent_failure, earlier).await?;
    errors.extend(more);
    let is_built_in = handlers::is_built_in(&new.kind);
    let made = new.into_job(origin, &settings, is_built_in);
    let made = made.map_err(|more| faults.extend(more));
    errors.extend(
        faults.into_iter().map(|fault| FieldError::new(fault.pointer, fault.refusal.code, fault.refusal.detail)),
    );
    match made {
        Ok(job) if errors.is_empty() => Ok((Job { waits_for, ..job }, payload)),
        _ => Err(Problem::validation(errors)),
    }
}

/// Refuses a caller who may not ask for what a job of this type does, or the one that follows it.
pub(crate) fn permitted(caller: &Principal, kind: &JobType, on_done: Option<&OnDone>) -> Result<(), Problem> {
    let follow_up = match on_done {
        Some(OnDone::Job { job: follow_up }) => Some(&follow_up.kind),
        Some(OnDone::Url { .. }) | None => None,
    };
    let mut needed = std::iter::once(kind).chain(follow_up).filter_map(handlers::permission);
    needed.try_for_each(|permission| caller.require(permission))
}

/// Which of these jobs have not ended, and what is wrong with the others.
pub(super) async fn parents(
    app: &App,
    caller: &Principal,
    depends_on: &[Dependency],
    on_failure: ParentFailure,
    earlier: &BTreeSet<JobRef>,
) -> Result<(BTreeSet<JobId>, Vec<FieldError>), Problem> {
    let (mut waits_for, mut errors) = (BTreeSet::new(), Vec::new());
    // One more than there may be is enough to be refused.
    for (index, dependency) in depends_on.iter().enumerate().take(MOST_PARENTS + 1) {
        let mut wrong = |code, detail: &str| errors.push(FieldError::new(format!("/depends_on/{index}"), code, detail));
        let id = match dependency {
            Dependency::Job(id) => id,
            Dependency::Earlier { reference } => {
                if !earlier.contains(reference) {
                    wrong("not_found", "there is no earlier job of this ref in the batch");
                }
                continue;
            }
        };
        match app.engine.jobs.get(&caller.tenant, id).await? {
            None => wrong("not_found", "there is no such job"),
            Some(parent) if !parent.phase.is_end() => {
                waits_for.insert(*id);
            }
            Some(parent) if parent.phase == Phase::Succeeded => {}
            Some(_) if on_failure == ParentFailure::Run => {}
            Some(_) => wrong("not_succeeded", "this job has ended and did not succeed"),
        }
    }
    Ok((waits_for, errors))
}
