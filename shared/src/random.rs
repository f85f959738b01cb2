//! The source of randomness that is passed in: the operating system's in production, a seeded one in tests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// A cryptographically secure source of random bytes. Clones share one source.
#[derive(Clone, Debug)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    /// A `ChaCha` generator seeded by the operating system.
    pub fn system() -> Self {
        let mut seed = [0_u8; 32];
        rand::rng().fill_bytes(&mut seed);
        Self(Arc::new(Mutex::new(StdRng::from_seed(seed))))
    }

    /// The same bytes for the same seed: for tests only.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Fills `buffer` with random bytes.
    pub fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(buffer);
    }

    /// A pause for a further attempt, the first after `base`: any up to `base`, doubled with each attempt and at most 64
    /// times it. Full jitter: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
    pub fn pause(&self, base: Duration, attempt: u32) -> Duration {
        let fraction = u32::from(u16::from_le_bytes(self.bytes()));
        base * (1 << attempt.saturating_sub(1).min(6)) / u32::from(u16::MAX) * fraction
    }

    /// A name of `length` characters that nothing else has: lower-case letters and digits without those that are taken for
    /// one another, each worth about five bits.
    pub fn word(&self, length: usize) -> String {
        self.text(b"abcdefghjkmnpqrstvwxyz0123456789", length)
    }

    /// A text of `length` characters, each drawn with equal probability from `alphabet`
    /// (1 to 256 ASCII characters; an empty one gives an empty text).
    pub fn text(&self, alphabet: &[u8], length: usize) -> String {
        let Ok(size) = u16::try_from(alphabet.len()) else { return String::new() };
        if size == 0 || size > 256 {
            return String::new();
        }
        // Bytes past the last whole multiple are dropped, so that no character is likelier than another.
        let limit = 256 - 256 % size;
        let mut text = String::with_capacity(length);
        while text.len() < length {
            for byte in self.bytes::<16>() {
                if u16::from(byte) < limit
                    && text.len() < length
                    && let Some(character) = alphabet.get(usize::from(u16::from(byte) % size))
                {
                    text.push(char::from(*character));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_up_to_its_bound() {
        let random = Random::seeded(1);
        let longest =
            |attempt| (0..200).map(|_| random.pause(Duration::from_millis(10), attempt)).max().unwrap_or_default();
        for (attempt, bound) in [(1, 10), (2, 20), (7, 640), (40, 640)] {
            let longest = longest(attempt).as_millis();
            assert!((bound / 2..=bound).contains(&longest), "{attempt}: {longest}");
        }
    }

    #[test]
    fn a_seed_repeats_and_every_character_is_used() {
        let draw = || Random::seeded(7).text(b"abc", 300);
        assert_eq!(draw(), draw());
        for character in ['a', 'b', 'c'] {
            assert!(draw().matches(character).count() > 60);
        }
    }
}
