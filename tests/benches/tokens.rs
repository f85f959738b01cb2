//! What the verification of an access token costs over the one check of its signature, which it cannot do without: by
//! ring, over the same bytes, with key and signature already decoded.
//!
//! `cargo bench -p tests --bench tokens`; the aim is a median of `verify` within 1.1 of `signature`. Criterion measures each
//! alone; the table at the end takes turns between them, so that a busy machine disturbs both alike.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench has no caller to report to
#![allow(missing_docs)] // criterion's macros make public items

use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use shared::id::TenantId;
use shared::identity::token::{ACCESS_TOKEN_LIFETIME, Claims, KeySet, PublicKey, Verifier, sign};
use shared::random::Random;
use shared::time::{Clock, Timestamp};

/// Rounds of the table, each of which asks both contenders once.
const ROUNDS: usize = 40_000;

const ISSUER: &str = "https://api.example.com";
const AUDIENCE: &str = "tenfold-api";

/// A token as a log-in answers it, and what verifies it.
struct Bench {
    verifier: Verifier,
    keys: KeySet,
    now: Timestamp,
    token: String,
    message: String,
    signature: Vec<u8>,
    public: Vec<u8>,
}

/// The claims of a session that was begun with a password.
fn claims(now: Timestamp) -> Claims {
    let text = |text: &str| text.to_owned();
    Claims {
        iss: text(ISSUER),
        aud: text(AUDIENCE),
        sub: text("user_01k9z4n2y6e0qv3m8t5w7x9abc"),
        client_id: text("tenfold"),
        tid: TenantId::new(now, &Random::seeded(1)),
        sid: Some(text("session_01k9z4n2y6e0qv3m8t5w7x9abc")),
        auth_time: Some(now.as_second()),
        acr: Some(text("urn:tenfold:aal1")),
        amr: vec![text("pwd")],
        roles: vec![text("owner")],
        permissions: None,
        scope: text("*"),
        iat: now.as_second(),
        as_of: now.as_millisecond(),
        exp: now.as_second() + ACCESS_TOKEN_LIFETIME.as_secs(),
        jti: text("k3v9q0x7m2c8z5b1n6a4s0d2"),
    }
}

impl Bench {
    fn new() -> Self {
        let now = Clock::system().now();
        let pair = || Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let public = |pkcs8: &[u8]| Ed25519KeyPair::from_pkcs8(pkcs8).unwrap().public_key().as_ref().to_vec();
        // The set has the next key as well, as an installation's has.
        let (current, next) = (pair(), pair());
        let kids = ["kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"];
        let keys = [(kids[1], &next), (kids[0], &current)];
        let keys = keys.map(|(kid, pkcs8)| PublicKey::ed25519(kid, &public(pkcs8.as_ref())));
        let token = sign(&claims(now), kids[0], current.as_ref()).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        Self {
            verifier: Verifier::new(ISSUER.to_owned(), AUDIENCE.to_owned()),
            keys: KeySet { keys: keys.into() },
            now,
            message: message.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).unwrap(),
            public: public(current.as_ref()),
            token,
        }
    }

    fn signature(&self) {
        let key = UnparsedPublicKey::new(&ED25519, black_box(&self.public));
        key.verify(black_box(self.message.as_bytes()), &self.signature).unwrap();
    }

    fn verify(&self) {
        black_box(self.verifier.verify(black_box(&self.token), &self.keys, self.now).unwrap());
    }
}

fn tokens(criterion: &mut Criterion) {
    let bench = Bench::new();
    let mut group = criterion.benchmark_group("tokens");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("signature", |bencher| bencher.iter(|| bench.signature()));
    group.bench_function("verify", |bencher| bencher.iter(|| bench.verify()));
    group.finish();
}

/// The medians, measured in turns.
fn table() {
    let timed = |work: &dyn Fn()| {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    let bench = Bench::new();
    let (mut signature, mut verify) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        signature.push(timed(&|| bench.signature()));
        verify.push(timed(&|| bench.verify()));
    }
    let [signature, verify] = [signature, verify].map(|mut times| {
        times.sort_unstable();
        times.get(ROUNDS / 2).unwrap().as_secs_f64() * 1e6
    });
    println!("\n| an access token | p50 µs | p50 over the signature's |\n|---|---:|---:|");
    println!("| signature alone, by ring | {signature:.1} | 1 |");
    println!("| verification | {verify:.1} | {:.2} |", verify / signature);
}

criterion_group!(benches, tokens);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    table();
}
