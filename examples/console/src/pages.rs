//! The pages as HTML.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use serde_json::Value;

pub(crate) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css")], include_str!("style.css"))
}

pub(crate) async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript")], include_str!("live.js"))
}

/// The content of the start page.
pub(crate) struct Home<'a> {
    pub(crate) csrf: &'a str,
    /// The parameters that a callback or an action added.
    pub(crate) result: &'a BTreeMap<String, String>,
    pub(crate) connectors: &'a [Value],
    /// Connections with their explanations.
    pub(crate) cards: &'a [(Value, Value)],
    /// Accounts of the simulated providers: key and host.
    pub(crate) accounts: &'a BTreeMap<String, Vec<(String, Option<String>)>>,
}

/// Escapes text for HTML, also in attributes.
fn text(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

fn member(value: &Value, path: &str) -> String {
    text(
        value
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default(),
    )
}

fn page(title: &str, content: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <meta name=color-scheme content=\"light dark\"><title>{title}</title>\
         <link rel=stylesheet href=/style.css><script src=/live.js defer></script>\
         <main><h1>{title}</h1>{content}</main></html>"
    )
}

pub(crate) fn failure(message: &str) -> Html<String> {
    let message = text(message);
    Html(page(
        "It did not work",
        &format!("<p role=alert>{message}</p><p><a href=/>Back to the connections</a></p>"),
    ))
}

/// Returns the name of a card's state for people.
fn state(status: &str, reason: &str) -> &'static str {
    match (status, reason) {
        ("connected", _) => "Connected",
        ("degraded", _) => "Degraded",
        ("needs_reauthorization", "refresh_token_expired" | "not_refreshable") => "Expired",
        ("needs_reauthorization", _) => "Needs reauthorization",
        ("disconnected", _) => "Disconnected",
        _ => "Error",
    }
}

fn banner(result: &BTreeMap<String, String>) -> String {
    let get = |name: &str| text(result.get(name).map_or("", String::as_str));
    let message = if result.contains_key("connect") {
        match result["connect"].as_str() {
            "connected" => format!("{} is connected.", get("provider")),
            "pending" => "The account is being connected. Open this page again soon.".to_owned(),
            _ => format!(
                "The account was not connected: <code>{}</code>.",
                get("reason")
            ),
        }
    } else if result.contains_key("action") {
        format!("{}: <code>{}</code>", get("action"), get("result"))
    } else {
        return String::new();
    };
    format!("<p class=banner role=status>{message}</p>")
}

pub(crate) fn home(home: &Home<'_>) -> String {
    let mut html = banner(home.result);
    let csrf = text(home.csrf);
    html.push_str("<section aria-labelledby=own><h2 id=own>Connections</h2>");
    if home.cards.is_empty() {
        html.push_str("<p>No account is connected yet.</p>");
    }
    html.push_str("<div class=cards>");
    for (detail, explanation) in home.cards {
        html.push_str(&card(detail, explanation, &csrf));
    }
    html.push_str(
        "</div></section><section aria-labelledby=new><h2 id=new>Connect</h2><div class=cards>",
    );
    for connector in home.connectors {
        html.push_str(&connect(connector, home, &csrf));
    }
    html.push_str("</div></section>");
    page("Connections", &html)
}

fn icon(provider: &str) -> String {
    let letter = provider.chars().next().unwrap_or('?').to_ascii_uppercase();
    format!("<span class=icon aria-hidden=true>{letter}</span>")
}

