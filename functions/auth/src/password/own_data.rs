//! Passwords that hardly differ from what everybody knows of a user.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// Bytes of the shortest piece of data that counts: three Latin letters, or one Chinese character. Shorter ones are in
/// many a good password by chance.
const SHORTEST: usize = 3;

/// Whether `folded` (in form KC and lower case) is an entry of `context` or a part of one, forwards or backwards, and
/// nothing but digits, blanks and punctuation beside. The parts are the words of an entry, and the local part, the
/// domain and its labels of an e-mail address.
pub(super) fn is_own_data(folded: &str, context: &[&str]) -> bool {
    let forms = Forms::of(folded);
    let backwards = Forms::of(&Zeroizing::new(folded.chars().rev().collect::<String>()));
    context.iter().any(|entry| {
        let entry = entry.nfkc().collect::<String>().to_lowercase();
        parts(&entry).any(|part| {
            let part = Forms::of(part);
            part.is_same(&forms) || part.is_same(&backwards)
        })
    })
}

/// An entry whole and in parts.
fn parts(entry: &str) -> impl Iterator<Item = &str> {
    let (local, domain) = entry.rsplit_once('@').unwrap_or((entry, ""));
    let words = local.split(|character: char| !character.is_alphanumeric());
    // `mail.example.com` is `example.com` too, and `mail` and `example`; the top level is not the user's.
    let domains = std::iter::successors(Some(domain), |domain| domain.split_once('.').map(|(_, parent)| parent));
    let domains = domains.filter(|domain| domain.contains('.'));
    let labels = domain.rsplit_once('.').map_or("", |(labels, _)| labels).split('.');
    [entry, local].into_iter().chain(words).chain(domains).chain(labels)
}

/// A text with nothing but its letters and digits, and with nothing but its letters.
struct Forms {
    alphanumeric: Zeroizing<String>,
    letters: Zeroizing<String>,
}

impl Forms {
    fn of(text: &str) -> Self {
        let only = |keep: fn(char) -> bool| Zeroizing::new(text.chars().filter(|c| keep(*c)).collect::<String>());
        Self { alphanumeric: only(char::is_alphanumeric), letters: only(char::is_alphabetic) }
    }

    /// Whether they differ in digits and punctuation alone; without letters, in punctuation alone.
    fn is_same(&self, other: &Self) -> bool {
        let same = |one: &str, other: &str| one.len() >= SHORTEST && one == other;
        same(&self.letters, &other.letters) || same(&self.alphanumeric, &other.alphanumeric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: [&str; 4] = ["Ada.Lovelace1815@mail.example.com", "Ada Lovelace", "Tenfold", ""];

    #[test]
    fn address_name_and_their_parts_are_own_data_however_they_are_dressed_up() {
        for text in [
            "ada.lovelace1815@mail.example.com",
            "ada.lovelace",
            "adalovelace",
            "ada lovelace",
            "lovelace",
            "lovelace1815",
            "lovelace!!2026",
            "1815lovelace",
            "l.o.v.e.l.a.c.e",
            "ecalevol",
            "ecalevol99",
            "example.com",
            "example123",
            "mail.example.com",
            "tenfold2026!",
            "dlofnet1",
            "ada123456",
            "moc.elpmaxe.liam",
        ] {
            assert!(is_own_data(text, &CONTEXT), "{text}");
        }
    }

    #[test]
    fn what_only_has_them_in_it_is_not() {
        for text in
            ["lovelace and walnuts", "example walnut", "com123456", "12345678", "18151815", "!!!!!!!!", "example1x"]
        {
            assert!(!is_own_data(text, &CONTEXT), "{text}");
        }
        assert!(!is_own_data("walnut-harbour", &[]));
        assert!(!is_own_data("20260101", &["jo@ab.example"]));
    }

    #[test]
    fn data_without_letters_and_in_other_scripts_counts() {
        assert!(is_own_data("+49 151 1234-5678", &["4915112345678@example.com"]));
        assert!(!is_own_data("4915112345679", &["4915112345678@example.com"]));
        assert!(is_own_data("李明2026!!!", &["李明"]));
        assert!(is_own_data("jörg!1234", &["Jo\u{308}rg Müller"]));
        assert!(is_own_data("ＡＤＡ１２３４５".nfkc().collect::<String>().to_lowercase().as_str(), &["Ada"]));
    }
}
