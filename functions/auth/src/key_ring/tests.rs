//! The rules, over any sequence of what may happen to a ring.

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// How far the clock of an instance may be off, in seconds.
const SKEW: i64 = 10 * 60;
/// How long a signer keeps a key, and a verifier its copy of the public keys, in seconds.
const SIGNER_KEEPS: i64 = 5 * 60;
const VERIFIER_KEEPS: i64 = 30;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pair(number: u32) -> KeyPair {
    let sealed = serde_json::from_value("sealed".into()).unwrap();
    KeyPair { public: PublicKey::ed25519(&format!("k{number}"), &[0; 32]), sealed }
}

/// Two, as each rotation is offered.
fn pairs(number: u32) -> [KeyPair; 2] {
    [pair(number), pair(number + 100_000)]
}

fn kids(ring: &KeyRing) -> Vec<String> {
    ring.public().keys.into_iter().map(|key| key.kid).collect()
}

fn first() -> KeyRing {
    KeyRing::new(at(0), pair(0), pair(1))
}

#[test]
fn a_key_takes_over_after_thirty_days_and_the_old_one_goes_after_its_last_token() {
    let ring = first();
    assert_eq!(ring.rotate(at(30 * DAY - 1), pairs(2), Reason::Due), Ok(None));
    let ring = ring.rotate(at(30 * DAY), pairs(2), Reason::Due).unwrap().unwrap();
    assert_eq!(kids(&ring), ["k1", "k2", "k0"]);
    let status: Vec<_> = ring.status().into_iter().map(|key| (key.state, key.kid)).collect();
    let expected = [("next", "k2"), ("current", "k1"), ("retiring", "k0")];
    assert_eq!(status, expected.map(|(state, kid)| (state, kid.to_owned())));
    let gone = 30 * DAY + VERIFIES_FOR.as_secs();
    assert_eq!(ring.rotate(at(gone - 1), pairs(3), Reason::Due), Ok(None));
    let ring = ring.rotate(at(gone), pairs(3), Reason::Due).unwrap().unwrap();
    assert_eq!(kids(&ring), ["k1", "k2"]);
}

#[test]
fn a_rotation_that_is_asked_for_waits_until_verifiers_know_the_next_key() {
    let early = first().rotate(at(HOUR - 1), pairs(2), Reason::Asked);
    assert_eq!(early, Err(TooEarly { ready_at: at(HOUR) }));
    let ring = first().rotate(at(HOUR), pairs(2), Reason::Asked).unwrap().unwrap();
    assert_eq!(kids(&ring), ["k1", "k2", "k0"]);
    assert_eq!(ring.rotate(at(HOUR), pairs(3), Reason::Asked), Err(TooEarly { ready_at: at(2 * HOUR) }));
}

#[test]
fn after_a_compromise_no_key_is_left_of_those_that_were_kept_together() {
    let rotated = first().rotate(at(HOUR), pairs(2), Reason::Asked).unwrap().unwrap();
    let lost = rotated.replaced(at(HOUR + 1), pair(3), pair(4));
    for ring in [first(), rotated, lost] {
        let kid = ring.current.key.public.kid.clone();
        let after = ring.rotate(at(HOUR + 2), pairs(5), Reason::Compromised).unwrap().unwrap();
        assert_eq!(kids(&after), ["k100005", "k5"]);
        assert!(after.is_after(Reason::Compromised, &kid) && !ring.is_after(Reason::Compromised, &kid));
    }
}

#[test]
fn another_rotation_is_not_enough_where_a_key_is_compromised() {
    let rotated = first().rotate(at(HOUR), pairs(2), Reason::Asked).unwrap().unwrap();
    assert!(rotated.is_after(Reason::Asked, "k0") && rotated.is_after(Reason::Due, "k0"));
    assert!(!rotated.is_after(Reason::Compromised, "k0"));
}

#[test]
fn keys_that_are_lost_still_verify_what_they_signed() {
    let rotated = first().rotate(at(HOUR), pairs(2), Reason::Asked).unwrap().unwrap();
    let ring = rotated.replaced(at(HOUR + 1), pair(3), pair(4));
    assert_eq!(kids(&ring), ["k3", "k4", "k0", "k1"]);
}

