//! Types of events.

use serde::de::DeserializeOwned;

use super::Event;
use crate::error::{Error, ErrorKind, Result};
use crate::provider_id::ProviderId;

/// A type for the events of some topics of one provider.
///
/// Provider crates implement this trait for their event types. Implement the trait for a type of
/// your own to decode a topic that has no type yet:
///
/// ```
/// use connector_core::webhook::{Event, TypedEvent};
/// use connector_core::{ProviderId, Result};
///
/// #[derive(serde::Deserialize)]
/// struct LeadCreated {
///     name: String,
/// }
///
/// impl TypedEvent for LeadCreated {
///     const PROVIDER: ProviderId = ProviderId::from_static("acme");
///     const TOPICS: &'static [&'static str] = &["lead.created"];
///
///     fn decode(event: &Event) -> Result<Self> {
///         event.json()
///     }
/// }
/// ```
pub trait TypedEvent: Sized + Send + Sync + 'static {
    /// The provider that sends the events.
    const PROVIDER: ProviderId;
    /// The topics of the events, as named by the provider. An empty list matches every topic.
    const TOPICS: &'static [&'static str];

    /// Decodes an event that [matches](TypedEvent::matches).
    ///
    /// # Errors
    /// Returns an error of any kind if the body cannot be decoded as this type. The hub does not
    /// retry such a delivery, but parks it.
    fn decode(event: &Event) -> Result<Self>;

    /// Returns true if the provider and the topic of the event belong to this type.
    #[must_use]
    fn matches(event: &Event) -> bool {
        let topics = Self::TOPICS;
        event.provider == Self::PROVIDER
            && (topics.is_empty() || topics.contains(&event.topic.as_str()))
    }
}

impl Event {
    /// Decodes the body, which must be JSON.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the body is not JSON or does not have the form of `T`.
    /// The error does not contain the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        // The parser's error is dropped, because it may quote the body.
        serde_json::from_slice(&self.body).map_err(|_| {
            Error::new(
                ErrorKind::UnexpectedResponse,
                "webhook.json",
                "the body of the event is not of the expected type",
            )
            .with_provider(self.provider.as_str().to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppKey;

    const ACME: ProviderId = ProviderId::from_static("acme");

    #[derive(Debug)]
    struct Lead(u64);

    impl TypedEvent for Lead {
        const PROVIDER: ProviderId = ACME;
        const TOPICS: &'static [&'static str] = &["lead.created", "lead.updated"];

        fn decode(event: &Event) -> Result<Self> {
            event.json().map(Self)
        }
    }

    #[derive(Debug)]
    struct Everything;

    impl TypedEvent for Everything {
        const PROVIDER: ProviderId = ACME;
        const TOPICS: &'static [&'static str] = &[];

        fn decode(_: &Event) -> Result<Self> {
            Ok(Self)
        }
    }

    #[test]
    fn a_type_matches_its_provider_and_topics() {
        let event = |provider: &str, topic: &str, body: &'static str| {
            let provider = ProviderId::new(provider).unwrap();
            Event::new(provider, AppKey::default(), topic, body.into())
        };
        for (provider, topic, matches) in [
            ("acme", "lead.created", [true, true]),
            ("acme", "lead.updated", [true, true]),
            ("acme", "lead.deleted", [false, true]),
            ("acme", "", [false, true]),
            ("other", "lead.created", [false, false]),
        ] {
            let event = event(provider, topic, "1");
            assert_eq!(
                [Lead::matches(&event), Everything::matches(&event)],
                matches
            );
        }
        assert_eq!(
            Lead::decode(&event("acme", "lead.created", "7")).unwrap().0,
            7
        );
        let secret = event("acme", "lead.created", r#""a-secret""#);
        let refused = Lead::decode(&secret).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UnexpectedResponse);
        assert!(!format!("{refused:?}{refused}").contains("a-secret"));
    }
}
