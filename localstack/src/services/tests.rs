//! The servers for real: what a stack starts answers, keeps its data, and leaves no process behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{interval, timeout};

use super::{Error, Options, Service, Services, Storage, open, remove};

const SERVICES: [Service; 3] = [Service::Aws, Service::Postgres, Service::Redis];

fn options(storage: Storage) -> Options {
    let venv = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tenfold/venv"));
    Options { storage, venv, policies: false, aws_endpoint: None, database_url: None, redis_url: None }
}

async fn start(storage: Storage) -> Result<Services, Error> {
    let opened = open(&storage)?;
    Services::start(options(storage), opened, &|_, _| {}).await
}

/// Calls a JSON operation of the AWS APIs.
async fn aws(services: &Services, service: &str, target: &str, body: Value) -> Value {
    let address = services.aws_endpoint.strip_prefix("http://").unwrap();
    let body = body.to_string();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/x-amz-json-1.0\r\n\
         X-Amz-Target: {target}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{target}: {answer}");
    serde_json::from_str(body).unwrap()
}

async fn database(services: &Services) -> PgConnection {
    PgConnection::connect(&services.database_url).await.unwrap()
}

/// Sends a command to the cache and returns the first line of the answer to it.
async fn redis(services: &Services, command: &str) -> String {
    let (password, address) = services.redis_url.strip_prefix("redis://:").unwrap().split_once('@').unwrap();
    let mut connection = BufReader::new(TcpStream::connect(address).await.unwrap());
    connection.write_all(format!("AUTH {password}\r\n{command}\r\n").as_bytes()).await.unwrap();
    let mut lines = connection.lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "+OK");
    lines.next_line().await.unwrap().unwrap()
}

fn pids(services: &Services) -> Vec<u32> {
    let mut pids: Vec<_> = SERVICES.iter().map(|&service| services.pid(service).unwrap()).collect();
    pids.push(services.supervisor_pid());
    pids
}

/// Whether the process runs. One that has ended and whose parent has not looked yet does not.
fn runs(pid: u32) -> bool {
    let state = if Path::new("/proc/self").exists() {
        // The name, in brackets, may hold anything; after it comes the state.
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.rsplit_once(')').map_or_else(String::new, |(_, rest)| rest.to_owned())
    } else {
        let status = std::process::Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
        String::from_utf8(status.stdout).unwrap()
    };
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// Waits until `done`, for as long as the supervisor may take to end.
async fn eventually(what: &str, done: impl Fn() -> bool) {
    let mut ticks = interval(Duration::from_millis(20));
    let wait = async {
        while !done() {
            ticks.tick().await;
        }
    };
    timeout(Duration::from_secs(15), wait).await.unwrap_or_else(|_| panic!("not within 15 s: {what}"));
}

fn send(signal: Signal, pid: u32) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn an_ephemeral_stack_answers_and_leaves_nothing() {
    let services = start(Storage::Ephemeral).await.unwrap();
    let tables = aws(&services, "dynamodb", "DynamoDB_20120810.ListTables", json!({})).await;
    assert_eq!(tables, json!({ "TableNames": [] }));
    let answer: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut database(&services).await).await.unwrap();
    assert_eq!(answer, 1);
    assert_eq!(redis(&services, "PING").await, "+PONG");

    let (data, pids) = (services.data().to_owned(), pids(&services));
    services.shutdown().await.unwrap();
    assert!(!pids.iter().any(|&pid| runs(pid)));
    assert!(!data.exists());
}

