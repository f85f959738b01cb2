//! What EventBridge Scheduler is when deployed: fires the template's schedules at their second, and any of them now
//! when asked to (`tenfold tick`).

mod expression;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use shared::time::{Clock, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use expression::{Expression, ExpressionError};

use crate::instances::{Instance, InvokeError};
use crate::template::{ACCOUNT, REGION, ScheduleTrigger, TemplateError, Trigger};

/// The wall clock may be set while a schedule waits, so it is looked at this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// All schedules of the template.
#[derive(Debug)]
pub(crate) struct Schedules {
    schedules: Vec<Arc<Schedule>>,
}

#[derive(Debug)]
struct Schedule {
    trigger: ScheduleTrigger,
    expression: Expression,
    instance: Arc<Instance>,
}

/// Why a tick did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum TickError {
    /// No schedule has the name.
    #[error("no schedule or scheduled function is called {name:?}; there are: {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The function failed.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
}

impl Schedules {
    /// The schedules of `instances`.
    pub(crate) fn of(instances: &[Arc<Instance>]) -> Result<Self, TemplateError> {
        let mut schedules = Vec::new();
        for instance in instances {
            for trigger in &instance.declared.triggers {
                let Trigger::Schedule(trigger) = trigger else { continue };
                let expression = Expression::parse(&trigger.expression)
                    .map_err(|error| TemplateError::invalid(&instance.declared.logical_id, error.to_string()))?;
                schedules.push(Arc::new(Schedule { trigger: trigger.clone(), expression, instance: instance.clone() }));
            }
        }
        Ok(Self { schedules })
    }

    /// The names that [`Self::tick`] takes, the functions' first.
    pub(crate) fn names(&self) -> Vec<String> {
        let handlers = self.schedules.iter().map(|schedule| schedule.instance.declared.handler.clone());
        let mut names: Vec<_> = handlers.chain(self.schedules.iter().map(|s| s.trigger.name.clone())).collect();
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Fires the schedule called `name`, or that of the function called so, and waits for the function.
    pub(crate) async fn tick(&self, name: &str) -> Result<(), TickError> {
        let found =
            |schedule: &&Arc<Schedule>| schedule.trigger.name == name || schedule.instance.declared.handler == name;
        match self.schedules.iter().find(found) {
            Some(schedule) => Ok(schedule.fire(Clock::system().now()).await?),
            None => Err(TickError::Unknown { name: name.to_owned(), known: self.names() }),
        }
    }

    /// Fires each schedule when it is due, until `stop` turns true.
    pub(crate) fn start(&self, stop: &watch::Receiver<bool>) -> JoinSet<()> {
        let mut running = JoinSet::new();
        for schedule in &self.schedules {
            let (schedule, mut stop) = (schedule.clone(), stop.clone());
            running.spawn(async move {
                tokio::select! {
                    () = schedule.run() => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            });
        }
        running
    }
}

impl Schedule {
    async fn run(self: Arc<Self>) {
        let clock = Clock::system();
        let mut last = clock.now();
        while let Some(due) = self.expression.next_after(last) {
            while let Ok(left) = Duration::try_from(due.duration_since(clock.now()))
                && !left.is_zero()
            {
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            }
            let schedule = self.clone();
            // The next one does not wait for this one, as on AWS.
            tokio::spawn(async move {
                if let Err(error) = schedule.fire(due).await {
                    schedule.instance.report(&error);
                }
            });
            last = due.max(clock.now());
        }
    }

    async fn fire(&self, due: Timestamp) -> Result<(), InvokeError> {
        self.instance.invoke(self.event(due)).await.map(drop)
    }

    /// The template's input, or what the scheduler sends without one.
    fn event(&self, due: Timestamp) -> Box<RawValue> {
        if let Some(input) = &self.trigger.input
            && let Ok(raw) = RawValue::from_string(input.clone())
        {
            return raw;
        }
        let name = &self.trigger.name;
        let event = json!({
            "version": "0",
            "id": crate::request_id::fresh(),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT,
            "time": format!("{due:.0}"),
            "region": REGION,
            "resources": [format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{name}")],
            "detail": "{}",
        });
        serde_json::value::to_raw_value(&event).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}
