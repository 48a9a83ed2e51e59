//! Sends signed webhook deliveries to a service under test, and verifies and repeats deliveries.
//!
//! ```text
//! cargo run --bin webhook -- list [provider]
//! cargo run --bin webhook -- send <provider> <topic> --to <url> [options]
//! cargo run --bin webhook -- verify <provider> <file> [--secret-env <variable>]
//! cargo run --bin webhook -- replay <file> --to <url>
//! ```
//!
//! The deliveries have the form and the signature of the provider. Options of `send`:
//!
//! | Option | Default |
//! |---|---|
//! | `--secret-env <variable>`: the environment variable with the secret | an example secret |
//! | `--account <account>`: the shop, the bot, the base or the subscription | an example account |
//! | `--channel <id>`: the channel of Airtable or Google Drive | an example channel |
//! | `--id <number>`: the number in the delivery's id, to send a delivery twice | a new number |
//! | `--body <file>`: the body | an example body |
//! | `--save <file>`: also saves the delivery, for `verify` and `replay` | |
//!
//! See docs/receiving-webhooks.md.

#![expect(clippy::print_stdout, reason = "the program prints its results")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use async_trait::async_trait;
use bytes::Bytes;
use connector_airtable::sim as airtable_sim;
use connector_amazon_spapi::sim as amazon_sim;
use connector_examples::{Outcome, variable};
use connector_gdrive::sim as gdrive_sim;
use connector_notion::sim as notion_sim;
use connector_shopify::sim as shopify_sim;
use connector_zapier::sim as zapier_sim;
use connectors::airtable::{Airtable, AirtableConfig};
use connectors::amazon_spapi::flows::BusSecret;
use connectors::amazon_spapi::models::notification::Notification;
use connectors::clock::{Clock, SystemClock, Timestamp};
use connectors::gdrive::{GoogleDrive, GoogleDriveConfig};
use connectors::http::{
    HttpClient, HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connectors::notion::models::EVENT_TYPES;
use connectors::notion::{Notion, NotionConfig};
use connectors::provider::webhook::{Incoming, WebhookEndpoint};
use connectors::provider::{Connector, Context};
use connectors::shopify::{ShopDomain, Shopify, ShopifyConfig, WEBHOOK_TOPICS};
use connectors::zapier::{Zapier, ZapierConfig};
use connectors::{App, AppKey, Result};
use http::header::{HOST, HeaderName, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpStream;

const USAGE: &str = "use: list [provider] | send <provider> <topic> --to <url> | verify <provider> \
                     <file> | replay <file> --to <url>";
/// The secret for tests. Airtable's secrets are base64.
const EXAMPLE_SECRET: &str = "ZXhhbXBsZS1zZWNyZXQ=";
/// The header with the secret of an event bus.
const BUS_HEADER: HeaderName = HeaderName::from_static("x-bus-secret");
/// Maximum size of a saved delivery.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// Topics that the program knows. `send` accepts other topics too.
fn topics(provider: &str) -> Outcome<Vec<&'static str>> {
    let lists: &[&[&str]] = match provider {
        "shopify" => &[WEBHOOK_TOPICS],
        "notion" => &[EVENT_TYPES],
        "airtable" => &[&["ping"]],
        "amazon-spapi" => &[&[
            "ACCOUNT_STATUS_CHANGED",
            "BRANDED_ITEM_CONTENT_CHANGE",
            "ITEM_PRODUCT_TYPE_CHANGE",
            "LISTINGS_ITEM_ISSUES_CHANGE",
            "LISTINGS_ITEM_MFN_QUANTITY_CHANGE",
            "LISTINGS_ITEM_STATUS_CHANGE",
            "ORDER_CHANGE",
            "PRODUCT_TYPE_DEFINITIONS_CHANGE",
            "REPORT_PROCESSING_FINISHED",
        ]],
        "google-drive" => &[&[
            "sync", "add", "remove", "update", "trash", "untrash", "change",
        ]],
        "zapier" => &[&["lead.created"]],
        _ => return Err(format!("unknown provider; known: {}", PROVIDERS.join(", ")).into()),
    };
    Ok(lists.concat())
}

const PROVIDERS: [&str; 6] = [
    "shopify",
    "notion",
    "airtable",
    "amazon-spapi",
    "google-drive",
    "zapier",
];

/// The options of a command.
struct Options(BTreeMap<String, String>);

impl Options {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn target(&self) -> Outcome<Uri> {
        Ok(self
            .get("to")
            .ok_or("the option --to is missing")?
            .parse()?)
    }

    fn secret(&self) -> Outcome<String> {
        let Some(name) = self.get("secret-env") else {
            return Ok(EXAMPLE_SECRET.to_owned());
        };
        let secret = variable(name).ok_or_else(|| format!("the variable {name} is not set"))?;
        Ok(secret
            .into_string()
            .map_err(|_| format!("the variable {name} is not text"))?)
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let (mut words, mut options) = (Vec::new(), BTreeMap::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            Some(name) => {
                let value = arguments.next();
                let value = value.ok_or_else(|| format!("the option --{name} has no value"))?;
                options.insert(name.to_owned(), value);
            }
            None => words.push(argument),
        }
    }
    let options = Options(options);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => PROVIDERS.iter().try_for_each(|it| list(it)),
        ["list", provider] => list(provider),
        ["send", provider, topic] => {
            topics(provider)?;
            let request = sign(provider, topic, &options)?;
            if let Some(file) = options.get("save") {
                std::fs::write(file, write(&request)?)?;
            }
            post(&options.target()?, request).await
        }
        ["verify", provider, file] => {
            topics(provider)?;
            verify(provider, &read(file)?, &options).await
        }
        ["replay", file] => post(&options.target()?, read(file)?).await,
        _ => Err(USAGE.into()),
    }
}

