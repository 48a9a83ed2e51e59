//! HTML pages. [`escape`] escapes every text that comes from outside.

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use connectors::shopify::models::Product;
use connectors::{Connection, Error, ErrorKind};
use secrecy::{ExposeSecret, SecretString};

use crate::session::Session;

pub(crate) const STYLE: &str = "body { font-family: sans-serif; max-width: 40em; margin: 2em auto; \
     line-height: 1.5 } code { background: #eee } button, input { font: inherit }";

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn page(title: &str, body: &str) -> Html<String> {
    let title = escape(title);
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"></head>\
         <body><h1>{title}</h1>{body}</body></html>"
    ))
}

/// The login page. `shop` is the shop that sent the person here, or empty. The form repeats `token`,
/// the value of a cookie of this browser, which a form of another site cannot know.
pub(crate) fn login(asks: bool, shop: &str, token: &SecretString) -> Html<String> {
    let password = if asks {
        "<label>Password (see the program's terminal): \
         <input name=\"password\" type=\"password\" maxlength=\"100\"></label> "
    } else {
        ""
    };
    let (shop, token) = (escape(shop), csrf(token));
    page(
        "Log in",
        &format!(
            "<p>You are Ada, of Ada's Bakery. Your application has its own login; this page is a \
             placeholder for it.</p><form method=\"post\" action=\"/login\">{password}\
             <input name=\"shop\" type=\"hidden\" value=\"{shop}\">{token}\
             <button>Log in as Ada</button></form>"
        ),
    )
}

/// The shops of Ada's Bakery, and the form that connects a shop.
pub(crate) fn start(
    session: &Session,
    connections: &[Connection],
    shop: &str,
    is_simulated: bool,
) -> Html<String> {
    let csrf = csrf(&session.csrf);
    let (shop, tenant) = (escape(shop), escape(session.tenant.as_str()));
    let shops = list(connections.iter().map(|connection| {
        format!(
            "<a href=\"/connections/{}\">{}</a>: {}",
            connection.key().id,
            escape(connection.account.host.as_deref().unwrap_or_default()),
            escape(&connection.status.to_string())
        )
    }));
    let other_side = if is_simulated {
        "<p>Or start at the shop: <a href=\"/simulator/open\">open the app from the simulated \
         shop</a>.</p>"
    } else {
        ""
    };
    page(
        "Ada's shops",
        &format!(
            "{shops}<p>You work for <code>{tenant}</code>. A shop that you connect belongs to it.</p>\
             <form method=\"post\" action=\"/shopify/connect\">{csrf}<label>Shop: \
             <input name=\"shop\" value=\"{shop}\" required maxlength=\"255\" size=\"35\"></label> \
             <button>Connect</button></form>{other_side}"
        ),
    )
}

/// A connection and its products.
pub(crate) fn connection(
    session: &Session,
    connection: &Connection,
    products: &Result<Vec<Product>, Error>,
    is_simulated: bool,
) -> Html<String> {
    let csrf = csrf(&session.csrf);
    let host = connection.account.host.as_deref().unwrap_or_default();
    let shop = format!(
        "<input name=\"shop\" type=\"hidden\" value=\"{}\">",
        escape(host)
    );
    let status = escape(&connection.status.to_string());
    let products = match products {
        Ok(products) => list(products.iter().map(|product| {
            let (title, vendor) = (escape(&product.title), escape(&product.vendor));
            format!("{title} ({vendor})")
        })),
        Err(error) => format!("<p>No products: {}.</p>", escape(error.message())),
    };
    let uninstall = if is_simulated {
        format!(
            "<form method=\"post\" action=\"/simulator/uninstall\">{csrf}{shop}\
             <button>Uninstall the app in the simulated shop</button></form>"
        )
    } else {
        String::new()
    };
    page(
        host,
        &format!(
            "<p>Status: <code>{status}</code></p>{products}\
             <form method=\"post\" action=\"/shopify/connect\">{csrf}{shop}\
             <button>Connect again</button></form>{uninstall}<p><a href=\"/\">All shops</a></p>"
        ),
    )
}

/// A list of items that are already HTML.
fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.map(|item| format!("<li>{item}</li>")).collect();
    format!("<ul>{}</ul>", items.concat())
}

fn csrf(token: &SecretString) -> String {
    format!(
        "<input name=\"csrf\" type=\"hidden\" value=\"{}\">",
        escape(token.expose_secret())
    )
}

/// Redirects the browser and sets a cookie.
pub(crate) fn redirect(to: &str, cookie: String) -> Response {
    (AppendHeaders([(SET_COOKIE, cookie)]), Redirect::to(to)).into_response()
}

/// An error page with the reason and the next step.
pub(crate) struct Refusal {
    status: StatusCode,
    title: &'static str,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, title: &'static str, message: &str) -> Self {
        Self {
            status,
            title,
            message: message.to_owned(),
        }
    }

    pub(crate) fn not_logged_in() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Not logged in",
            "you are not logged in; log in, and connect again",
        )
    }

    pub(crate) fn forged_form() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Invalid form",
            "the form does not belong to this login; reload the page",
        )
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (status, title) = match error.kind() {
            ErrorKind::CallbackRefused => (StatusCode::FORBIDDEN, "The shop was not connected"),
            ErrorKind::InvalidInput => (StatusCode::BAD_REQUEST, "Invalid input"),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "Not found"),
            ErrorKind::ConnectedElsewhere | ErrorKind::Conflict => {
                (StatusCode::CONFLICT, "Not possible now")
            }
            ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "Temporarily unavailable"),
        };
        Self::new(status, title, error.message())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = format!(
            "<p>{}.</p><p><a href=\"/\">Start again</a></p>",
            escape(&self.message)
        );
        (self.status, page(self.title, &body)).into_response()
    }
}
