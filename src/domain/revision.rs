use std::fmt;
use std::str::FromStr;

/// The number of a change: dense (1, 2, 3, …) over the whole store, in commit order. Zero is the empty store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(i64);

impl Revision {
    /// Before the first change.
    pub const ZERO: Self = Self(0);

    /// A revision from its number.
    ///
    /// Signed, because this is what SQLite holds; 2^63 changes are out of reach.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The revision of the change after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As it is written: in decimal digits, without zeros before them.
impl FromStr for Revision {
    type Err = &'static str;

    fn from_str(digits: &str) -> Result<Self, Self::Err> {
        let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        let number = digits.parse().ok().filter(|_| canonical);
        number
            .map(Self)
            .ok_or("a revision is digits, without zeros before them")
    }
}

/// Which life of the store a revision belongs to: 8 lower-case base-32 characters (RFC 4648 §6), random, made with the
/// database and changed by every restore.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Epoch(String);

impl Epoch {
    /// The number of characters.
    pub const LENGTH: usize = 8;
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

    /// An epoch from 40 bits of randomness; the upper bits of `random` are not used.
    #[must_use]
    pub fn from_random(random: u64) -> Self {
        let character = |index: usize| {
            let five_bits = (random >> (5 * index)) & 31;
            char::from(Self::ALPHABET[usize::try_from(five_bits).unwrap_or_default()])
        };
        Self((0..Self::LENGTH).map(character).collect())
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Epoch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.len() == Self::LENGTH && text.bytes().all(|b| Self::ALPHABET.contains(&b));
        valid
            .then(|| Self(text.to_owned()))
            .ok_or("an epoch is 8 lower-case base-32 characters")
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in the log that survives a restore being noticed: `{epoch}.{revision}`, e.g. `k3f7q2vt.42`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The life of the store.
    pub epoch: Epoch,
    /// The place in it.
    pub revision: Revision,
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "a cursor is {epoch}.{revision}, e.g. k3f7q2vt.42";
        let (epoch, digits) = text.split_once('.').ok_or(SHAPE)?;
        Ok(Self {
            epoch: epoch.parse().map_err(|_| SHAPE)?,
            revision: digits.parse().map_err(|_| SHAPE)?,
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let text = "k3f7q2vt.42";
        assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
    }

    #[test]
    fn a_cursor_has_one_spelling() {
        for text in [
            "",
            "k3f7q2vt",
            "k3f7q2vt.",
            "k3f7q2vt.-1",
            "k3f7q2vt.+1",
            "k3f7q2vt.01",
            "K3F7Q2VT.1",
            "k3f7q2v1.1",
            "k3f7q2vt.9223372036854775808",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_epoch_made_from_randomness_is_valid() {
        for random in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            let epoch = Epoch::from_random(random);
            assert_eq!(epoch.as_str().parse(), Ok(epoch.clone()));
        }
        // Five bits a character, so that no two of these are the same.
        for place in 0..Epoch::LENGTH {
            let epoch = Epoch::from_random(31 << (5 * place));
            assert_eq!(epoch.as_str().find('7'), Some(place), "{epoch}");
        }
    }
}
