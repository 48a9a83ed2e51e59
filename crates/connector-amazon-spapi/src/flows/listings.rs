//! Results of the messages of a listings feed.

use std::collections::BTreeMap;

use crate::models::feed::{FeedIssue, FeedIssueSeverity, ListingsFeed, ProcessingReport};

/// Status in the result of a preview: Amazon validated the listing and did not change it.
const PREVIEWED: &str = "VALID";

/// The result of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageState {
    /// Amazon accepted the message. The change may not be visible yet, and Amazon also accepts
    /// patches of listings that do not exist. To verify the change, read the listing.
    Accepted,
    /// Amazon rejected the message. The issues contain the reasons.
    Invalid,
    /// Amazon validated the message and changed nothing, because the feed was a preview.
    Previewed,
    /// The result is unknown: the numbers of the processing report do not match its issues, or the
    /// feed itself has an error.
    Unknown,
}

/// The result of one message of a listings feed, with its issues.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MessageResult {
    /// The id of the message.
    pub message_id: u32,
    /// The seller's SKU.
    pub sku: String,
    /// The result.
    pub state: MessageState,
    /// The issues of the message, including warnings.
    pub issues: Vec<FeedIssue>,
}

/// The results of all messages of a listings feed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ListingsResult {
    /// The results, in the order of the feed.
    pub messages: Vec<MessageResult>,
    /// Issues without a message.
    pub other_issues: Vec<FeedIssue>,
    /// The processing report. Its issues have been moved to `messages` and `other_issues`.
    pub report: ProcessingReport,
}

impl ListingsResult {
    /// Combines a feed with its processing report.
    #[must_use]
    pub fn new(feed: &ListingsFeed, mut report: ProcessingReport) -> Self {
        let mut messages: Vec<MessageResult> = feed
            .messages
            .iter()
            .map(|message| MessageResult {
                message_id: message.message_id,
                sku: message.sku.clone(),
                state: MessageState::Accepted,
                issues: Vec::new(),
            })
            .collect();
        let by_id: BTreeMap<u32, usize> = messages
            .iter()
            .enumerate()
            .map(|(at, it)| (it.message_id, at))
            .collect();
        let mut other_issues = Vec::new();
        for issue in std::mem::take(&mut report.issues) {
            let found = issue.message_id.and_then(|id| by_id.get(&id)).copied();
            match found.and_then(|at| messages.get_mut(at)) {
                Some(message) => {
                    if is_refusal(&issue) {
                        message.state = MessageState::Invalid;
                    }
                    message.issues.push(issue);
                }
                None => other_issues.push(issue),
            }
        }
        let previewed: Vec<&str> = report
            .items
            .iter()
            .filter(|item| item.status.as_deref() == Some(PREVIEWED))
            .filter_map(|item| item.sku.as_deref())
            .collect();
        let unrefused = messages
            .iter()
            .filter(|it| it.state == MessageState::Accepted)
            .count();
        let stated = report.summary.as_ref().and_then(|it| it.messages_accepted);
        let is_sure = stated == Some(unrefused as u64) && !other_issues.iter().any(is_refusal);
        for message in &mut messages {
            if message.state == MessageState::Invalid {
                continue;
            }
            if previewed.contains(&message.sku.as_str()) {
                message.state = MessageState::Previewed;
            } else if !is_sure {
                message.state = MessageState::Unknown;
            }
        }
        Self {
            messages,
            other_issues,
            report,
        }
    }

    /// Returns true if Amazon accepted every message. A preview is never accepted.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !self.messages.is_empty() && self.accepted() == self.messages.len()
    }

    /// Returns the number of messages that Amazon accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        let accepted = |it: &&MessageResult| it.state == MessageState::Accepted;
        self.messages.iter().filter(accepted).count()
    }
}

/// Returns true if the issue means that the message was rejected. Unknown severities count as
/// errors.
fn is_refusal(issue: &FeedIssue) -> bool {
    !matches!(
        issue.severity,
        Some(FeedIssueSeverity::Warning | FeedIssueSeverity::Info)
    )
}
