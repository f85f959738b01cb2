//! What a request costs Postgres: counted on the wire.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::http::versions::notes::NumberedPage;
use shared::time::{Clock, Timestamp};
use sqlx::{Connection as _, PgConnection, Row as _};
use tests::{Answer, Instance, http_event, stack};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{House, Member, numbered};

/// A road to the server on which the statements are counted that pass
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
struct Meter {
    url: String,
    count: Arc<AtomicUsize>,
    /// The texts of those that were prepared.
    texts: Arc<Mutex<Vec<String>>>,
}

impl Meter {
    async fn new() -> Self {
        let url = &stack().dev().database_url;
        let address = url.split_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = url.replace(&address, &listener.local_addr().unwrap().to_string());
        let count = Arc::new(AtomicUsize::new(0));
        let texts = Arc::<Mutex<Vec<String>>>::default();
        let (counted, read) = (count.clone(), texts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&address).await.unwrap();
                let (from_client, mut to_client) = client.into_split();
                let (mut from_server, to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                tokio::spawn(pass(from_client, to_server, counted.clone(), read.clone()));
            }
        });
        Self { url, count, texts }
    }
}

async fn pass(
    mut client: tokio::net::tcp::OwnedReadHalf,
    mut server: tokio::net::tcp::OwnedWriteHalf,
    count: Arc<AtomicUsize>,
    texts: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    // The messages before the session begins have no type: a request for TLS, and the start-up itself.
    let mut is_started = false;
    loop {
        let kind = if is_started { Some(client.read_u8().await?) } else { None };
        let length = client.read_u32().await?;
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        client.read_exact(&mut body).await?;
        is_started = is_started || body[..4] != 80_877_103_u32.to_be_bytes();
        // A simple query, or the execution of a prepared one.
        if matches!(kind, Some(b'Q' | b'E')) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        // What is prepared: its name, and its text.
        if kind == Some(b'P') {
            let text = body.split(|byte| *byte == 0).nth(1).unwrap_or_default();
            texts.lock().unwrap().push(String::from_utf8_lossy(text).into_owned());
        }
        if let Some(kind) = kind {
            server.write_u8(kind).await?;
        }
        server.write_u32(length).await?;
        server.write_all(&body).await?;
    }
}

/// The API behind a meter.
struct Metered {
    api: Instance,
    meter: Meter,
    authorization: String,
}

impl Metered {
    async fn new(member: &Member) -> Self {
        let meter = Meter::new().await;
        let api = Instance::with(&notes::SERVICE, "notes.api", Clock::system(), |environment| {
            environment.with("DATABASE_URL", &meter.url)
        })
        .await;
        let metered = Self { api, meter, authorization: format!("Bearer {}", member.token) };
        // It connects.
        metered.send("GET", "/v2/notes", "", None).await.expect(200);
        metered
    }

    /// The API behind a meter that answers with the first page by its number.
    async fn numbered(member: &Member) -> Self {
        let meter = Meter::new().await;
        let api = numbered::api(NumberedPage { page: 1, per_page: 10 }, &meter.url);
        let metered = Self { api, meter, authorization: format!("Bearer {}", member.token) };
        metered.send("GET", "/v2/notes", "", None).await.expect(200);
        metered
    }

    async fn send(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> Answer {
        let mut headers = vec![("authorization", self.authorization.as_str())];
        if !key.is_empty() {
            headers.push(("idempotency-key", key));
        }
        let body = body.map(ToString::to_string);
        self.api.answer_in(&http_event(method, path, &headers, body.as_deref()), Context::default()).await
    }

    /// The statements of a request up to its answer, besides the three of its transaction: its beginning, its settings, its
    /// end. What it tells is handed over after the answer, in a transaction of its own.
    async fn count(&self, method: &str, path: &str, key: &str, body: Option<Value>) -> usize {
        let before = self.meter.count.load(Ordering::SeqCst);
        let answer = self.send(method, path, key, body.as_ref()).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        self.meter.count.load(Ordering::SeqCst) - before - 3
    }
}

#[tokio::test]
async fn each_route_has_its_number_of_statements() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let path = ada.note(json!({"title": "a"})).await;
    let id = path.rsplit('/').next().unwrap();
    let metered = Metered::new(&ada).await;
    let share = format!("{path}/shares/{}", bob.id);
    let bulk = json!({"operations": [{"op": "update", "id": id, "patch": {"title": "e"}}, {"op": "create", "note": {"title": "f"}}]});
    for (method, path, key, body, expected) in [
        ("POST", "/v2/notes", "", Some(json!({"title": "b"})), 3),
        ("POST", "/v2/notes", "k", Some(json!({"title": "b"})), 5),
        ("POST", "/v2/notes", "k", Some(json!({"title": "b"})), 1 + 1),
        ("GET", "/v2/notes?text=a&tags_any=x,y&state=active", "", None, 1),
        ("GET", &path, "", None, 1),
        ("PUT", &path, "", Some(json!({"title": "c"})), 4),
        ("PATCH", &path, "", Some(json!({"title": "d"})), 4),
        ("PATCH", &path, "", Some(json!({"pinned": true})), 3),
        ("PATCH", &path, "", Some(json!({"pinned": true})), 1),
        ("GET", &format!("{path}/revisions"), "", None, 1),
        ("GET", &format!("{path}/revisions/1"), "", None, 1),
        ("GET", &format!("{path}/revisions/2/diff"), "", None, 1),
        ("POST", &format!("{path}/revisions/1/restore"), "", None, 5),
        ("PUT", &share, "", Some(json!({"access": "read"})), 3),
        ("GET", &share, "", None, 2),
        ("GET", &format!("{path}/shares"), "", None, 2),
        ("DELETE", &share, "", None, 3),
        ("POST", "/v2/notes/bulk", "", Some(bulk), 5),
        ("DELETE", &path, "", None, 3),
        ("POST", &format!("{path}/restore"), "", None, 3),
        ("GET", "/v2/notes/settings", "", None, 1),
    ] {
        assert_eq!(metered.count(method, path, key, body).await, expected, "{method} {path} {key}");
    }
    let numbered = Metered::numbered(&ada).await;
    assert_eq!(numbered.count("GET", "/v2/notes?text=a", "", None).await, 2, "a page by its number, and the total");
}

