//! Notion's own library for JavaScript against the simulated Notion: authorization, search, data
//! sources, views, pages, blocks, comments, users, files, webhooks. The library's types judge the
//! responses of the simulator and the requests of our client.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print the counts that their claims rest on"
)]

mod calls;
mod requests;
mod webhook;

use connector_core::clock::{ManualClock, Timestamp};
use connector_notion::sim::{Consent, Simulator};
use connector_testkit::leak::canary;
use connector_tests::notion_sdk::{Collected, NotionSdk, Refusal, SimulatedConnection, TypeCheck};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::task::block_in_place;
use url::Url;

/// The library and its simulator. The tests run on several threads: while one thread waits for the
/// library, the simulator responds on another.
struct App {
    sdk: NotionSdk,
    sim: Simulator,
    token: SecretString,
    calls: usize,
}

impl App {
    /// Starts both, with a connection that the simulator issued.
    async fn new() -> Option<Self> {
        let sdk = NotionSdk::start().unwrap()?;
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let builder = Simulator::builder(clock).with_mark(canary("notion-sdk"));
        let builder = builder.with_requests_per_minute(100_000);
        let sim = builder.start().await.unwrap();
        let (token, _) = sim.authority().issue(&Simulator::bot(1), &[]).unwrap();
        Some(Self {
            sdk,
            sim,
            token,
            calls: 0,
        })
    }

    fn with<T>(
        &mut self,
        ask: impl FnOnce(&mut NotionSdk, SimulatedConnection<'_>) -> std::io::Result<T>,
    ) -> T {
        let connection = SimulatedConnection {
            token: &self.token,
            address: self.sim.server().address(),
        };
        block_in_place(|| ask(&mut self.sdk, connection)).unwrap()
    }

    fn try_call(&mut self, method: &str, args: &Value) -> Result<Value, Refusal> {
        self.calls += 1;
        self.with(|sdk, connection| sdk.call(connection, method, args))
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the callers build the arguments in place"
    )]
    fn call(&mut self, method: &str, args: Value) -> Value {
        let answer = self.try_call(method, &args);
        answer.unwrap_or_else(|refusal| panic!("{method}: {refusal:?}"))
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the callers build the arguments in place"
    )]
    fn collect(&mut self, method: &str, args: Value) -> Collected {
        let all = self.with(|sdk, connection| sdk.collect(connection, method, &args));
        let all = all.unwrap_or_else(|refusal| panic!("{method}: {refusal:?}"));
        self.calls += all.pages;
        all
    }

    fn check_types(&mut self) -> TypeCheck {
        self.with(|sdk, _| sdk.check_types())
    }

    /// Checks that the library's types accept everything that it received. Returns the number of
    /// checked values.
    fn assert_types(&mut self) -> usize {
        let check = self.check_types();
        assert!(check.errors.is_empty(), "{:#?}", check.errors);
        assert!(check.checked > 0);
        check.checked
    }

    /// Returns the code of an authorization that the signed-in user grants.
    fn authorize(&self) -> String {
        let app = self.sim.authority().app();
        let url = Url::parse_with_params(
            "https://api.notion.com/v1/oauth/authorize",
            [
                ("client_id", app.client_id()),
                ("redirect_uri", "https://app.example/callback"),
                ("response_type", "code"),
                ("owner", "user"),
                ("state", "a-state"),
            ],
        );
        let back = self.sim.authority().visit(&url.unwrap(), &Consent::Grant);
        let back = back.unwrap();
        let mut pairs = back.query_pairs();
        let (_, code) = pairs.find(|(name, _)| name == "code").unwrap();
        code.into_owned()
    }

    /// Returns arguments with the client's credentials.
    fn authenticated(&self, mut args: Value) -> Value {
        let app = self.sim.authority().app();
        args["client_id"] = app.client_id().into();
        args["client_secret"] = app.client_secret().unwrap().expose_secret().into();
        args
    }
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

fn text(content: &str) -> Value {
    json!([{ "type": "text", "text": { "content": content } }])
}