fn list(provider: &str) -> Outcome {
    for topic in topics(provider)? {
        println!("{provider} {topic}");
    }
    Ok(())
}

/// Returns a delivery of the provider.
fn sign(provider: &str, topic: &str, options: &Options) -> Outcome<Request<Bytes>> {
    let now = SystemClock::new().now();
    let number = match options.get("id") {
        Some(number) => number.parse()?,
        None => u64::try_from(now.as_unix_millis())?,
    };
    let secret = options.secret()?;
    let account = |example| options.get("account").unwrap_or(example).to_owned();
    let channel = |example| options.get("channel").unwrap_or(example).to_owned();
    let body = match options.get("body") {
        Some(file) => Some(Bytes::from(std::fs::read(file)?)),
        None => None,
    };
    let body = |example: serde_json::Value| body.unwrap_or_else(|| example.to_string().into());
    Ok(match provider {
        "shopify" => {
            let shop = ShopDomain::parse(&account("example-shop.myshopify.com"))?;
            let body = body(shopify_body(topic, &shop, number, now));
            let headers = shopify_sim::WebhookHeaders::Prefixed;
            shopify_sim::sign_webhook(&secret, &shop, (topic, number), now, body, headers)?
        }
        "notion" => {
            let kind = topic.split('.').next().unwrap_or_default();
            let body = body(json!({
                "id": format!("00000000-0000-4000-8000-{number:012}"),
                "timestamp": now.to_string(),
                "type": topic,
                "workspace_id": "00000000-0000-4000-8000-000000000001",
                "entity": { "id": "00000000-0000-4000-8000-000000000002", "type": kind },
                "accessible_by": [
                    { "id": account("00000000-0000-4000-8000-000000000003"), "type": "bot" }
                ],
                "attempt_number": 1,
                "data": {},
            }));
            notion_sim::sign(&secret, body)?
        }
        "airtable" => {
            let (base, webhook) = (account("app00000000000001"), channel("ach00000000000001"));
            let example = airtable_sim::ping_body(&base, &webhook, &now.to_string());
            let body = body(serde_json::from_slice(&example)?);
            airtable_sim::sign_ping(&secret, body)?
        }
        "amazon-spapi" => {
            let payload = body(json!({ "OrderChangeNotification": {
                "NotificationLevel": "OrderLevel", "AmazonOrderId": "900-0000000-0000001",
                "OrderChangeType": "OrderStatusChange",
            } }));
            amazon_sim::bus_request(
                (BUS_HEADER, &secret),
                (topic, &format!("notification-{number}")),
                &account("subscription-1"),
                now,
                &serde_json::from_slice(&payload)?,
            )?
        }
        "google-drive" => gdrive_sim::sign_notification(
            Some(&secret),
            &channel("00000000000000000000000000000001"),
            (
                "resource-1",
                "https://www.googleapis.com/drive/v3/changes?alt=json",
            ),
            number,
            topic,
        ),
        _ => {
            let body = body(json!({ "type": topic, "name": "Example" }));
            let mut request = zapier_sim::call(zapier_sim::CallSecret::Header, &secret, body)?;
            let headers = request.headers_mut();
            headers.insert("x-event-type", HeaderValue::from_str(topic)?);
            headers.insert("x-event-id", HeaderValue::from(number));
            request
        }
    })
}

fn shopify_body(topic: &str, shop: &ShopDomain, number: u64, now: Timestamp) -> serde_json::Value {
    let customer = json!({ "id": 191_167, "email": "customer@example.com", "phone": null });
    let kind = match topic.split('/').next() {
        Some("orders") => "Order",
        Some("products") => "Product",
        _ => "Shop",
    };
    match topic {
        "customers/data_request" => json!({
            "shop_id": 954_889, "shop_domain": shop.as_str(), "customer": customer,
            "orders_requested": [299_938], "data_request": { "id": number },
        }),
        "customers/redact" => json!({
            "shop_id": 954_889, "shop_domain": shop.as_str(), "customer": customer,
            "orders_to_redact": [299_938],
        }),
        "shop/redact" => json!({ "shop_id": 954_889, "shop_domain": shop.as_str() }),
        "products/delete" => json!({ "id": number }),
        _ => json!({
            "id": number,
            "admin_graphql_api_id": format!("gid://shopify/{kind}/{number}"),
            "updated_at": now.to_string(),
        }),
    }
}