#[tokio::test]
async fn fifty_notes_cost_as_many_statements_as_one() {
    let house = House::new();
    let (ada, bob) = (house.member().await, house.member().await);
    let metered = Metered::new(&ada).await;
    let create = |count: usize| {
        let one = json!({"op": "create", "note": {"title": "a", "tags": ["x", "y"]}});
        json!({"operations": vec![one; count]})
    };
    let one = metered.count("POST", "/v2/notes/bulk", "", Some(create(1))).await;
    let listed = metered.count("GET", "/v2/notes", "", None).await;
    assert_eq!(metered.count("POST", "/v2/notes/bulk", "", Some(create(49))).await, one);
    let page = ada.get("/v2/notes?limit=200").await.expect(200).json();
    let ids: Vec<_> =
        page["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 50);
    for id in &ids {
        ada.share(&format!("/v2/notes/{id}"), &bob, "write").await;
    }
    assert_eq!(metered.count("GET", "/v2/notes?limit=200", "", None).await, listed);
    let of_bob = Metered::new(&bob).await;
    assert_eq!(of_bob.count("GET", "/v2/notes?limit=200", "", None).await, listed);
    let edit = |ids: &[String]| {
        let operations: Vec<_> = ids.iter().map(|id| json!({"op": "tag", "id": id, "add": ["z"]})).collect();
        json!({"operations": operations})
    };
    let one = of_bob.count("POST", "/v2/notes/bulk", "", Some(edit(&ids[..1]))).await;
    assert_eq!(of_bob.count("POST", "/v2/notes/bulk", "", Some(edit(&ids[1..]))).await, one);
}

#[tokio::test]
async fn what_is_read_of_notes_is_found_along_indexes_that_begin_with_the_tenant() {
    let house = House::new();
    let ada = house.member().await;
    let note = ada.note(json!({"title": "a"})).await;
    let metered = Metered::new(&ada).await;
    metered.send("GET", &note, "", None).await.expect(200);
    let texts = metered.meter.texts.lock().unwrap().clone();
    let reads: Vec<_> = texts.iter().filter(|text| text.contains("notes n")).collect();
    assert!(reads.len() >= 2, "a list and a note: {texts:?}");
    for text in reads {
        let mut connection = PgConnection::connect(&stack().dev().database_url).await.unwrap();
        // On a table of a few rows any plan is good: it is the one that a large table needs that must be there.
        let settings = format!(
            "BEGIN; SET LOCAL ROLE tenfold_app; SET LOCAL search_path = notes; SET LOCAL tenfold.tenant = '{}';
             SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; PREPARE asked AS {text}",
            house.tenant
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(settings)).execute(&mut connection).await.unwrap();
        // A list has the actor's id twice, a note its ids and the actor's.
        let values = if text.contains("ANY($1)") { "'{a}', 'a'" } else { "'a', 'a'" };
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE asked({values})"));
        let plan = sqlx::raw_sql(explain).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "{text}: {plan:#?}");
        for condition in plan.iter().filter(|line| line.contains("Index Cond")) {
            assert!(condition.contains("tenant"), "{condition}: {text}: {plan:#?}");
        }
    }
}

#[tokio::test]
async fn what_is_purged_is_found_along_indexes_by_its_time() {
    let meter = Meter::new().await;
    // A time at which nothing was deleted yet.
    let purge = Instance::with(&notes::SERVICE, "notes.purge", Clock::manual(Timestamp::UNIX_EPOCH), |environment| {
        environment.with("DATABASE_URL", &meter.url)
    });
    purge.await.invoke(&json!({})).await.unwrap();
    let texts = meter.texts.lock().unwrap().clone();
    let drops: Vec<_> = texts.iter().filter(|text| text.starts_with("DELETE FROM")).collect();
    assert_eq!(drops.len(), 3, "notes, keys and users who left: {texts:?}");
    for text in drops {
        let mut connection = PgConnection::connect(&stack().dev().database_url).await.unwrap();
        let settings = format!(
            "BEGIN; SET LOCAL ROLE tenfold_app; SET LOCAL search_path = notes; SET LOCAL tenfold.tenant = '';
             SET LOCAL tenfold.purge = 'on'; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
             SET LOCAL enable_sort = off; PREPARE asked AS {text}"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(settings)).execute(&mut connection).await.unwrap();
        let plan = sqlx::raw_sql("EXPLAIN (COSTS OFF) EXECUTE asked(0, 5)").fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        assert!(plan.iter().any(|line| line.contains("Index Cond") && line.contains('<')), "{text}: {plan:#?}");
    }
}
