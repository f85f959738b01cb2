//! What holds when the network, a service of AWS or the process itself fails: nothing that was answered as done is lost,
//! nothing is counted twice, nothing is half done, and errors are the documented ones. Clicks are the exception: they are
//! told after the answer, and those that an instance still holds when it is killed, or ends while SQS is away, are lost.
//!
//! Most tests here tell one story again and again, each time with another call failing in another way
//! ([`at_each_call`]), and assert what holds after the client or the event source has tried once more.

mod expiries;
mod redirect;
mod scheduler;
mod workers;
mod writes;

use futures::future::join_all;
use shared::time::Clock;
use tests::{Answer, Fault, FaultProxy, Instance};

/// What happens to a call.
pub(crate) const FAULTS: [Fault; 4] = [Fault::LostRequest, Fault::LostAnswer, Fault::Throttled, Fault::ServerError];

/// A failure of the `at`th call (from 0), and of all that follow when it `lasts`: the client library's own retries end
/// the one and not the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    fault: Fault,
    at: usize,
    pub(crate) lasts: bool,
}

impl Outage {
    /// The network of this outage.
    pub(crate) async fn proxy(self) -> FaultProxy {
        let mut rule = self.rule();
        FaultProxy::start(move |_| rule()).await
    }

    /// What happens to one call after the other.
    pub(crate) fn rule(self) -> impl FnMut() -> Option<Fault> + Send + 'static {
        let mut calls = 0;
        move || {
            let call = calls;
            calls += 1;
            (call == self.at || self.lasts && call > self.at).then_some(self.fault)
        }
    }
}

/// Tells `story` with each call failing in each way, once and for good. The story answers how many calls there were,
/// so that the last one is known.
pub(crate) async fn at_each_call<F: Future<Output = usize>>(story: impl Fn(Outage) -> F) {
    at_each_call_in(FAULTS.into_iter().flat_map(|fault| [(fault, false), (fault, true)]), story).await;
}

/// The same in some of the ways: each is a fault, and whether it lasts.
pub(crate) async fn at_each_call_in<F: Future<Output = usize>>(
    ways: impl Iterator<Item = (Fault, bool)>,
    story: impl Fn(Outage) -> F,
) {
    join_all(ways.map(|(fault, lasts)| {
        let story = &story;
        async move {
            for at in 0.. {
                if story(Outage { fault, at, lasts }).await <= at {
                    assert!(at > 0, "the story made no call");
                    return;
                }
            }
        }
    }))
    .await;
}

/// `links`' function called `handler` behind a faulty network.
async fn behind(proxy: &FaultProxy, handler: &str) -> Instance {
    Instance::with(&links::SERVICE, handler, Clock::system(), |environment| {
        environment.with("AWS_ENDPOINT_URL", proxy.url())
    })
    .await
}

/// Checks that an answer is the wanted one, or says when to try again and the failure was more than the client library's
/// own retries could bear.
#[track_caller]
pub(crate) fn done_or_unavailable(answer: &Answer, done: u16, outage: Outage) {
    if answer.status != done {
        assert!(outage.lasts, "{outage:?}: {answer:?}");
        unavailable(answer, &format!("{outage:?}"));
    }
}

/// Checks that an answer says when to try again.
#[track_caller]
pub(crate) fn unavailable(answer: &Answer, when: &str) {
    assert_eq!(answer.status, 503, "{when}: {}", String::from_utf8_lossy(&answer.body));
    answer.clone().problem(503, "unavailable");
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{when}: {answer:?}");
}
