//! Passwords that attackers try first: a list (`common.bin`, made by `common.py`; `NOTICE` says from what), and
//! patterns that no list ends.

use zeroize::Zeroizing;

/// The SHA-256 hashes of the listed passwords, cut to `PREFIX` bytes and sorted. A password that is not listed is taken
/// for one that is once in 13 thousand million look-ups.
static LIST: &[u8] = include_bytes!("common.bin");

/// Bytes kept of each hash.
const PREFIX: usize = 6;

/// Characters of the shortest password that is listed.
const SHORTEST: usize = 8;

/// Whether `folded` (in form KC and lower case) is listed or a pattern, as it is or without what is not a letter at its
/// end. There must be at least eight characters left then, and no more taken away: `football2026!` is `football`, while
/// in `football` with fifteen digits the digits are the password.
pub(super) fn is_common(folded: &str) -> bool {
    let bare = folded.trim_end_matches(|character: char| !character.is_alphabetic());
    let length = bare.chars().count();
    let is_most = length >= SHORTEST && 2 * length >= folded.chars().count();
    let is_tried_first = |text| is_pattern(text) || is_listed(text);
    is_tried_first(folded) || is_most && is_tried_first(bare)
}

/// Whether all characters follow one another in the order of Unicode, forwards, backwards or on the spot (`abcdefgh`,
/// `87654321`, `aaaaaaaa`), or up to four characters are repeated to the end (`abcabcabc`).
fn is_pattern(text: &str) -> bool {
    let characters = Zeroizing::new(text.chars().map(u32::from).collect::<Vec<_>>());
    let repeats = |period: usize| characters.iter().zip(characters.iter().skip(period)).all(|(one, next)| one == next);
    let follow = |step: i64| {
        let mut pairs = characters.iter().zip(characters.iter().skip(1));
        pairs.all(|(one, next)| i64::from(*next) - i64::from(*one) == step)
    };
    (1..=4).any(repeats) || [1, -1].into_iter().any(follow)
}

fn is_listed(text: &str) -> bool {
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let (entries, _) = LIST.as_chunks::<PREFIX>();
    hash.as_ref().first_chunk::<PREFIX>().is_some_and(|prefix| entries.binary_search(prefix).is_ok())
}

#[cfg(test)]
mod tests {
    use shared::random::Random;

    use super::*;

    #[test]
    fn the_list_is_sorted_and_whole() {
        let (entries, rest) = LIST.as_chunks::<PREFIX>();
        assert!(rest.is_empty() && entries.is_sorted());
        assert!(entries.len() > 20_000, "{}", entries.len());
    }

    #[test]
    fn listed_passwords_are_common_with_and_without_an_end() {
        for text in [
            "password",
            "password1",
            "password123",
            "password2026!",
            "passw0rd",
            "p@ssw0rd",
            "12345678",
            "1234567890",
            "qwertyuiop",
            "1q2w3e4r",
            "iloveyou",
            "football",
            "football!!!",
            "baseball2026",
            "trustno1",
            "admin123",
            "sunshine",
            "princess...",
            "superman",
            "starwars",
            "michelle",
            "jennifer1",
            "qwertzuiop",
            "motdepasse",
            "welcome123",
            "changeme",
            "administrator1",
            "football1234567",
        ] {
            assert!(is_common(text), "{text}");
        }
    }

    #[test]
    fn patterns_are_common_at_any_length() {
        for text in [
            "aaaaaaaa",
            "zzzzzzzzzzzzzzzzzzz",
            "abcdefghijklmnop",
            "87654321",
            "abcabcabca",
            "🦀🦀🦀🦀🦀🦀🦀🦀",
            "12341234123412",
            "        ",
        ] {
            assert!(is_common(text), "{text}");
        }
    }

    #[test]
    fn phrases_and_what_only_begins_like_a_common_one_pass() {
        for text in [
            "correct horse battery staple",
            "walnut-harbour-sixteen",
            "football389201746583920",
            "footballwalnut",
            "8 grey owls",
            "пять серых сов",
            "日本語のパスワード",
            "aaaaaaab",
            "abcabcabd",
            "ümläutwörter",
        ] {
            assert!(!is_common(text), "{text}");
        }
    }

    #[test]
    fn no_random_password_is_common() {
        let random = Random::seeded(1);
        let alphabet = b"abcdefghijklmnopqrstuvwxyz0123456789!-_. ";
        for draw in 0..20_000 {
            let text = random.text(alphabet, SHORTEST + draw % 13);
            assert!(!is_common(&text), "{text}");
        }
    }
}
