//! Reads, refreshes and checks connections.

use axum::body::Body;
use connector_core::store::{Cursor, Filter};
use connector_core::{AccountKey, AppKey, Error, ErrorKind, ProviderId};
use connector_hub::CheckOutcome;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};

use super::views::{
    CheckResult, ConnectionDetail, ConnectionList, ConnectionView, ExplanationView, HistoryEntry,
    HistoryPage,
};
use crate::live::Live;
use crate::problem::Problem;
use crate::serve::{Call, Content, Outcome, Reply};

/// Default and maximum number of items on a page.
const PAGE: u16 = 50;
const MAX_PAGE: u16 = 200;
/// The statuses that a list can be filtered by.
const STATUSES: [&str; 5] = [
    "connected",
    "degraded",
    "needs_reauthorization",
    "app_misconfigured",
    "disconnected",
];

fn page(call: &Call) -> Result<(Option<Cursor>, u16), Problem> {
    let limit = call.query_as("limit")?.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Problem::invalid(format!("`limit` is from 1 to {MAX_PAGE}")));
    }
    let after = call.query.get("after").map(Cursor::new).transpose();
    Ok((after.map_err(Error::from)?, limit))
}

pub(super) async fn list(call: Call) -> Outcome {
    let tenant = call.shared.hub.tenant(call.caller()?.tenant());
    let (after, limit) = page(&call)?;
    let name = |name: &str| call.query.get(name).map(String::as_str);
    let provider = name("provider").map(ProviderId::new).transpose();
    let provider = provider.map_err(Error::from)?;
    let app = name("app").map(AppKey::new).transpose();
    let app = app.map_err(Error::from)?;
    let status = match name("status") {
        Some(status) => Some(*STATUSES.iter().find(|it| **it == status).ok_or_else(|| {
            Problem::invalid(format!("`status` is one of {}", STATUSES.join(", ")))
        })?),
        None => None,
    };
    if let Some(account) = name("account") {
        let Some(provider) = provider else {
            return Err(Problem::invalid("`account` needs `provider`"));
        };
        let account = AccountKey::new(account).map_err(Error::from)?;
        let found = match tenant
            .find(provider, app.unwrap_or_default(), account)
            .await
        {
            Ok(found) if status.is_none_or(|it| it == found.status.as_str()) => {
                vec![ConnectionView::from(&found)]
            }
            Ok(_) => Vec::new(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let list = ConnectionList {
            connections: found,
            next: None,
        };
        return Ok(Reply::ok(&list)?.tagged());
    }
    let mut filter = Filter::default();
    filter.provider = provider;
    filter.app = app;
    filter.status = status;
    let page = tenant.list_matching(&filter, after.as_ref(), limit).await?;
    let list = ConnectionList {
        connections: page.items.iter().map(ConnectionView::from).collect(),
        next: page.next.map(|it| it.as_str().to_owned()),
    };
    Ok(Reply::ok(&list)?.tagged())
}

pub(super) async fn get(call: Call) -> Outcome {
    let detail = detail(&call).await?;
    let mut reply = Reply::ok(&detail)?;
    reply.tag = Some(detail.tag());
    Ok(reply)
}

async fn detail(call: &Call) -> Result<ConnectionDetail, Problem> {
    let details = call.shared.hub.details(&call.key()?).await?;
    Ok(ConnectionDetail::new(&details, call.shared.clock.now()))
}

pub(super) async fn refresh(call: Call) -> Outcome {
    let key = call.key()?;
    // A connection of another tenant is not found before anything is sent.
    call.shared.hub.tenant(&key.tenant).get(key.id).await?;
    call.shared.hub.refresh(&key, call.context()?).await?;
    Reply::ok(&detail(&call).await?)
}

pub(super) async fn check(call: Call) -> Outcome {
    let key = call.key()?;
    let outcome = call.shared.hub.check(&key, call.context()?).await?;
    let connection = call.shared.hub.tenant(&key.tenant).get(key.id).await?;
    let (result, detail) = match &outcome {
        CheckOutcome::Works => ("works", None),
        CheckOutcome::OtherAccount => (
            "other_account",
            Some("the credential belongs to another account".to_owned()),
        ),
        CheckOutcome::Failed(error) => (error.kind().as_str(), Some(error.message().to_owned())),
        _ => ("unknown", None),
    };
    Reply::ok(&CheckResult {
        works: outcome.works(),
        result: result.to_owned(),
        detail,
        connection: ConnectionView::from(&connection),
    })
}

pub(super) async fn history(call: Call) -> Outcome {
    let key = call.key()?;
    let (after, limit) = page(&call)?;
    let tenant = call.shared.hub.tenant(&key.tenant);
    let page = tenant.history(key.id, after.as_ref(), limit).await?;
    if page.items.is_empty() && after.is_none() {
        // A connection without entries exists or not; the history of a forgotten one remains.
        tenant.get(key.id).await?;
    }
    Reply::ok(&HistoryPage {
        entries: page.items.iter().map(HistoryEntry::new).collect(),
        next: page.next.map(|it| it.as_str().to_owned()),
    })
}

pub(super) async fn explain(call: Call) -> Outcome {
    let explanation = call.shared.hub.explain(&call.key()?).await?;
    Reply::ok(&ExplanationView::from(&explanation))
}

pub(super) async fn live(call: Call) -> Outcome {
    let stream = Live::open(&call.shared.live, call.caller()?.tenant()).await?;
    let mut reply = Reply::new(StatusCode::OK, Content::Raw(Body::from_stream(stream)));
    let headers = &mut reply.headers;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies would collect the events otherwise.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    Ok(reply)
}
