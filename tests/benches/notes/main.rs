//! Notes beside the same routes in `FastAPI` with `SQLAlchemy` and asyncpg, on the `PostgreSQL` server of the local stack.
//!
//! `cargo bench -p tests --bench notes`. Both serve HTTP on loopback from one process, to the same clients with the same
//! tokens and bodies, and have the same 10,000 notes of 20 users. The load is a closed loop of a fixed number of requests;
//! the contenders take turns route by route, in several rounds. Clients, contenders, the database and the local AWS
//! endpoint share the machine's cores.

// A bench has no caller to report to but its reader, and its counts are small.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::cast_precision_loss)]

mod fastapi;
mod rows;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastapi::FastApi;
use futures::future::join_all;
use http::StatusCode;
use reqwest::RequestBuilder;
use rows::Rows;
use serde_json::{Value, json};
use tests::{client, stack};
use users::Users;

const ROUNDS: usize = 5;
/// Clients at the same time, and how many requests they make of each route in a round.
const LOADS: [(usize, usize); 2] = [(1, 300), (16, 1_600)];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Route {
    Create,
    Read,
    List,
    Edit,
    Delete,
}

impl Route {
    /// In this order: what the first makes is what the others are about, and the last leaves nothing of it.
    const ALL: [Self; 5] = [Self::Create, Self::Read, Self::List, Self::Edit, Self::Delete];

    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read one",
            Self::List => "a page of 50",
            Self::Edit => "merge patch of the content",
            Self::Delete => "delete",
        }
    }

    const fn expected(self) -> StatusCode {
        match self {
            Self::Create => StatusCode::CREATED,
            Self::Read | Self::List | Self::Edit => StatusCode::OK,
            Self::Delete => StatusCode::NO_CONTENT,
        }
    }
}

/// Who serves notes.
struct Contender {
    name: &'static str,
    /// The URL of the collection.
    notes: String,
    /// The ids of the notes that it has made in this round. The first is the first user's, and so on in turn.
    made: Vec<String>,
}

impl Contender {
    fn request(&self, route: Route, index: usize, client: &reqwest::Client, token: &str) -> RequestBuilder {
        let note = || format!("{}/{}", self.notes, self.made[index]);
        let request = match route {
            Route::Create => {
                let title = format!("Note {index}");
                client
                    .post(&self.notes)
                    .json(&json!({"title": title, "content": rows::content(index), "tags": ["bench"]}))
            }
            Route::Read => client.get(note()),
            Route::List => client.get(&self.notes),
            Route::Edit => client.patch(note()).json(&json!({"content": rows::content(index + 1)})),
            Route::Delete => client.delete(note()),
        };
        request.bearer_auth(token)
    }
}

/// What one contender did of one route.
#[derive(Default)]
struct Measured {
    /// From each request to the end of its answer.
    times: Vec<Duration>,
    lasted: Duration,
    /// Answers with another status.
    failed: usize,
}

impl Measured {
    fn rate(&self) -> f64 {
        self.times.len() as f64 / self.lasted.as_secs_f64()
    }

    /// A quantile in milliseconds. The times are sorted.
    fn at(&self, hundredth: usize) -> f64 {
        self.times[self.times.len() * hundredth / 100].as_secs_f64() * 1e3
    }

    fn cells(&self) -> String {
        let failed = if self.failed == 0 { String::new() } else { format!(" ({} failed)", self.failed) };
        format!("{:.0}{failed} | {:.2} | {:.2}", self.rate(), self.at(50), self.at(99))
    }
}

/// What an answer says, where it came in the turn, and how long it took.
type Answered = (usize, Duration, StatusCode, bytes::Bytes);

/// Sends `count` requests from `clients` clients, each its next one when it has the answer to the last.
async fn send(contender: Arc<Contender>, route: Route, clients: usize, count: usize, users: &Users) -> Vec<Answered> {
    let next = Arc::new(AtomicUsize::new(0));
    let sending = (0..clients).map(|_| {
        let (contender, next, users) = (contender.clone(), next.clone(), users.clone());
        tokio::spawn(async move {
            let (client, mut answers) = (client(), Vec::new());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return answers;
                }
                let request = contender.request(route, index, &client, users.token(index));
                let sent = Instant::now();
                let answer = request.send().await.unwrap();
                let status = answer.status();
                let body = answer.bytes().await.unwrap();
                answers.push((index, sent.elapsed(), status, body));
            }
        })
    });
    join_all(sending).await.into_iter().flat_map(Result::unwrap).collect()
}

/// One turn of a contender.
async fn turn(contender: &mut Arc<Contender>, route: Route, load: (usize, usize), users: &Users, into: &mut Measured) {
    let started = Instant::now();
    let mut answers = send(contender.clone(), route, load.0, load.1, users).await;
    into.lasted += started.elapsed();
    answers.sort_by_key(|(index, ..)| *index);
    into.times.extend(answers.iter().map(|(_, took, ..)| *took));
    into.failed += answers.iter().filter(|(_, _, status, _)| *status != route.expected()).count();
    if route == Route::Create {
        assert_eq!(into.failed, 0, "the notes were not made: {:?}", answers[0]);
        let note = |body: &bytes::Bytes| serde_json::from_slice::<Value>(body).unwrap();
        let made = answers.iter().map(|(.., body)| note(body)["id"].as_str().unwrap().to_owned()).collect();
        Arc::get_mut(contender).unwrap().made = made;
    }
}

fn print(load: (usize, usize), contenders: &[Arc<Contender>; 2], measured: &mut BTreeMap<Route, [Measured; 2]>) {
    let [ours, theirs] = contenders.each_ref().map(|contender| contender.name);
    println!("\nClients at once: {}; {ROUNDS} rounds of {} requests\n", load.0, load.1);
    println!(
        "| | {ours}: requests a second | p50 ms | p99 ms | {theirs}: requests a second | p50 ms | p99 ms | ratio |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (route, [ours, theirs]) in measured {
        ours.times.sort_unstable();
        theirs.times.sort_unstable();
        println!("| {} | {} | {} | {:.2} |", route.name(), ours.cells(), theirs.cells(), ours.rate() / theirs.rate());
    }
}

#[tokio::main]
async fn main() {
    let url = tokio::task::spawn_blocking(stack).await.unwrap().url();
    let users = Users::new().await;
    let mut rows = Rows::new().await;
    let app = FastApi::start().await;
    rows.fill(&users).await;
    println!("PostgreSQL {}, {}", rows.server_version().await, app.versions());
    let contender = |name, notes| Arc::new(Contender { name, notes, made: Vec::new() });
    let mut contenders =
        [contender("Tenfold", format!("{url}/v2/notes")), contender("FastAPI", format!("{}/notes", app.url()))];
    for load in LOADS {
        let mut measured = BTreeMap::<Route, [Measured; 2]>::new();
        // The round before the first is thrown away: connections are made, and statements prepared, by then.
        for round in 0..=ROUNDS {
            let users = users.signed_in().await;
            for route in Route::ALL {
                let both = measured.entry(route).or_default();
                for place in [round % 2, (round + 1) % 2] {
                    turn(&mut contenders[place], route, load, &users, &mut both[place]).await;
                    // What Tenfold does after its answers is its own, and not to be in the way of the next turn.
                    rows.settled().await;
                }
            }
            rows.swept().await;
            if round == 0 {
                measured.clear();
            }
        }
        print(load, &contenders, &mut measured);
    }
}