#[tokio::test]
async fn the_database_knows_unicode_and_the_cache_wants_its_password() {
    let services = start(Storage::Ephemeral).await.unwrap();
    let mut connection = database(&services).await;
    let lower: String = sqlx::query_scalar("SELECT lower('ÄÉΣ')").fetch_one(&mut connection).await.unwrap();
    assert_eq!(lower, "äéσ");
    let wrong = services.database_url.replace("://tenfold:", "://tenfold:x");
    assert!(PgConnection::connect(&wrong).await.is_err());

    let address = services.redis_url.split_once('@').unwrap().1;
    let mut stranger = BufReader::new(TcpStream::connect(address).await.unwrap());
    stranger.write_all(b"PING\r\n").await.unwrap();
    let mut answer = String::new();
    stranger.read_line(&mut answer).await.unwrap();
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
    services.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_kept_stack_remembers_and_is_used_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Kept(folder.path().join("data"));
    let services = start(storage.clone()).await.unwrap();
    let table = json!({
        "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
    });
    aws(&services, "dynamodb", "DynamoDB_20120810.CreateTable", table).await;
    let item = json!({ "TableName": "things", "Item": { "id": { "S": "one" } } });
    aws(&services, "dynamodb", "DynamoDB_20120810.PutItem", item.clone()).await;
    let queue = aws(&services, "sqs", "AmazonSQS.CreateQueue", json!({ "QueueName": "work" })).await;
    let message = json!({ "QueueUrl": queue["QueueUrl"], "MessageBody": "hello" });
    aws(&services, "sqs", "AmazonSQS.SendMessage", message).await;
    sqlx::query("CREATE TABLE kept AS SELECT 7 AS n").execute(&mut database(&services).await).await.unwrap();

    let second = start(storage.clone()).await.unwrap_err();
    assert!(second.to_string().contains(&format!("(pid {})", std::process::id())), "{second}");
    let data = services.data().to_owned();
    assert!(matches!(remove(&data), Err(Error::AlreadyRunning { .. })));
    let addresses = |s: &Services| [s.aws_endpoint.clone(), s.database_url.clone(), s.redis_url.clone()];
    let before = addresses(&services);
    // A drop does not wait, but the next start does.
    drop(services);

    let services = start(storage).await.unwrap();
    assert_eq!(addresses(&services), before);
    let key = json!({ "TableName": "things", "Key": { "id": { "S": "one" } } });
    let found = aws(&services, "dynamodb", "DynamoDB_20120810.GetItem", key).await;
    assert_eq!(found["Item"], item["Item"]);
    let url = json!({ "QueueUrl": queue["QueueUrl"] });
    let received = aws(&services, "sqs", "AmazonSQS.ReceiveMessage", url).await;
    assert_eq!(received["Messages"][0]["Body"], "hello");
    let n: i32 = sqlx::query_scalar("SELECT n FROM kept").fetch_one(&mut database(&services).await).await.unwrap();
    assert_eq!(n, 7);
    services.shutdown().await.unwrap();

    let elsewhere = fs::read_to_string(data.join("postgres.location")).ok();
    remove(&data).unwrap();
    assert!(!data.join("aws").exists() && !data.join("postgres").exists());
    assert!(elsewhere.is_none_or(|path| !Path::new(&path).exists()));
}