/// Returns the text of a saved delivery: the headers, an empty line, and the body.
fn write(request: &Request<Bytes>) -> Outcome<Vec<u8>> {
    let mut head = String::new();
    for (name, value) in request.headers() {
        write!(head, "{name}: {}\r\n", value.to_str()?)?;
    }
    head.push_str("\r\n");
    Ok([head.as_bytes(), request.body()].concat())
}

/// Reads a saved delivery.
fn read(file: &str) -> Outcome<Request<Bytes>> {
    if std::fs::metadata(file)?.len() > MAX_FILE {
        return Err("the file is larger than 32 MiB".into());
    }
    let saved = std::fs::read(file)?;
    let end = saved.windows(4).position(|it| it == b"\r\n\r\n");
    let end = end.ok_or("the file has no empty line after the headers")?;
    let mut request = Request::post("/").body(Bytes::copy_from_slice(&saved[end + 4..]))?;
    for line in std::str::from_utf8(&saved[..end])?.split("\r\n") {
        let (name, value) = line.split_once(": ").ok_or("a header has no value")?;
        let name = HeaderName::try_from(name)?;
        request
            .headers_mut()
            .append(name, HeaderValue::from_str(value)?);
    }
    Ok(request)
}

/// Sends a delivery, and prints the status of the response. `http` is meant for servers on the same
/// machine.
async fn post(target: &Uri, mut request: Request<Bytes>) -> Outcome {
    let authority = target.authority().ok_or("the URL has no host")?.clone();
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = target.clone();
    let status = if target.scheme_str() == Some("https") {
        let client = HttpClient::builder().build()?;
        client.send(OutboundRequest::new(request)).await?.status()
    } else {
        let port = authority.port_u16().unwrap_or(80);
        let host = authority.host().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(HOST, host);
        let path = target.path_and_query().map_or("/", |it| it.as_str());
        *request.uri_mut() = path.parse()?;
        sender.send_request(request.map(Full::new)).await?.status()
    };
    println!("response: {status}");
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    Err("the service did not accept the delivery".into())
}

/// Verification sends no request.
#[derive(Debug)]
struct NoNetwork;

#[async_trait]
impl HttpTransport for NoNetwork {
    async fn send(
        &self,
        _: OutboundRequest,
    ) -> std::result::Result<http::Response<Bytes>, TransportError> {
        Err(TransportError::new(TransportErrorKind::Connect, Sent::No))
    }
}

/// Verifies a delivery as a hub does, and prints its events.
async fn verify(provider: &str, request: &Request<Bytes>, options: &Options) -> Outcome {
    let secret = SecretString::from(options.secret()?);
    if provider == "amazon-spapi" {
        BusSecret::new(BUS_HEADER, secret).check(request.headers())?;
        let notification = Notification::parse(request.body())?;
        println!(
            "verified: {} {}",
            notification.notification_type.as_str(),
            notification.id()
        );
        return Ok(());
    }
    // The settings of the app itself are not needed.
    let settings = |name: &'static str| -> Result<Option<SecretString>> {
        Ok(match name {
            _ if name.ends_with("REDIRECT_URI") => Some("https://app.example/callback".into()),
            _ if name.ends_with("CLIENT_ID") || name.ends_with("CLIENT_SECRET") => {
                Some("example".into())
            }
            _ => None,
        })
    };
    let connector: Box<dyn Connector> = match provider {
        "shopify" => Box::new(Shopify::new(ShopifyConfig::from_variables(settings)?)),
        "notion" => Box::new(Notion::new(NotionConfig::from_variables(settings)?)),
        "airtable" => Box::new(Airtable::new(AirtableConfig::from_variables(settings)?)),
        "google-drive" => Box::new(GoogleDrive::new(GoogleDriveConfig::from_variables(
            settings,
        )?)),
        _ => Box::new(Zapier::new(ZapierConfig::from_variables(settings)?)),
    };
    let app = App::new("example")
        .with_client_secret(secret.clone())
        .with_webhook_secret(secret.clone());
    let (key, secrets, clock) = (AppKey::default(), [secret], SystemClock::new());
    let endpoint = match provider {
        "shopify" | "notion" => WebhookEndpoint::of_app(&key),
        _ => WebhookEndpoint::of_connection(&key, &secrets),
    };
    let cx = Context::new(&app, &NoNetwork, &clock);
    let Incoming::Accept { events, .. } = connector.verify_webhook(&cx, &endpoint, request).await?
    else {
        println!("verified: a handshake");
        return Ok(());
    };
    for event in events {
        println!(
            "verified: {} {} account {:?}",
            event.topic,
            event.delivery_id.as_deref().unwrap_or("without an id"),
            event.account
        );
    }
    Ok(())
}
