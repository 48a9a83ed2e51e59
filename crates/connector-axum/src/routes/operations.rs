//! Health, problem descriptions and the `OpenAPI` document.

use super::views::{AppHealthList, AppHealthView, HealthStatus, ProblemDescription};
use crate::problem::{Code, Problem};
use crate::serve::{Call, Content, Outcome, Reply};

pub(super) fn health(_: &Call) -> Outcome {
    Reply::ok(&HealthStatus { status: "ok" })
}

pub(super) async fn ready(call: Call) -> Outcome {
    call.shared.hub.ready().await?;
    Reply::ok(&HealthStatus { status: "ok" })
}

pub(super) async fn app_health(call: Call) -> Outcome {
    let health = call.shared.hub.health().await?;
    let number = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
    Reply::ok(&AppHealthList {
        apps: health
            .apps
            .iter()
            .map(|it| AppHealthView {
                provider: it.provider().to_owned(),
                app: it.app().as_str().to_owned(),
                connections: it.connections.clone(),
                is_refused: it.is_refused,
                is_braked: it.is_braked,
            })
            .collect(),
        counted_all: health.counted_all,
        cached: number(health.cached),
        under_way: number(health.under_way),
        late_by_ms: u64::try_from(health.late_by.as_millis()).unwrap_or(u64::MAX),
    })
}

pub(super) fn problem(call: &Call) -> Outcome {
    let name = call.parameter("code");
    let code = Code::ALL.iter().find(|it| it.name == name);
    let code = code.ok_or_else(|| Problem::new(&Code::NOT_FOUND, "there is no such code"))?;
    Reply::ok(&ProblemDescription {
        code: code.name,
        status: code.status.as_u16(),
        title: code.title,
        action: code.action,
    })
}

pub(super) fn openapi(call: &Call) -> Outcome {
    let content = Content::Raw(call.shared.openapi.clone().into());
    let mut reply = Reply::new(http::StatusCode::OK, content);
    reply.headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    Ok(reply)
}
