//! Rate limits as data: one test instance per provider, based on its documentation, and invalid
//! descriptions.

use std::time::Duration;

use connector_core::ErrorKind;
use connector_core::clock::Timestamp;
use connector_core::http::limit::{Draw, Draws, Limit};
use connector_core::provider::Description;
use serde_json::{Value, json};

use super::isolation::{Read, World, Write};
use super::{HOUR, seconds};
use crate::simulation::START;

fn description(limits: &Value) -> Result<Description, String> {
    let description = json!({
        "provider": "acme",
        "name": "Acme",
        "api": ["https://acme.example"],
        "limits": limits,
    });
    serde_json::from_value(description).map_err(|error| error.to_string())
}

fn limits(limits: &Value) -> Vec<Limit> {
    let description = description(limits).unwrap();
    description.validate().unwrap();
    description.limits
}

struct Instance {
    provider: &'static str,
    limits: Value,
    draws: Draws,
    /// Number of calls that are sent before the last of them receives the response below.
    calls: u32,
    status: u16,
    headers: Vec<(&'static str, String)>,
    /// Expected wait of the next call of the same kind.
    waits: f64,
    /// A call under another limit that must be sent at once, or that must wait as long if accounts
    /// share the limit: its account, whether the operation is the same, its draws, and its wait.
    beside: (&'static str, bool, Draws, f64),
}

fn unix(after: u64) -> String {
    let at = Timestamp::parse(START).unwrap().after(seconds(after));
    at.as_unix_seconds().to_string()
}

fn headers<const N: usize>(headers: [(&'static str, &str); N]) -> Vec<(&'static str, String)> {
    let owned = headers.map(|(name, value)| (name, value.to_owned()));
    owned.into()
}

fn instances() -> Vec<Instance> {
    let all = Draws::default;
    let of = |limit| Draws::default().with(Draw::new(limit));
    let keyed = |limit, key: &'static str| Draws::default().with(Draw::new(limit).with_key(key));
    let instance = |provider, limits, draws, status, headers, waits, beside| Instance {
        provider,
        limits,
        draws,
        calls: 1,
        status,
        headers,
        waits,
        beside,
    };
    let discord = json!([
        { "name": "global", "per": "app",
          "model": { "bucket": { "capacity": 50, "per_second": 50 } },
          "learn": { "refused": { "header": "x-ratelimit-scope", "values": ["global"] } } },
        { "name": "route", "per": "operation", "model": "learned",
          "learn": {
            "limit": "x-ratelimit-limit", "remaining": "x-ratelimit-remaining",
            "reset": { "header": "x-ratelimit-reset-after", "format": "seconds" },
            "bucket": "x-ratelimit-bucket",
            "refused": { "header": "x-ratelimit-scope", "values": ["user", "shared"] } } },
    ]);
    let stripe = json!([
        { "name": "global", "per": "account",
          "model": { "bucket": { "capacity": 100, "per_second": 100 } }, "penalty_seconds": 2,
          "learn": { "refused": { "header": "stripe-rate-limited-reason",
                                  "values": ["global-rate"] } } },
        { "name": "endpoint", "per": "operation",
          "model": { "bucket": { "capacity": 25, "per_second": 25 } }, "penalty_seconds": 2,
          "learn": { "refused": { "header": "stripe-rate-limited-reason",
                                  "values": ["endpoint-rate"] } } },
        { "name": "concurrency", "per": "account", "model": { "concurrent": { "most": 25 } },
          "learn": { "refused": { "header": "stripe-rate-limited-reason",
                                  "values": ["global-concurrency", "endpoint-concurrency"] } } },
    ]);
    let github = json!([
        { "name": "core", "per": "account",
          "model": { "window": { "requests": 5000, "seconds": 3600 } },
          "learn": {
            "limit": "x-ratelimit-limit", "remaining": "x-ratelimit-remaining",
            "reset": { "header": "x-ratelimit-reset", "format": "unix_seconds" },
            "when": { "header": "x-ratelimit-resource", "values": ["core"] } } },
        { "name": "search", "per": "operation",
          "model": { "window": { "requests": 30, "seconds": 60 } },
          "learn": {
            "limit": "x-ratelimit-limit", "remaining": "x-ratelimit-remaining",
            "reset": { "header": "x-ratelimit-reset", "format": "unix_seconds" },
            "when": { "header": "x-ratelimit-resource", "values": ["search"] } } },
        { "name": "secondary", "per": "account",
          "model": { "bucket": { "capacity": 900, "per_second": 15 } } },
        { "name": "concurrent", "per": "account", "model": { "concurrent": { "most": 100 } } },
    ]);
    let zapier = json!([
        { "name": "partner", "per": "app",
          "model": { "window": { "requests": 150, "seconds": 60 } }, "penalty_seconds": 60,
          "learn": {
            "limit": "x-ratelimit-limit", "remaining": "x-ratelimit-remaining",
            "reset": { "header": "x-ratelimit-reset", "format": "seconds_or_unix_seconds" } } },
    ]);
    let mut gmail = instance(
        "google-workspace",
        json!([
            { "name": "gmail.project", "per": "app",
              "model": { "window": { "requests": 1_200_000, "seconds": 60 } } },
            { "name": "gmail.user", "per": "account",
              "model": { "window": { "requests": 6000, "seconds": 60 } } },
        ]),
        Draws::cost(100),
        200,
        Vec::new(),
        60.0,
        ("b", true, Draws::cost(100), 0.0),
    );
    gmail.calls = 60;
    vec![
        instance(
            "airtable",
            json!([{ "name": "base", "per": "resource", "penalty_seconds": 30,
                     "model": { "bucket": { "capacity": 5, "per_second": 5 } } }]),
            keyed("base", "app1"),
            429,
            Vec::new(),
            30.0,
            ("a", true, keyed("base", "app2"), 0.0),
        ),
        instance(
            "amazon-spapi",
            json!([{ "name": "reports.create", "per": "operation",
                     "model": { "bucket": { "capacity": 1, "per_second": 0.5 } },
                     "learn": { "rate": "x-amzn-ratelimit-limit" } }]),
            keyed("reports.create", "GET_SALES_AND_TRAFFIC_REPORT"),
            200,
            headers([("x-amzn-ratelimit-limit", "0.0167")]),
            59.88,
            ("a", true, keyed("reports.create", "GET_ORDERS"), 0.0),
        ),
        instance(
            "amazon-spapi, refused",
            json!([{ "name": "reports.create", "per": "operation",
                     "model": { "bucket": { "capacity": 15, "per_second": 0.0167 } },
                     "learn": { "rate": "x-amzn-ratelimit-limit" } }]),
            keyed("reports.create", "GET_SALES_AND_TRAFFIC_REPORT"),
            429,
            Vec::new(),
            // One unit at the described rate, reduced by a fifth.
            74.85,
            (
                "b",
                true,
                keyed("reports.create", "GET_SALES_AND_TRAFFIC_REPORT"),
                0.0,
            ),
        ),
        instance(
            "discord",
            discord.clone(),
            keyed("route", "channel-1"),
            200,
            headers([
                ("x-ratelimit-limit", "5"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1470173023.123"),
                ("x-ratelimit-reset-after", "12.345"),
                ("x-ratelimit-bucket", "abcd1234"),
            ]),
            12.345,
            ("a", true, keyed("route", "channel-2"), 0.0),
        ),
        instance(
            "discord, everywhere",
            discord,
            keyed("route", "channel-1"),
            429,
            headers([
                ("retry-after", "65"),
                ("x-ratelimit-global", "true"),
                ("x-ratelimit-scope", "global"),
            ]),
            65.0,
            ("b", false, keyed("route", "channel-2"), 65.0),
        ),
        instance(
            "github",
            github.clone(),
            all(),
            403,
            headers([
                ("x-ratelimit-limit", "5000"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", &unix(600)),
                ("x-ratelimit-resource", "core"),
            ]),
            600.0,
            (
                "a",
                false,
                Draws::none()
                    .with(Draw::new("search"))
                    .with(Draw::new("secondary")),
                0.0,
            ),
        ),
        instance(
            "github, secondary",
            github,
            Draws::default().with(Draw::new("secondary").with_cost(5)),
            429,
            headers([
                ("retry-after", "60"),
                ("x-ratelimit-limit", "5000"),
                ("x-ratelimit-remaining", "4990"),
                ("x-ratelimit-reset", &unix(600)),
                ("x-ratelimit-resource", "core"),
            ]),
            60.0,
            ("a", false, Draws::none().with(Draw::new("core")), 0.0),
        ),
        instance(
            "google-drive",
            json!([
                { "name": "project", "per": "app",
                  "model": { "window": { "requests": 1_000_000, "seconds": 60 } } },
                { "name": "user", "per": "account",
                  "model": { "window": { "requests": 325_000, "seconds": 60 } } },
            ]),
            Draws::cost(100),
            429,
            headers([("retry-after", "20")]),
            20.0,
            ("b", true, Draws::cost(100), 0.0),
        ),
        gmail,
        instance(
            "hubspot",
            json!([{ "name": "ten-secondly", "per": "account",
                     "model": { "window": { "requests": 110, "seconds": 10 } },
                     "learn": {
                        "limit": "x-hubspot-ratelimit-max",
                        "remaining": "x-hubspot-ratelimit-remaining",
                        "window": { "header": "x-hubspot-ratelimit-interval-milliseconds",
                                    "format": "milliseconds" } } }]),
            all(),
            200,
            headers([
                ("x-hubspot-ratelimit-max", "110"),
                ("x-hubspot-ratelimit-remaining", "0"),
                ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
            ]),
            10.0,
            ("b", true, all(), 0.0),
        ),
        instance(
            "instagram",
            json!([{ "name": "business", "per": "account",
                     "model": { "bucket": { "capacity": 200, "per_second": 0.0556 } },
                     "learn": { "usage": {
                        "header": "x-business-use-case-usage",
                        "percent": ["/*/*/call_count", "/*/*/total_cputime", "/*/*/total_time"],
                        "regain_minutes": "/*/*/estimated_time_to_regain_access" } } }]),
            all(),
            200,
            headers([(
                "x-business-use-case-usage",
                r#"{"17841":[{"type":"instagram","call_count":100,"estimated_time_to_regain_access":3}]}"#,
            )]),
            180.0,
            ("b", true, all(), 0.0),
        ),
        instance(
            "meta, app usage",
            json!([{ "name": "app", "per": "app",
                     "model": { "bucket": { "capacity": 100, "per_second": 0.05 } },
                     "learn": { "usage": {
                        "header": "x-app-usage",
                        "percent": ["/call_count", "/total_cputime", "/total_time"] } } }]),
            all(),
            200,
            headers([(
                "x-app-usage",
                r#"{"call_count":28,"total_time":100,"total_cputime":25}"#,
            )]),
            // The other call takes the first unit that is restored.
            40.0,
            ("b", true, all(), 20.0),
        ),
        instance(
            "microsoft-365",
            json!([
                { "name": "app", "per": "app",
                  "model": { "window": { "requests": 130_000, "seconds": 10 } } },
                { "name": "mailbox", "per": "account",
                  "model": { "window": { "requests": 10_000, "seconds": 600 } },
                  "learn": {
                    "limit": "ratelimit-limit", "remaining": "ratelimit-remaining",
                    "reset": { "header": "ratelimit-reset", "format": "seconds" } } },
                { "name": "mailbox-calls", "per": "account",
                  "model": { "concurrent": { "most": 4 } } },
            ]),
            all(),
            429,
            headers([("retry-after", "17")]),
            17.0,
            ("b", true, all(), 0.0),
        ),
        instance(
            "notion",
            json!([{ "name": "connection", "per": "account",
                     "model": { "window": { "requests": 180, "seconds": 60 } } }]),
            all(),
            429,
            headers([("retry-after", "42")]),
            42.0,
            ("b", true, all(), 0.0),
        ),
        instance(
            "onlyfans",
            json!([{ "name": "minute", "per": "account", "penalty_seconds": 60,
                     "model": { "window": { "requests": 60, "seconds": 60 } } }]),
            all(),
            429,
            Vec::new(),
            60.0,
            ("b", true, all(), 0.0),
        ),
        instance(
            "reddit",
            json!([{ "name": "client", "per": "app",
                     "model": { "window": { "requests": 1000, "seconds": 600 } },
                     "learn": {
                        "remaining": "x-ratelimit-remaining",
                        "reset": { "header": "x-ratelimit-reset", "format": "seconds" } } }]),
            all(),
            200,
            headers([
                ("x-ratelimit-used", "1000"),
                ("x-ratelimit-remaining", "0.0"),
                ("x-ratelimit-reset", "137"),
            ]),
            137.0,
            ("b", true, all(), 137.0),
        ),
        instance(
            "shopify, REST",
            json!([{ "name": "calls", "per": "account",
                     "model": { "bucket": { "capacity": 40, "per_second": 2 } },
                     "learn": { "used_of_limit": "x-shopify-shop-api-call-limit" } }]),
            all(),
            200,
            headers([("x-shopify-shop-api-call-limit", "40/40")]),
            0.5,
            ("b", true, all(), 0.0),
        ),
        instance(
            "slack",
            json!([
                { "name": "tier-3", "per": "operation",
                  "model": { "window": { "requests": 50, "seconds": 60 } } },
                { "name": "channel", "per": "resource",
                  "model": { "bucket": { "capacity": 3, "per_second": 1 } } },
            ]),
            of("tier-3"),
            429,
            headers([("retry-after", "30")]),
            30.0,
            ("a", false, of("tier-3"), 0.0),
        ),
        instance(
            "slack, a channel",
            json!([
                { "name": "special", "per": "operation",
                  "model": { "window": { "requests": 100, "seconds": 60 } } },
                { "name": "channel", "per": "resource",
                  "model": { "bucket": { "capacity": 3, "per_second": 1 } } },
            ]),
            of("special").with(Draw::new("channel").with_key("C1")),
            429,
            headers([("retry-after", "9")]),
            9.0,
            (
                "a",
                true,
                of("special").with(Draw::new("channel").with_key("C2")),
                0.0,
            ),
        ),
        instance(
            "stripe",
            stripe.clone(),
            of("endpoint"),
            429,
            headers([("stripe-rate-limited-reason", "endpoint-rate")]),
            2.0,
            ("a", false, of("endpoint"), 0.0),
        ),
        instance(
            "stripe, everywhere",
            stripe,
            of("endpoint"),
            429,
            headers([("stripe-rate-limited-reason", "global-rate")]),
            2.0,
            ("a", false, of("endpoint"), 2.0),
        ),
        instance(
            "tiktok",
            json!([{ "name": "endpoint", "per": "operation", "penalty_seconds": 60,
                     "model": { "window": { "requests": 600, "seconds": 60 } },
                     "learn": { "reset": { "header": "x-ratelimit-reset",
                                           "format": "unix_seconds" } } }]),
            of("endpoint"),
            429,
            Vec::new(),
            60.0,
            ("a", false, of("endpoint"), 0.0),
        ),
        instance(
            "zapier",
            zapier.clone(),
            all(),
            200,
            headers([
                ("x-ratelimit-limit", "150"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", &unix(33)),
            ]),
            33.0,
            ("b", false, all(), 33.0),
        ),
        instance(
            "zapier, seconds",
            zapier,
            all(),
            200,
            headers([
                ("x-ratelimit-limit", "150"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "33"),
            ]),
            33.0,
            ("b", false, all(), 33.0),
        ),
        instance(
            "a date",
            json!([{ "name": "l", "per": "account", "model": "learned",
                     "learn": { "remaining": "x-left",
                                "reset": { "header": "x-reset", "format": "date" } } }]),
            all(),
            200,
            headers([
                ("x-left", "0"),
                ("x-reset", "Fri, 20 Nov 2026 12:01:10 GMT"),
            ]),
            70.0,
            ("b", true, all(), 0.0),
        ),
        instance(
            "a date whose clock is wrong",
            json!([{ "name": "l", "per": "account", "model": "learned",
                     "learn": { "remaining": "x-left",
                                "reset": { "header": "x-reset", "format": "date" } } }]),
            all(),
            200,
            headers([
                ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
                ("x-left", "0"),
                ("x-reset", "2026-01-01T00:01:10Z"),
            ]),
            70.0,
            ("b", true, all(), 0.0),
        ),
    ]
}

#[test]
fn limits_of_every_provider_are_data_and_are_learned_from_its_responses() {
    let instances = instances();
    let mut providers: Vec<&str> = Vec::new();
    for instance in &instances {
        let Instance {
            provider,
            limits: described,
            draws,
            calls,
            status,
            headers,
            waits,
            beside: (account, is_same, other, delay),
        } = instance;
        let world = World::new(limits(described));
        world.paths.set("a.example/x", *status, headers.clone());
        let call = Read(draws.clone(), "x");
        let session = |account| world.session(account).with_patience(2 * HOUR);
        let (at, waited) = world.clock.run(async {
            let own = session("a");
            let first = (0..*calls).map(|_| own.send(&call));
            let _ = futures_util::future::join_all(first).await;
            world.paths.set("a.example/x", 200, Vec::new());
            let at = world.clock.elapsed();
            let (read, write) = (Read(other.clone(), "y"), Write(other.clone(), "y"));
            let beside = async {
                let session = session(account);
                if *is_same {
                    session.send(&read).await.unwrap();
                } else {
                    session.send(&write).await.unwrap();
                }
                world.clock.elapsed()
            };
            let same = async {
                own.send(&call).await.unwrap();
                world.clock.elapsed()
            };
            let (beside, same) = futures_util::future::join(beside, same).await;
            // The response takes 100 ms.
            let wait = |ended: Duration| ended - at - Duration::from_millis(100);
            (wait(beside), wait(same))
        });
        let is = |wait: Duration, expected: f64| {
            (expected..=expected * 1.02 + 1.11).contains(&(wait.as_secs_f64() + 0.102))
        };
        assert!(is(waited, *waits), "{provider}: {waited:?}, not {waits} s");
        assert!(is(at, *delay), "{provider}, beside: {at:?}, not {delay} s");
        let name = provider.split(',').next().unwrap();
        if !providers.contains(&name) {
            providers.push(name);
        }
    }
    println!("{} instances of {providers:?}", instances.len());
    let expected = [
        "airtable",
        "amazon-spapi",
        "discord",
        "github",
        "google-drive",
        "google-workspace",
        "hubspot",
        "instagram",
        "microsoft-365",
        "notion",
        "onlyfans",
        "reddit",
        "shopify",
        "slack",
        "stripe",
        "tiktok",
        "zapier",
    ];
    let missing: Vec<_> = expected
        .iter()
        .filter(|it| !providers.contains(it))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn an_invalid_limit_is_rejected_with_the_name_of_its_field() {
    let limit = |change: Value| {
        let mut limit = json!({
            "name": "l", "per": "operation",
            "model": { "window": { "requests": 1, "seconds": 1 } },
        });
        let members = limit.as_object_mut().unwrap();
        members.extend(change.as_object().unwrap().clone());
        limit
    };
    let learn = |learn: Value| limit(json!({ "learn": learn }));
    let model = |model: Value| limit(json!({ "model": model }));
    let bucket = |learn: Value| {
        limit(json!({ "model": { "bucket": { "capacity": 1, "per_second": 1 } }, "learn": learn }))
    };
    let slots =
        |learn: Value| limit(json!({ "model": { "concurrent": { "most": 1 } }, "learn": learn }));
    let reset = |format: &str| json!({ "header": "x", "format": format });
    let table = [
        (limit(json!({ "name": "" })), "name"),
        (limit(json!({ "name": "Upper" })), "name"),
        (limit(json!({ "name": "a b" })), "name"),
        (limit(json!({ "name": "x".repeat(65) })), "name"),
        (limit(json!({ "name": "first" })), "name"),
        (limit(json!({ "penalty_seconds": 0 })), "penalty_seconds"),
        (limit(json!({ "penalty_seconds": 3601 })), "penalty_seconds"),
        (
            model(json!({ "bucket": { "capacity": 0, "per_second": 1 } })),
            "model.capacity",
        ),
        (
            model(json!({ "bucket": { "capacity": 1, "per_second": 0 } })),
            "model.per_second",
        ),
        (
            model(json!({ "bucket": { "capacity": 1, "per_second": -1 } })),
            "model.per_second",
        ),
        (
            model(json!({ "bucket": { "capacity": 1, "per_second": 1e-300 } })),
            "model.per_second",
        ),
        (
            model(json!({ "bucket": { "capacity": 1, "per_second": 1e300 } })),
            "model.per_second",
        ),
        (
            model(json!({ "cost": { "capacity": 0, "per_second": 1 } })),
            "model.capacity",
        ),
        (
            model(json!({ "cost": { "capacity": 1, "per_second": 0 } })),
            "model.per_second",
        ),
        (
            model(json!({ "window": { "requests": 0, "seconds": 1 } })),
            "model.requests",
        ),
        (
            model(json!({ "window": { "requests": 1, "seconds": 0 } })),
            "model.seconds",
        ),
        (
            model(json!({ "window": { "requests": 1, "seconds": 2_678_401 } })),
            "model.seconds",
        ),
        (model(json!({ "concurrent": { "most": 0 } })), "model.most"),
        (learn(json!({ "rate": "x" })), "learn.rate"),
        (bucket(json!({ "rate": "a b" })), "learn.rate"),
        (learn(json!({ "limit": "" })), "learn.limit"),
        (slots(json!({ "limit": "x" })), "learn.limit"),
        (learn(json!({ "remaining": "ä" })), "learn.remaining"),
        (slots(json!({ "remaining": "x" })), "learn.remaining"),
        (
            learn(json!({ "used_of_limit": "x\n" })),
            "learn.used_of_limit",
        ),
        (
            slots(json!({ "used_of_limit": "x" })),
            "learn.used_of_limit",
        ),
        (
            learn(json!({ "used_of_limit": "x", "remaining": "y" })),
            "learn.used_of_limit",
        ),
        (
            learn(json!({ "reset": { "header": ":", "format": "date" } })),
            "learn.reset.header",
        ),
        (bucket(json!({ "reset": reset("date") })), "learn.reset"),
        (
            learn(json!({ "window": { "header": "", "format": "seconds" } })),
            "learn.window.header",
        ),
        (
            learn(json!({ "window": reset("date") })),
            "learn.window.format",
        ),
        (
            bucket(json!({ "window": reset("seconds") })),
            "learn.window",
        ),
        (
            bucket(json!({ "usage": { "header": "(", "percent": ["/a"] } })),
            "learn.usage.header",
        ),
        (
            bucket(json!({ "usage": { "header": "x", "percent": [] } })),
            "learn.usage.percent",
        ),
        (
            bucket(json!({ "usage": { "header": "x", "percent": ["/a", "b"] } })),
            "learn.usage.percent[1]",
        ),
        (
            bucket(json!({ "usage": { "header": "x", "percent": ["/a"], "regain_minutes": "b" } })),
            "learn.usage.regain_minutes",
        ),
        (
            learn(json!({ "usage": { "header": "x", "percent": ["/a"] } })),
            "learn.usage",
        ),
        (learn(json!({ "bucket": "x y" })), "learn.bucket"),
        (
            limit(json!({ "per": "account", "learn": { "bucket": "x" } })),
            "learn.bucket",
        ),
        (
            learn(json!({ "when": { "header": " ", "values": ["a"] } })),
            "learn.when.header",
        ),
        (
            learn(json!({ "when": { "header": "x", "values": [] } })),
            "learn.when.values",
        ),
        (
            learn(json!({ "refused": { "header": "=", "values": ["a"] } })),
            "learn.refused.header",
        ),
        (
            learn(json!({ "refused": { "header": "x", "values": ["a", ""] } })),
            "learn.refused.values",
        ),
    ];
    let count = table.len();
    let first = limit(json!({ "name": "first" }));
    for (limit, field) in table {
        let description = description(&json!([first, limit])).unwrap();
        let error = description.validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let field = format!("`limits[1].{field}` ");
        assert!(error.message().starts_with(&field), "{error}, not {field}");
    }
    let many: Vec<Value> = (0..65)
        .map(|it| limit(json!({ "name": it.to_string() })))
        .collect();
    let error = description(&json!(many)).unwrap().validate().unwrap_err();
    assert!(error.message().starts_with("`limits` "), "{error}");
    let unknown = [
        limit(json!({ "colour": 1 })),
        limit(json!({ "per": "planet" })),
        model(json!({ "window": { "requests": 1, "seconds": 1, "colour": 1 } })),
        model(json!({ "window": { "requests": -1, "seconds": 1 } })),
        model(json!({ "shower": {} })),
        learn(json!({ "colour": "x" })),
        learn(json!({ "reset": { "header": "x", "format": "moons" } })),
        learn(json!({ "when": { "header": "x", "values": ["a"], "colour": 1 } })),
    ];
    let unreadable = unknown
        .iter()
        .filter(|it| description(&json!([it])).is_err())
        .count();
    println!("invalid limits rejected by field: {count}, unparsable: {unreadable}");
    assert_eq!((count, unreadable), (43, unknown.len()));
}