fn card(detail: &Value, explanation: &Value, csrf: &str) -> String {
    let get = |path: &str| member(detail, path);
    let (id, provider) = (get("/connection/id"), get("/connection/provider"));
    let (status, reason) = (get("/connection/status"), get("/connection/reason"));
    let label = match get("/connection/account/label") {
        label if label.is_empty() => get("/connection/account/key"),
        label => label,
    };
    let mut html = format!(
        "<article class=card data-status={status}><h3>{} {label}</h3><p>{provider}</p>\
         <p><strong class=state>{}</strong> <code>{reason}</code></p>",
        icon(&provider),
        state(&status, &reason)
    );
    if let Some(cause) = explanation.pointer("/causes/0") {
        let (text, action) = (member(cause, "/text"), member(cause, "/action"));
        let _ = write!(html, "<p class=cause>{text} {action}</p>");
    }
    let _ = write!(
        html,
        "<dl><dt>Last refresh<dd><time>{}</time><dt>Next refresh<dd><time>{}</time>\
         <dt>Last check<dd>{}</dl><div class=actions>",
        get("/connection/refreshed_at"),
        get("/next_refresh_at"),
        match detail.pointer("/connection/check") {
            Some(Value::Object(check)) if check["error"].is_null() => "worked".to_owned(),
            Some(Value::Object(check)) => text(check["error"].as_str().unwrap_or_default()),
            _ => "none".to_owned(),
        }
    );
    let button = |action: &str, title: &str| {
        format!(
            "<form method=post action=\"/connections/{id}/{action}\">\
             <input type=hidden name=csrf value=\"{csrf}\">\
             <button aria-label=\"{title} {label}\">{title}</button></form>"
        )
    };
    if status != "disconnected" {
        html.push_str(&button("refresh", "Refresh"));
        html.push_str(&button("check", "Check"));
    }
    let _ = write!(
        html,
        "<form method=post action=/connect><input type=hidden name=csrf value=\"{csrf}\">\
         <input type=hidden name=provider value=\"{provider}\">\
         <input type=hidden name=reconnect value=\"{id}\">\
         <button aria-label=\"Reconnect {label}\">Reconnect</button></form>\
         <a class=button href=\"/connections/{id}/disconnect\" \
         aria-label=\"Disconnect {label}\">Disconnect</a></div></article>"
    );
    html
}

fn connect(connector: &Value, home: &Home<'_>, csrf: &str) -> String {
    let (provider, name) = (member(connector, "/provider"), member(connector, "/name"));
    let accounts = home.accounts.get(&provider);
    let mut html = format!(
        "<article class=card><h3>{} {name}</h3><form method=post action=/connect>\
         <input type=hidden name=csrf value=\"{csrf}\">\
         <input type=hidden name=provider value=\"{provider}\">",
        icon(&name)
    );
    let options = |hosts: bool| {
        let all = accounts.into_iter().flatten();
        all.fold(String::new(), |mut options, (key, host)| {
            let value = text(if hosts {
                host.as_deref().unwrap_or_default()
            } else {
                key
            });
            let _ = write!(options, "<option value=\"{value}\">{value}</option>");
            options
        })
    };
    match (connector["needs_account"] == true, accounts.is_some()) {
        (true, true) => {
            let _ = write!(
                html,
                "<p><label>Account <select name=account>{}</select></label></p>",
                options(true)
            );
        }
        (true, false) => {
            html.push_str("<p><label>Account <input name=account required></label></p>");
        }
        (false, true) => {
            let _ = write!(
                html,
                "<p><label>Signed in at {name} as <select name=signed_in>{}</select></label></p>",
                options(false)
            );
        }
        (false, false) => {}
    }
    html.push_str("<ol>");
    for step in connector["steps"].as_array().into_iter().flatten() {
        let _ = write!(html, "<li>{}</li>", text(step.as_str().unwrap_or_default()));
    }
    let _ = write!(
        html,
        "</ol><button>Connect {name}</button></form></article>"
    );
    html
}

pub(crate) fn confirm(content: &Value, csrf: &str) -> String {
    let id = member(content, "/connection/id");
    let mut html = String::from("<p>This stops:</p><ul>");
    for stop in content["stops"].as_array().into_iter().flatten() {
        let only = if stop["only_if_forgotten"] == true {
            " (only if forgotten)"
        } else {
            ""
        };
        let _ = write!(html, "<li>{}{only}</li>", member(stop, "/text"));
    }
    let _ = write!(
        html,
        "</ul><form method=post action=\"/connections/{id}/disconnect\">\
         <input type=hidden name=csrf value=\"{}\">\
         <input type=hidden name=confirmation value=\"{}\">\
         <fieldset><legend>Record</legend>\
         <label><input type=radio name=mode value=deactivate checked> Keep the record</label> \
         <label><input type=radio name=mode value=forget> Forget the record</label></fieldset>\
         <button>Disconnect</button> <a class=button href=/>Cancel</a></form>",
        text(csrf),
        member(content, "/confirmation")
    );
    page("Disconnect", &html)
}
