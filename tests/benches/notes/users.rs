//! The users, with tokens that both contenders accept.

use std::sync::Arc;

use auth::signer::Signer;
use auth::user::UserId;
use shared::id::TenantId;
use shared::identity::Role;
use shared::identity::token::Claims;
use shared::random::Random;
use shared::time::Clock;
use tests::token;

/// How many there are.
pub(crate) const USERS: usize = 20;

/// Users of one tenant. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Users {
    pub(crate) tenant: TenantId,
    pub(crate) ids: Arc<[String]>,
    tokens: Arc<[String]>,
    signer: Signer,
    clock: Clock,
    random: Random,
}

impl Users {
    pub(crate) async fn new() -> Self {
        let (clock, random) = (Clock::system(), Random::system());
        let tenant = TenantId::new(clock.now(), &random);
        let ids = (0..USERS).map(|_| UserId::new(clock.now(), &random).to_string()).collect();
        Self { tenant, ids, tokens: Arc::default(), signer: token::signer(), clock, random }.signed_in().await
    }

    /// The same with new tokens: one lives for ten minutes only.
    pub(crate) async fn signed_in(&self) -> Self {
        let mut tokens = Vec::new();
        for user in self.ids.iter() {
            tokens.push(self.signer.sign(&self.claims(user)).await.unwrap());
        }
        Self { tokens: tokens.into(), ..self.clone() }
    }

    /// The token of the user whose turn it is.
    pub(crate) fn token(&self, index: usize) -> &str {
        &self.tokens[index % USERS]
    }

    fn claims(&self, user: &str) -> Claims {
        let claims = token::claims(self.tenant, self.clock.now(), &self.random);
        Claims { sub: user.to_owned(), roles: vec![Role::Member.to_string()], ..claims }
    }
}