#[test]
fn a_ring_is_read_as_it_was_written() {
    let ring = first().rotate(at(HOUR), pairs(2), Reason::Asked).unwrap().unwrap();
    let item: shared::dynamo::Item = serde_dynamo::to_item(&ring).unwrap();
    assert_eq!(serde_dynamo::from_item::<_, KeyRing>(item).unwrap(), ring);
}

/// What may happen, by an instance whose clock is off by so many seconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(i64),
    Rotate(Reason, i64),
    Sign(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let skew = || -SKEW..=SKEW;
    let waits = prop_oneof![0..60_i64, 0..HOUR, 0..DAY, 0..40 * DAY];
    let step = prop_oneof![
        4 => waits.prop_map(Step::Wait),
        3 => skew().prop_map(|skew| Step::Rotate(Reason::Due, skew)),
        2 => skew().prop_map(|skew| Step::Rotate(Reason::Asked, skew)),
        1 => skew().prop_map(|skew| Step::Rotate(Reason::Compromised, skew)),
        5 => skew().prop_map(Step::Sign),
    ];
    prop::collection::vec(step, 1..120)
}

/// The world around a ring, in true time.
struct World {
    now: i64,
    ring: KeyRing,
    keys: u32,
    /// When each key was published.
    published: std::collections::BTreeMap<String, i64>,
    /// The keys that were there at a compromise: their tokens may be refused.
    compromised: Vec<String>,
    /// The first key, and those that took over at a compromise: verifiers may have to ask for them.
    hasty: Vec<String>,
    /// What a signer holds, and since when.
    held: Option<(String, i64)>,
    /// The tokens: key and true end.
    tokens: Vec<(String, i64)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: 10 * DAY,
            ring: KeyRing::new(at(10 * DAY), pair(0), pair(1)),
            keys: 2,
            published: std::collections::BTreeMap::new(),
            compromised: Vec::new(),
            hasty: vec!["k0".to_owned()],
            held: None,
            tokens: Vec::new(),
        };
        world.publish();
        world
    }

    fn publish(&mut self) {
        for kid in kids(&self.ring) {
            self.published.entry(kid).or_insert(self.now);
        }
    }

    fn current(&self) -> String {
        self.ring.current.key.public.kid.clone()
    }

    fn rotate(&mut self, reason: Reason, skew: i64) {
        let Ok(Some(ring)) = self.ring.rotate(at(self.now + skew), pairs(self.keys), reason) else { return };
        let before = std::mem::replace(&mut self.ring, ring);
        if reason == Reason::Compromised {
            let before = kids(&before);
            assert!(kids(&self.ring).iter().all(|kid| !before.contains(kid)));
            self.compromised.extend(before);
            self.hasty.push(self.current());
        }
        self.keys += 1;
        self.publish();
    }

    fn sign(&mut self, skew: i64) {
        let held = self.held.take().filter(|(_, since)| self.now - since < SIGNER_KEEPS);
        let held = held.unwrap_or_else(|| (self.current(), self.now));
        let known_for = self.now - self.published[&held.0];
        assert!(self.hasty.contains(&held.0) || known_for > VERIFIER_KEEPS, "{} signs unknown", held.0);
        self.tokens.push((held.0.clone(), self.now + skew + ACCESS_TOKEN_LIFETIME.as_secs()));
        self.held = Some(held);
    }

    fn check(&mut self) {
        let now = self.now;
        // A verifier's clock may be late.
        self.tokens.retain(|(_, end)| now - SKEW < *end);
        let public = kids(&self.ring);
        for (kid, _) in &self.tokens {
            assert!(public.contains(kid) || self.compromised.contains(kid), "a token of {kid} is refused too early");
        }
        let states: Vec<_> = self.ring.status().iter().map(|key| key.state).collect();
        assert_eq!(states[..2], ["next", "current"]);
        assert!(states[2..].iter().all(|state| *state == "retiring") && states.len() <= 6, "{states:?}");
        let distinct: std::collections::BTreeSet<_> = public.iter().collect();
        assert_eq!(distinct.len(), public.len());
    }
}

proptest! {
    /// Whatever happens in whichever order, by clocks that disagree: a key signs only once every verifier knows it, and
    /// is public for as long as a token of it lives, unless it is the first one, or compromised.
    #[test]
    fn no_living_token_is_refused_and_no_key_signs_unknown(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Wait(seconds) => world.now += seconds,
                Step::Rotate(reason, skew) => world.rotate(reason, skew),
                Step::Sign(skew) => world.sign(skew),
            }
            world.check();
        }
    }
}
