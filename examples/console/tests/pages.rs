//! A person uses the console with a browser without JavaScript: connects accounts of every simulated
//! provider on its consent page, denies, reconnects, refreshes, checks, and disconnects.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use connector_console::{Console, Settings};
use connector_testkit::leak::canary_key;
use connector_testkit::trace;
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

const ORIGIN: &str = "http://127.0.0.1:8080";

struct Browser {
    console: Router,
    cookies: BTreeMap<String, String>,
    _directory: tempfile::TempDir,
    _console: Console,
}

struct Page {
    status: StatusCode,
    location: Option<Url>,
    text: String,
}

impl Browser {
    async fn open() -> Self {
        trace::init();
        let directory = tempfile::tempdir().unwrap();
        let console = Console::start(Settings {
            origin: ORIGIN.parse().unwrap(),
            database: directory.path().join("console.db"),
            keys: canary_key(),
        })
        .await
        .unwrap();
        Self {
            console: console.router(),
            cookies: BTreeMap::new(),
            _directory: directory,
            _console: console,
        }
    }

    /// Loads a page and follows redirects within the console.
    async fn go(&mut self, method: Method, url: &Url, form: &[(&str, &str)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut page = if url.port() == Some(8080) {
            self.send(method, url, body).await
        } else {
            post_or_get(method, url, &body).await
        };
        for _ in 0..5 {
            let Some(location) = page.location.clone() else {
                return page;
            };
            if location.port() != Some(8080) {
                return page;
            }
            page = self.send(Method::GET, &location, String::new()).await;
        }
        panic!("the redirects do not end");
    }

    async fn send(&mut self, method: Method, url: &Url, body: String) -> Page {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let path = &url.as_str()[ORIGIN.len()..];
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "127.0.0.1:8080")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, cookies.join("; "))
            .body(Body::from(body))
            .unwrap();
        let response = self.console.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for line in parts.headers.get_all(SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = parts.headers.get(LOCATION);
        let location = location.map(|it| url.join(it.to_str().unwrap()).unwrap());
        let text = body.collect().await.unwrap().to_bytes();
        Page {
            status: parts.status,
            location,
            text: String::from_utf8(text.to_vec()).unwrap(),
        }
    }

    async fn home(&mut self) -> Page {
        self.go(Method::GET, &ORIGIN.parse().unwrap(), &[]).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let csrf = field(&self.home().await.text, "csrf");
        let form: Vec<_> = form
            .iter()
            .copied()
            .chain([("csrf", csrf.as_str())])
            .collect();
        let url = Url::parse(ORIGIN).unwrap().join(path).unwrap();
        self.go(Method::POST, &url, &form).await
    }

    /// Submits a connect form, and the provider's consent page.
    async fn connect(&mut self, form: &[(&str, &str)], decision: &str) -> Page {
        let page = self.post("/connect", form).await;
        let consent = page.location.unwrap_or_else(|| panic!("{}", page.text));
        let page = self.go(Method::GET, &consent, &[]).await;
        assert!(page.text.contains("<h1>Simulated "), "{}", page.text);
        let scopes: Vec<String> = page
            .text
            .split("name=scope value=\"")
            .skip(1)
            .map(|it| it.split('"').next().unwrap().to_owned())
            .collect();
        let mut form: Vec<(&str, &str)> = scopes.iter().map(|it| ("scope", it.as_str())).collect();
        form.push(("decision", decision));
        let answered = self.go(Method::POST, &consent, &form).await;
        match answered.location {
            Some(callback) => self.go(Method::GET, &callback, &[]).await,
            None => answered,
        }
    }
}

/// Returns the value of a form field.
fn field(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("name={name} value=\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Sends a request to a simulator, which listens on this machine.
async fn post_or_get(method: Method, url: &Url, body: &str) -> Page {
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let path = &url[url::Position::BeforePath..];
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let location = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("location")
            .then(|| Url::parse(value).unwrap())
    });
    Page {
        status,
        location,
        text: text.to_owned(),
    }
}

