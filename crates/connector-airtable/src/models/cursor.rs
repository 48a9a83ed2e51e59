//! The stored cursor of a subscription. For each webhook, it contains the next payload and the time
//! of the last read.

use std::fmt::Write as _;

use connector_core::clock::Timestamp;
use connector_core::{Error, ErrorKind, Result};

use super::WebhookId;

/// The cursor of a subscription before its first webhook.
pub(crate) const START: &str = "start";

/// The next payload of one webhook, and the time of the last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) webhook: WebhookId,
    pub(crate) payload: u64,
    pub(crate) read: Timestamp,
}

impl Position {
    pub(crate) fn write(chain: &[Self]) -> String {
        let mut text = String::new();
        for at in chain {
            let read = at.read.as_unix_seconds();
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{}:{}:{read} ", at.webhook, at.payload);
        }
        text.truncate(text.trim_end().len());
        text
    }

    pub(crate) fn read(cursor: &str) -> Result<Vec<Self>> {
        let one = |text: &str| {
            let mut parts = text.splitn(3, ':');
            Some(Self {
                webhook: WebhookId::new(parts.next()?).ok()?,
                payload: parts.next()?.parse().ok()?,
                read: Timestamp::from_unix_seconds(parts.next()?.parse().ok()?),
            })
        };
        let chain: Option<Vec<_>> = match cursor {
            START => Some(Vec::new()),
            _ => cursor.split(' ').map(one).collect(),
        };
        chain.ok_or_else(|| {
            let message = "the stored cursor is not a cursor of this connector; subscribe again";
            Error::new(ErrorKind::StoreIncompatible, "airtable.catch_up", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let position = |letter: &str, payload| Position {
            webhook: WebhookId::new(format!("ach{}", letter.repeat(14))).unwrap(),
            payload,
            read: Timestamp::from_unix_seconds(1_700_000_000),
        };
        for chain in [
            vec![position("A", 1)],
            vec![position("A", 9), position("B", u64::MAX)],
        ] {
            assert_eq!(Position::read(&Position::write(&chain)).unwrap(), chain);
        }
        assert_eq!(Position::read(START).unwrap(), []);
        let whole = Position::write(&[position("A", 1)]);
        for bad in [
            "",
            " ",
            "start ",
            "1",
            "achA:1:1",
            &whole[1..],
            &format!("{whole} "),
        ] {
            assert!(Position::read(bad).is_err(), "{bad}");
        }
    }
}
