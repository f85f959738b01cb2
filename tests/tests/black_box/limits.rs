//! The limiters against their real servers: the property that both share, and what each does when its server fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shared::aws::{Aws, Usage, count};
use shared::dynamo::Dynamo;
use shared::limits::{Decision, DynamoLimiter, Limit, LimitError, Limiter, Policy, RedisLimiter, Timestamp};
use shared::random::Random;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

#[path = "../../../shared/src/limits/conformance.rs"]
mod conformance;

use conformance::{admits_exactly_the_burst_under_concurrency, admits_what_fits_in_any_order, agrees_with_the_oracle};

// A tenant of this run, so that a server which lives longer holds nothing that disturbs.
use crate::resources::name as tenant;
use crate::resources::{aws, table};

async fn check(limiter: &dyn Limiter, tenant: &str, policy: &Policy, cost: u32) -> Result<Decision, LimitError> {
    let now = Timestamp::from_second(4_102_444_800).unwrap();
    limiter.check(tenant, &[Limit { policy, key: "k", cost }], now).await
}

fn ten_a_minute() -> Policy {
    Policy::new("default", 10, Duration::from_mins(1), 10).unwrap()
}

#[tokio::test]
async fn redis_agrees_with_the_oracle() {
    let limiter = RedisLimiter::new(&redis_url()).unwrap();
    agrees_with_the_oracle(&limiter, &tenant("redis"), 250, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_admits_exactly_the_burst_under_concurrency() {
    let limiter = RedisLimiter::new(&redis_url()).unwrap();
    admits_exactly_the_burst_under_concurrency(Arc::new(limiter), &tenant("redis")).await;
}

#[tokio::test]
async fn dynamo_agrees_with_the_oracle() {
    let limiter = dynamo_limiter().await;
    agrees_with_the_oracle(&limiter, &tenant("dynamo"), 30, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamo_admits_exactly_the_burst_under_concurrency() {
    let limiter = dynamo_limiter().await;
    admits_exactly_the_burst_under_concurrency(Arc::new(limiter), &tenant("dynamo")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_admits_what_fits_in_any_order() {
    let limiter = RedisLimiter::new(&redis_url()).unwrap();
    admits_what_fits_in_any_order(Arc::new(limiter), &tenant("redis")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamo_admits_what_fits_in_any_order() {
    let limiter = dynamo_limiter().await;
    admits_what_fits_in_any_order(Arc::new(limiter), &tenant("dynamo")).await;
}

#[tokio::test]
async fn a_check_of_several_limits_on_redis_is_one_round_trip() {
    let (policy, other) = (ten_a_minute(), Policy::new("other", 5, Duration::from_secs(1), 5).unwrap());
    let proxy = Proxy::start(&redis_url()).await;
    let limiter = RedisLimiter::new(proxy.url()).unwrap();
    let tenant = tenant("trip");
    check(&limiter, &tenant, &policy, 0).await.unwrap();
    let before = proxy.requests.load(Ordering::SeqCst);
    let limits = [Limit { policy: &policy, key: "k", cost: 1 }, Limit { policy: &other, key: "k", cost: 1 }];
    for _ in 0..3 {
        assert!(limiter.check(&tenant, &limits, Timestamp::UNIX_EPOCH).await.unwrap().allowed);
    }
    assert_eq!(proxy.requests.load(Ordering::SeqCst) - before, 3);
}

#[tokio::test]
async fn a_redis_that_forgot_the_script_learns_it_again() {
    let url = redis_url();
    let limiter = RedisLimiter::new(&url).unwrap();
    let (tenant, policy) = (tenant("script"), ten_a_minute());
    check(&limiter, &tenant, &policy, 1).await.unwrap();
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
    assert_eq!(check(&limiter, &tenant, &policy, 1).await.unwrap().limits[0].remaining, 8);
}

#[tokio::test]
async fn a_bucket_on_redis_shares_its_tenants_slot_and_goes_when_it_is_full_again() {
    let url = redis_url();
    let (tenant, policy) = (tenant("expiry"), ten_a_minute());
    check(&RedisLimiter::new(&url).unwrap(), &tenant, &policy, 2).await.unwrap();
    let mut connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let key = format!("limit:{{{tenant}}}:default:6000000.1:k");
    let lifetime: i64 = redis::cmd("PTTL").arg(key).query_async(&mut connection).await.unwrap();
    // Twelve seconds of debt, and sixty to spare.
    assert!((60_000..=72_000).contains(&lifetime), "{lifetime}");
}

#[tokio::test]
async fn a_lost_redis_is_an_error_at_once_and_comes_back_by_itself() {
    let proxy = Proxy::start(&redis_url()).await;
    let limiter = RedisLimiter::new(proxy.url()).unwrap();
    let (tenant, policy) = (tenant("lost"), ten_a_minute());
    check(&limiter, &tenant, &policy, 1).await.unwrap();

    // The connection was closed meanwhile, as after a freeze: nobody notices.
    proxy.set(Fault::Closed);
    proxy.set(Fault::None);
    assert_eq!(check(&limiter, &tenant, &policy, 1).await.unwrap().limits[0].remaining, 8);

    for fault in [Fault::Closed, Fault::Mute] {
        proxy.set(fault);
        let start = Instant::now();
        assert!(matches!(check(&limiter, &tenant, &policy, 1).await, Err(LimitError::Unavailable(_))), "{fault:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "{fault:?}");
        proxy.set(Fault::None);
        let answer = async {
            loop {
                if let Ok(decision) = check(&limiter, &tenant, &policy, 0).await {
                    return decision;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let decision = tokio::time::timeout(Duration::from_secs(5), answer).await.unwrap();
        assert_eq!(decision.limits[0].remaining, 8, "{fault:?}");
    }
}

#[tokio::test]
async fn a_redis_that_was_never_there_is_unavailable() {
    let limiter = RedisLimiter::new("redis://127.0.0.1:1").unwrap();
    assert!(matches!(check(&limiter, "t", &ten_a_minute(), 1).await, Err(LimitError::Unavailable(_))));
}

#[tokio::test]
async fn dynamo_takes_the_calls_that_are_documented() {
    let limiter = dynamo_limiter().await;
    let (tenant, policy) = (tenant("calls"), ten_a_minute());
    let other = Policy::new("other", 10, Duration::from_mins(1), 10).unwrap();
    let one = [Limit { policy: &policy, key: "k", cost: 10 }];
    let two = [Limit { policy: &policy, key: "k", cost: 1 }, Limit { policy: &other, key: "k", cost: 1 }];
    let look = [Limit { policy: &policy, key: "k", cost: 0 }];
    let cases = [
        ("new", one.as_slice(), 0, true, 1),
        ("refused", &one, 0, false, 1),
        ("some debt", &[Limit { cost: 1, ..one[0] }], 12, true, 1),
        ("late", &[Limit { cost: 1, ..one[0] }], 6, true, 2),
        ("late, refused", &[Limit { cost: 1, ..one[0] }], 6, false, 1),
        ("full again", &one, 600, true, 2),
        ("two, refused", &two, 600, false, 2),
        ("two, charged", &two, 660, true, 3),
        ("a look", &look, 660, true, 1),
    ];
    for (name, limits, seconds, allowed, calls) in cases {
        let usage = Arc::new(Usage::default());
        let now = Timestamp::from_second(4_102_444_800 + seconds).unwrap();
        let decision = count(Arc::clone(&usage), limiter.check(&tenant, limits, now)).await.unwrap();
        assert_eq!((decision.allowed, usage.calls()), (allowed, calls), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_that_newer_ones_overtake_before_each_of_its_writes_is_admitted_by_the_second() {
    let policy = Policy::new("fast", 1_000, Duration::from_secs(1), 10).unwrap();
    let other = Policy::new("other", 10, Duration::from_mins(1), 10).unwrap();
    let bucket = Limit { policy: &policy, key: "k", cost: 1 };
    let beside = Limit { policy: &other, key: "k", cost: 1 };
    let cases =
        [(vec![bucket], vec!["UpdateItem"]), (vec![bucket, beside], vec!["GetItem", "GetItem", "TransactWriteItems"])];
    for (limits, calls_of_a_try) in cases {
        let (table, tenant) = (table("limits", &["pk"]).await, tenant("overtaken"));
        let overtaking = Overtaking::start(&table, &tenant, &policy).await;
        let start = Timestamp::from_microsecond(START).unwrap();
        let decision = overtaking.limiter.check(&tenant, &limits, start).await.unwrap();
        assert!(decision.allowed, "{decision:?}");
        assert_eq!(overtaking.proxy.calls(), calls_of_a_try.repeat(2));
        // The newest check left room for five, and the late one took one of them.
        let look = [Limit { cost: 0, ..bucket }];
        let left = overtaking.limiter.check(&tenant, &look, start).await.unwrap();
        assert_eq!(left.limits[0].remaining, 4);
    }
}

/// The moment of the check that is overtaken.
const START: i64 = 4_102_444_800_000_000;

/// A limiter whose every write is overtaken by a newer check, which charges half the burst just when that has drained.
struct Overtaking {
    limiter: DynamoLimiter,
    proxy: tests::FaultProxy,
}

impl Overtaking {
    async fn start(table: &str, tenant: &str, policy: &Policy) -> Self {
        let newer = DynamoLimiter::new(Dynamo::new(aws().dynamo), table, Random::system());
        let (policy, tenant, mut now) = (policy.clone(), tenant.to_owned(), START);
        let proxy = tests::FaultProxy::start(move |operation| {
            if ["UpdateItem", "TransactWriteItems"].contains(&operation) {
                now += 5_000;
                let limits = [Limit { policy: &policy, key: "k", cost: 5 }];
                let check = newer.check(&tenant, &limits, Timestamp::from_microsecond(now).unwrap());
                let decision = tokio::task::block_in_place(|| Handle::current().block_on(check)).unwrap();
                assert!(decision.allowed, "the newer check");
            }
            None
        })
        .await;
        let environment = tests::stack().environment("links.redirect").unwrap();
        let aws = Aws::new(&environment.with("AWS_ENDPOINT_URL", proxy.url())).unwrap();
        Self { limiter: DynamoLimiter::new(Dynamo::new(aws.dynamo), table, Random::system()), proxy }
    }
}

#[tokio::test]
async fn a_missing_table_is_an_error_and_not_a_verdict() {
    let limiter = DynamoLimiter::new(Dynamo::new(aws().dynamo), "no-such-table", Random::system());
    assert!(matches!(check(&limiter, "t", &ten_a_minute(), 1).await, Err(LimitError::Unavailable(_))));
}

/// What the proxy does to its connections.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Closes those that are there and each new one.
    Closed,
    /// Takes bytes and answers nothing.
    Mute,
}

/// A TCP proxy before Redis that counts requests and plays faults. It ends with the test's runtime.
struct Proxy {
    /// The server's URL with the proxy's address in it: the password stays.
    url: String,
    requests: Arc<AtomicUsize>,
    fault: watch::Sender<Fault>,
}

impl Proxy {
    async fn start(redis_url: &str) -> Self {
        let url: redis::ConnectionInfo = redis::IntoConnectionInfo::into_connection_info(redis_url).unwrap();
        let redis::ConnectionAddr::Tcp(host, port) = url.addr().clone() else { panic!("Redis is not on TCP") };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (fault, faults) = watch::channel(Fault::None);
        let own = listener.local_addr().unwrap().port();
        let url = redis_url.replacen(&format!(":{port}"), &format!(":{own}"), 1);
        let proxy = Self { url, requests: Arc::default(), fault };
        let requests = Arc::clone(&proxy.requests);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                tokio::spawn(forward(client, server, faults.clone(), Arc::clone(&requests)));
            }
        });
        proxy
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

/// Forwards until either side closes or the fault changes. A request is what the client writes in one piece.
async fn forward(
    mut client: TcpStream,
    mut server: TcpStream,
    mut faults: watch::Receiver<Fault>,
    requests: Arc<AtomicUsize>,
) {
    let fault = *faults.borrow_and_update();
    let (mut request, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    if fault == Fault::Closed {
        return;
    }
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                requests.fetch_add(1, Ordering::SeqCst);
                if fault == Fault::None && server.write_all(&request[..length]).await.is_err() { return }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answer[..length]).await.is_err() { return }
            }
            _ = faults.changed() => return,
        }
    }
}

async fn dynamo_limiter() -> DynamoLimiter {
    DynamoLimiter::new(Dynamo::new(aws().dynamo), table("limits", &["pk"]).await, Random::system())
}

/// The stack's Redis.
fn redis_url() -> String {
    tests::stack().dev().redis_url.clone()
}