#[tokio::test]
async fn every_simulated_provider_connects_through_its_consent_page() {
    let mut browser = Browser::open().await;
    let mut connected = 0;
    for form in [
        vec![("provider", "airtable")],
        vec![("provider", "notion")],
        vec![("provider", "google-drive")],
        vec![("provider", "shopify"), ("account", "first.myshopify.com")],
        vec![("provider", "shopify"), ("account", "second.myshopify.com")],
    ] {
        let page = browser.connect(&form, "approve").await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(
            page.text.contains("is connected."),
            "{form:?}: {}",
            page.text
        );
        connected += 1;
        assert_eq!(
            page.text.matches("data-status=connected").count(),
            connected
        );
    }
    println!("connected through consent pages: {connected}");
}

#[tokio::test]
async fn a_card_follows_its_connection() {
    let mut browser = Browser::open().await;
    let form = [
        ("provider", "airtable"),
        ("signed_in", "usrExampleAda00001"),
    ];
    let denied = browser.connect(&form, "deny").await;
    assert!(
        denied.text.contains("<code>consent_denied</code>"),
        "{}",
        denied.text
    );
    assert!(denied.text.contains("No account is connected yet."));
    browser.connect(&form, "approve").await;
    let other = [
        ("provider", "airtable"),
        ("signed_in", "usrExampleBob00002"),
    ];
    let page = browser.connect(&other, "approve").await;
    assert_eq!(page.text.matches("data-status=connected").count(), 2);
    assert!(!page.text.contains("<script>") && page.text.contains("lang=en"));

    let id = page.text.split("action=\"/connections/").nth(1).unwrap();
    let id = id.split('/').next().unwrap().to_owned();
    let mut steps = 0;
    for (action, result) in [("refresh", "done"), ("check", "works")] {
        let page = browser
            .post(&format!("/connections/{id}/{action}"), &[])
            .await;
        assert!(
            page.text
                .contains(&format!("{action}: <code>{result}</code>")),
            "{}",
            page.text
        );
        steps += 1;
    }
    let url = Url::parse(&format!("{ORIGIN}/connections/{id}/disconnect")).unwrap();
    let page = browser.go(Method::GET, &url, &[]).await;
    assert!(page.text.contains("This stops:"));
    let confirmation = field(&page.text, "confirmation");
    let form = [
        ("confirmation", confirmation.as_str()),
        ("mode", "deactivate"),
    ];
    let page = browser.post(url.path(), &form).await;
    assert!(
        page.text.contains("disconnect: <code>done</code>"),
        "{}",
        page.text
    );
    assert_eq!(page.text.matches("data-status=connected").count(), 1);
    assert_eq!(page.text.matches("data-status=disconnected").count(), 1);
    let stale = browser
        .post(url.path(), &[("confirmation", "x"), ("mode", "forget")])
        .await;
    assert!(stale.text.contains("<code>confirmation_stale</code>"));
    println!("actions: {}", steps + 2);
}

#[tokio::test]
async fn forged_forms_and_foreign_names_are_refused() {
    let mut browser = Browser::open().await;
    browser.home().await;
    let connect: Url = format!("{ORIGIN}/connect").parse().unwrap();
    let mut refused = 0;
    for csrf in ["", "x"] {
        let form = [("provider", "airtable"), ("csrf", csrf)];
        let page = browser.go(Method::POST, &connect, &form).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        refused += 1;
    }
    let csrf = field(&browser.home().await.text, "csrf");
    browser.cookies.clear();
    let form = [("provider", "airtable"), ("csrf", csrf.as_str())];
    let page = browser.go(Method::POST, &connect, &form).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let request = Request::get("/").header(HOST, "rebound.example");
    let request = request.body(Body::empty()).unwrap();
    let answer = browser.console.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    println!("requests refused: {}", refused + 2);
}
