//! What holds while the server is away, and after connections were lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared::config::Secret;
use shared::http::{Problem, ProblemType};
use shared::postgres::{Postgres, Settings};
use shared::random::Random;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::{in_tenant, insert, insert_despite, migrated_database, notes, number, owner, postgres, tenant, texts};

/// The road to the server, which can be cut and mended.
pub(crate) struct Road {
    pub(crate) url: String,
    open: Arc<AtomicBool>,
    silent: Arc<AtomicBool>,
    cut: Arc<tokio::sync::Notify>,
}

impl Road {
    pub(crate) async fn to(url: &str) -> Self {
        let address = url.split_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let road = Self {
            url: url.replace(&address, &here),
            open: Arc::new(AtomicBool::new(true)),
            silent: Arc::default(),
            cut: Arc::default(),
        };
        let (open, silent, cut) = (road.open.clone(), road.silent.clone(), road.cut.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let (silent, cut, address) = (silent.clone(), cut.clone(), address.clone());
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(address).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        () = cut.notified() => {}
                    }
                    if silent.load(Ordering::SeqCst) {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        road
    }

    /// Nothing comes through any more, and nobody is told.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
        self.cut.notify_waiters();
    }

    /// All connections break, and new ones are refused.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.cut.notify_waiters();
    }

    pub(crate) fn mend(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_the_answer_is_unavailable_and_afterwards_all_is_well() {
    let url = migrated_database().await;
    notes(&url).await;
    let road = Road::to(&url).await;
    let notes = postgres(&road.url);
    let tenant = tenant();
    in_tenant(&notes, &tenant, async |transaction| insert(transaction, "before").await).await.unwrap();

    road.close();
    for _ in 0..2 {
        let error =
            in_tenant(&notes, &tenant, async |transaction| insert(transaction, "away").await).await.unwrap_err();
        assert_eq!(Problem::from(error).kind(), ProblemType::Unavailable);
        assert_eq!(Problem::from(notes.ping().await.unwrap_err()).kind(), ProblemType::Unavailable);
    }
    road.mend();
    in_tenant(&notes, &tenant, async |transaction| insert(transaction, "back").await).await.unwrap();
    assert_eq!(texts(&notes, &tenant).await, ["back", "before"], "nothing was half written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_unavailable_before_the_function_ends() {
    let url = migrated_database().await;
    notes(&url).await;
    let road = Road::to(&url).await;
    let notes = postgres(&road.url);
    let tenant = tenant();
    in_tenant(&notes, &tenant, async |transaction| insert(transaction, "before").await).await.unwrap();
    // The connection was used just now, and is not tried before it is used again.
    road.fall_silent();
    let error = in_tenant(&notes, &tenant, async |transaction| insert(transaction, "hung").await).await.unwrap_err();
    assert_eq!(Problem::from(error).kind(), ProblemType::Unavailable);
    assert_eq!(texts(&postgres(&url), &tenant).await, ["before"]);
}

#[tokio::test]
async fn a_connection_that_the_server_has_ended_is_replaced() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let tenant = tenant();
    in_tenant(&notes, &tenant, async |transaction| insert(transaction, "before").await).await.unwrap();
    let mut owner = owner(&url).await;
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'test'";
    assert_eq!(number(&mut owner, ended.to_owned()).await, 1);
    in_tenant(&notes, &tenant, async |transaction| insert(transaction, "restarted").await).await.unwrap();
    assert_eq!(texts(&notes, &tenant).await, ["before", "restarted"]);
}

#[tokio::test]
async fn a_connection_that_is_lost_in_the_middle_is_made_again_and_the_work_is_done_once() {
    let url = migrated_database().await;
    let notes = notes(&url).await;
    let tenant = tenant();
    let suicide = "RESET ROLE; SELECT pg_terminate_backend(pg_backend_pid())";
    assert_eq!(insert_despite(&notes, &tenant, suicide, 1).await, 2);
    assert_eq!(texts(&notes, &tenant).await, ["once"]);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let url = migrated_database().await;
    let settings =
        Settings { statement_timeout: std::time::Duration::from_millis(100), ..Settings::new("test", "memos") };
    let postgres = Postgres::new(&Secret::new(url), settings, Random::system()).unwrap();
    let slow = in_tenant(&postgres, &tenant(), async |transaction| {
        sqlx::query("SELECT pg_sleep(60)").execute(transaction).await?;
        Ok(())
    })
    .await;
    assert_eq!(Problem::from(slow.unwrap_err()).kind(), ProblemType::Unavailable);
    postgres.ping().await.unwrap();
}
