//! When, and how often, customer service may write to a user.
//!
//! Source: developers.weixin.qq.com/miniprogram/dev/framework/open-ability/customer-message/send.html

use crate::protocol::errcode::{self, ApiError};
use crate::state::bounded_map::{BoundedMap, MAX_ENTRIES};
use crate::time::{HOUR, MINUTE};

/// What a user does that allows replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contact {
    /// Sends a message.
    Message,
    /// Opens customer service.
    Enter,
}

impl Contact {
    /// How long, and how many replies.
    const fn allows(self) -> (u64, u32) {
        match self {
            Self::Message => (48 * HOUR, 5),
            Self::Enter => (MINUTE, 2),
        }
    }
}

#[derive(Default)]
struct ReplyWindow {
    ends_at: u64,
    replies_left: u32,
}

/// By openid.
pub(crate) struct ReplyWindows(BoundedMap<String, ReplyWindow>);

impl ReplyWindows {
    pub(crate) fn new() -> Self {
        Self(BoundedMap::new(MAX_ENTRIES))
    }

    /// What a contact allows does not add up with what an earlier one left: the larger one applies.
    pub(crate) fn open(&mut self, open_id: &str, contact: Contact, now: u64) {
        let (length, replies) = contact.allows();
        let earlier = self.0.peek(open_id).filter(|window| now < window.ends_at);
        let (ends_at, replies_left) =
            earlier.map_or((0, 0), |window| (window.ends_at, window.replies_left));
        let window = ReplyWindow {
            ends_at: ends_at.max(now.saturating_add(length)),
            replies_left: replies_left.max(replies),
        };
        self.0.insert(open_id.to_owned(), window);
    }

    /// Counts a reply.
    pub(crate) fn reply(&mut self, open_id: &str, now: u64) -> Result<(), ApiError> {
        let window = self.0.get_mut(open_id);
        let window = window.filter(|window| now < window.ends_at);
        let window = window.ok_or(errcode::REPLY_TIME_LIMIT)?;
        if window.replies_left == 0 {
            return Err(errcode::REPLY_COUNT_LIMIT);
        }
        window.replies_left -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_allows_five_replies_within_two_days() {
        let mut windows = ReplyWindows::new();
        assert_eq!(windows.reply("o1", 0), Err(errcode::REPLY_TIME_LIMIT));
        windows.open("o1", Contact::Message, 0);
        for _ in 0..5 {
            assert_eq!(windows.reply("o1", 48 * HOUR - 1), Ok(()));
        }
        assert_eq!(
            windows.reply("o1", 48 * HOUR - 1),
            Err(errcode::REPLY_COUNT_LIMIT)
        );
        assert_eq!(
            windows.reply("o1", 48 * HOUR),
            Err(errcode::REPLY_TIME_LIMIT)
        );
    }

    #[test]
    fn opening_customer_service_takes_nothing_from_what_a_message_allows() {
        let mut windows = ReplyWindows::new();
        windows.open("o1", Contact::Message, 0);
        windows.open("o1", Contact::Enter, 1);
        for _ in 0..5 {
            assert_eq!(windows.reply("o1", HOUR), Ok(()));
        }
        windows.open("o1", Contact::Enter, HOUR);
        assert_eq!(windows.reply("o1", HOUR), Ok(()));
        windows.open("o2", Contact::Enter, 0);
        assert_eq!(windows.reply("o2", MINUTE), Err(errcode::REPLY_TIME_LIMIT));
    }
}