#[tokio::test]
async fn a_server_can_crash_be_noticed_and_come_back() {
    let services = start(Storage::Ephemeral).await.unwrap();
    redis(&services, "SET k v").await;
    let mut connection = database(&services).await;
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
    let busy = tokio::spawn(async move {
        sqlx::query("DO $$ BEGIN LOOP END LOOP; END $$").execute(&mut connection).await.is_err()
    });
    for service in SERVICES {
        let before = services.pid(service).unwrap();
        services.kill(service).await.unwrap();
        assert!(!runs(before) && services.pid(service).is_none());
        services.start_again(service).await.unwrap();
        assert_ne!(services.pid(service).unwrap(), before);
        services.stop(service).await.unwrap();
        services.start_again(service).await.unwrap();
    }
    assert!(busy.await.unwrap() && !runs(backend.try_into().unwrap()));
    assert_eq!(redis(&services, "GET k").await, "$-1");
    database(&services).await;
    aws(&services, "dynamodb", "DynamoDB_20120810.ListTables", json!({})).await;
    assert!(services.start_again(Service::Redis).await.unwrap_err().to_string().contains("still running"));

    let victim = services.pid(Service::Redis).unwrap();
    let crash = services.crashed();
    send(Signal::KILL, victim);
    let crash = timeout(Duration::from_secs(5), crash).await.unwrap();
    assert!(matches!(crash, Error::Ended { service: Service::Redis, code: -9, .. }), "{crash}");

    let (told, notes) = std::sync::mpsc::channel();
    let up = services.keep_up(|error| told.send(error.to_string()).unwrap());
    let again = async {
        while services.pid(Service::Redis).is_none_or(|pid| pid == victim) {
            tokio::task::yield_now().await;
        }
        let second = services.pid(Service::Redis).unwrap();
        send(Signal::KILL, second);
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        end = up => end,
        () = again => unreachable!(),
    };
    assert!(matches!(end, Error::Ended { service: Service::Redis, code: -9, .. }), "{end}");
    assert!(notes.try_iter().collect::<Vec<_>>().concat().contains("ended with code -9"));
    services.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_was_written_and_its_stream_outlive_an_endpoint_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let services = start(Storage::Kept(folder.path().join("data"))).await.unwrap();
    let table = json!({
        "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
    });
    let made = aws(&services, "dynamodb", "DynamoDB_20120810.CreateTable", table).await;
    let stream = made["TableDescription"]["LatestStreamArn"].clone();
    let state = services.data().join("aws/state/dynamodb.json");
    for id in ["first", "second"] {
        let item = json!({ "TableName": "things", "Item": { "id": { "S": id } } });
        aws(&services, "dynamodb", "DynamoDB_20120810.PutItem", item).await;
        eventually(id, || fs::read_to_string(&state).is_ok_and(|state| state.contains(id))).await;
    }

    services.kill(Service::Aws).await.unwrap();
    services.start_again(Service::Aws).await.unwrap();
    let key = json!({ "TableName": "things", "Key": { "id": { "S": "second" } } });
    let found = aws(&services, "dynamodb", "DynamoDB_20120810.GetItem", key).await;
    assert_eq!(found["Item"], json!({ "id": { "S": "second" } }));
    let target = |operation: &str| format!("DynamoDBStreams_20120810.{operation}");
    let described = json!({ "StreamArn": stream });
    let described = aws(&services, "dynamodb", &target("DescribeStream"), described).await;
    let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
    let from = json!({ "StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = aws(&services, "dynamodb", &target("GetShardIterator"), from).await;
    let records = json!({ "ShardIterator": iterator["ShardIterator"] });
    let records = aws(&services, "dynamodb", &target("GetRecords"), records).await;
    let ids: Vec<_> =
        records["Records"].as_array().unwrap().iter().map(|record| &record["dynamodb"]["Keys"]["id"]["S"]).collect();
    assert_eq!(ids, ["first", "second"]);
    services.shutdown().await.unwrap();
}

#[tokio::test]
async fn servers_given_by_address_are_not_started() {
    let mut options = options(Storage::Ephemeral);
    options.aws_endpoint = Some("http://127.0.0.1:1".to_owned());
    options.database_url = Some("postgres://nobody@127.0.0.1:2/none".to_owned());
    options.redis_url = Some("redis://127.0.0.1:3".to_owned());
    let opened = open(&options.storage).unwrap();
    let services = Services::start(options, opened, &|step, state| panic!("{step}: {state:?}")).await.unwrap();
    assert_eq!(services.aws_endpoint, "http://127.0.0.1:1");
    assert_eq!(services.database_url, "postgres://nobody@127.0.0.1:2/none");
    assert_eq!(services.redis_url, "redis://127.0.0.1:3");
    assert!(SERVICES.iter().all(|&service| services.pid(service).is_none()));
    assert!(matches!(services.start_again(Service::Aws).await, Err(Error::NotOurs(Service::Aws))));
    services.shutdown().await.unwrap();
}

/// Names the role of this test program when it is started by [`nothing_outlives_a_killed_parent`].
const HOLD: &str = "TENFOLD_TEST_HOLDS_A_STACK";

/// Not a test of its own: the parent that is killed. Without the variable it has nothing to do.
#[tokio::test]
async fn holds_a_stack_until_killed() {
    if std::env::var_os(HOLD).is_none() {
        return;
    }
    let services = start(Storage::Ephemeral).await.unwrap();
    let line = json!({ "pids": pids(&services), "data": services.data() });
    writeln!(std::io::stdout(), "\n{line}").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_outlives_a_killed_parent() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "services::tests::holds_a_stack_until_killed"])
        .env(HOLD, "1")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let stack: Value = loop {
        let line = lines.next_line().await.unwrap().expect("the parent holds a stack");
        if let Ok(stack @ Value::Object(_)) = serde_json::from_str(&line) {
            break stack;
        }
    };
    let pids: Vec<u32> = serde_json::from_value(stack["pids"].clone()).unwrap();
    let data = PathBuf::from(stack["data"].as_str().unwrap());
    assert!(pids.iter().all(|&pid| runs(pid)) && data.exists());

    parent.kill().await.unwrap();
    eventually("every process has ended", || !pids.iter().any(|&pid| runs(pid))).await;
    assert!(!data.exists());
}

/// The kernel sees to this one, on Linux only.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_outlives_a_killed_supervisor_and_the_data_can_be_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Kept(folder.path().join("data"));
    let services = start(storage.clone()).await.unwrap();
    let pids = pids(&services);
    send(Signal::KILL, services.supervisor_pid());
    assert!(matches!(services.crashed().await, Error::SupervisorGone));
    eventually("every process has ended", || !pids.iter().any(|&pid| runs(pid))).await;
    drop(services);

    let services = start(storage).await.unwrap();
    database(&services).await;
    let data = services.data().to_owned();
    services.shutdown().await.unwrap();
    remove(&data).unwrap();
}
