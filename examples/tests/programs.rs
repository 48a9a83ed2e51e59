//! Runs each example and checks its output. The examples need no network, keyboard, certificates or
//! credentials.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints its counts"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// Returns the command for a program, without the machine's settings, certificates and keyboard.
fn program(path: &str) -> Command {
    let mut program = Command::new(path);
    program
        .env_clear()
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .stdin(Stdio::null());
    program
}

/// Returns the output of a program. Fails if the program fails or writes to standard error.
fn story(program: &mut Command) -> String {
    let output = program.output().expect("the program starts");
    let told = String::from_utf8(output.stdout).expect("text");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{complaints}");
    assert_eq!(complaints, "");
    told
}

/// Runs a program with settings of a real provider, and returns its output. Fails unless the program
/// refuses to run without the settings in `rest` and names the variable `missing`.
fn with_settings(
    program: &mut Command,
    some: &[(&str, &str)],
    missing: &str,
    rest: &[(&str, &str)],
) -> String {
    // The hub loads the machine's certificates before any request.
    program
        .env_remove("SSL_CERT_FILE")
        .env_remove("SSL_CERT_DIR")
        .envs(some.iter().copied());
    let incomplete = program.output().expect("the program starts");
    let complaints = String::from_utf8_lossy(&incomplete.stderr);
    assert!(!incomplete.status.success());
    assert!(complaints.contains(missing), "{complaints}");
    program.envs(rest.iter().copied());
    let output = program.output().expect("the program starts");
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{told}");
    told
}

/// Fails if a line is missing in the output, or if the output contains the prefix of a secret.
fn check(told: &str, lines: &[&str], secrets: &[&str]) {
    for line in lines {
        assert!(told.contains(line), "missing line: {line}\n{told}");
    }
    for secret in secrets {
        assert!(
            !told.contains(secret),
            "the output contains a secret: {told}"
        );
    }
}

#[test]
fn the_quickstart_runs_to_the_end() {
    connector_testkit::trace::init();
    let told = story(&mut program(env!("CARGO_BIN_EXE_quickstart")));
    let lines = [
        "\nAuthorize\n",
        "\nCallback\n",
        "\nToken exchange\n",
        "\nRefresh\n",
        "\nWebhook and signature\n",
        "\nDisconnect\n",
        "They contain the access token 0 times.",
        "Received 60 products in 3 requests.",
        "100 callers request a token at once. Token requests: 1.",
        "Delivery with a valid signature: 200 OK.",
        "Delivery with one changed bit in the body: 401 Unauthorized.",
        "passed to the application's handler: 1.",
        "Sealed credentials left in the store: 0.",
    ];
    assert!(
        told.ends_with("Done. The temporary directory is removed.\n"),
        "{told}"
    );
    check(&told, &lines, &["access-", "refresh-", "secret-"]);
}

#[test]
fn a_described_provider_connects_and_disconnects() {
    let told = story(&mut program(env!("CARGO_BIN_EXE_custom_provider")));
    let lines = [
        "authorize: acme.example/oauth/authorize\n",
        "authorize: code challenge sent: true\n",
        "callback: app.example/callback\n",
        "token exchange: 1 request, scopes [\"orders.read\"]\n",
        "identity: account account-7 (connected)\n",
        "API call: 2 orders\n",
        "API call after an hour: 2 orders\n",
        "refresh: 1 request\n",
        "disconnect: grants left at the provider: 0\n",
        "disconnect: the hub refuses further token requests: ",
    ];
    assert!(told.ends_with("done\n"), "{told}");
    check(&told, &lines, &["access-", "refresh-", "secret-", "code-"]);
    println!("checked lines of custom_provider: {}", lines.len());
}

fn airtable_oauth() -> Command {
    program(env!("CARGO_BIN_EXE_airtable_oauth"))
}

#[test]
fn an_airtable_user_is_connected_and_disconnected_step_by_step() {
    let told = story(&mut airtable_oauth());
    let lines = [
        "authorize: airtable.com/oauth2/v1/authorize\n",
        "callback: app.example/callback\n",
        "token exchange: 1 request\n",
        "identity: account usr00000000000001 (connected)\n",
        "API call: 12 records in 2 calls\n",
        "API call: 3 records read\n",
        "webhook: 1 registered at Airtable\n",
        "signature: valid, ping answered 200 OK\n",
        "webhook: 1 change handled\n",
        "disconnect: 0 webhooks left at Airtable\n",
        "disconnect: the hub refuses further token requests: ",
    ];
    assert!(told.ends_with("done\n"), "{told}");
    check(
        &told,
        &lines,
        &["access-", "refresh-", "secret-", "code-", "mac-"],
    );
    println!("checked lines of airtable_oauth: {}", lines.len());
}

#[test]
fn with_airtable_settings_the_real_authorization_url_is_printed() {
    let told = with_settings(
        &mut airtable_oauth(),
        &[("AIRTABLE_CLIENT_ID", "an-id")],
        "AIRTABLE_REDIRECT_URI",
        &[("AIRTABLE_REDIRECT_URI", "http://localhost:3000/callback")],
    );
    let start = "authorize: open https://airtable.com/oauth2/v1/authorize?";
    assert!(told.starts_with(start), "{told}");
    assert!(told.contains("client_id=an-id"), "{told}");
}

#[test]
fn an_embedded_app_of_shopify_is_opened_step_by_step() {
    let told = story(&mut program(env!("CARGO_BIN_EXE_shopify_embedded")));
    let lines = [
        "document without a token: 302 Found /app?shop=demo-shop.myshopify.com&page=1&shopify-reload=",
        "document with a token: 200 OK: demo-shop sells in EUR\n",
        "request with an invalid token: 401 Unauthorized \n",
        "request with a valid token: 200 OK: demo-shop sells in EUR\n",
    ];
    check(&told, &lines, &["access-", "refresh-", "secret-", "eyJ"]);
    println!("checked lines of shopify_embedded: {}", lines.len());
}

fn gdrive_oauth() -> Command {
    program(env!("CARGO_BIN_EXE_gdrive_oauth"))
}

#[test]
fn a_google_drive_is_connected_used_watched_and_disconnected_step_by_step() {
    let told = story(&mut gdrive_oauth());
    let lines = [
        "authorize: accounts.google.com/o/oauth2/v2/auth\n",
        "callback: app.example/callback\n",
        "token exchange: 1 request\n",
        "identity: account 100000000000000000001 (connected)\n",
        "upload: [##........] 524288 of 2097152 bytes\n",
        "upload: [##########] 2097152 of 2097152 bytes\n",
        "upload: 2097152 bytes stored, checksum verified\n",
        "list: 1 file\n",
        "path lookup: found true\n",
        "download: 2097152 bytes, content equal: true\n",
        "watch: 1 channel open at Google\n",
        "webhook: notification answered 200 OK\n",
        "webhook: change handled: By a colleague.txt\n",
        "disconnect: 0 watch channels left at Google\n",
        "disconnect: the hub refuses further token requests: ",
    ];
    assert!(told.ends_with("done\n"), "{told}");
    check(
        &told,
        &lines,
        &["access-", "refresh-", "secret-", "code-", "upload-"],
    );
    println!("checked lines of gdrive_oauth: {}", lines.len());
}

#[test]
fn files_are_copied_between_google_drive_and_an_object_store() {
    let told = story(&mut program(env!("CARGO_BIN_EXE_gdrive_object_store")));
    let lines = [
        "upload: may.bin, 20971520 bytes\n",
        "download: 20971520 bytes, equal to the original: true\n",
    ];
    assert!(told.ends_with("done\n"), "{told}");
    check(&told, &lines, &["access-", "refresh-", "secret-", "code-"]);
    println!("checked lines of gdrive_object_store: {}", lines.len());
}

#[test]
fn with_settings_of_google_the_url_of_the_real_one_is_printed() {
    let told = with_settings(
        &mut gdrive_oauth(),
        &[
            ("GOOGLE_CLIENT_ID", "an-id"),
            ("GOOGLE_CLIENT_SECRET", "tell-nobody"),
        ],
        "GOOGLE_REDIRECT_URI",
        &[("GOOGLE_REDIRECT_URI", "http://localhost:3000/callback")],
    );
    let start = "authorize: open https://accounts.google.com/o/oauth2/v2/auth?";
    assert!(told.starts_with(start), "{told}");
    assert!(
        told.contains("client_id=an-id") && !told.contains("nobody"),
        "{told}"
    );
}

fn notion_oauth() -> Command {
    program(env!("CARGO_BIN_EXE_notion_oauth"))
}

#[test]
fn a_notion_user_is_connected_and_disconnected_step_by_step() {
    let told = story(&mut notion_oauth());
    let lines = [
        "authorize: api.notion.com/v1/oauth/authorize\n",
        "callback: app.example/callback\n",
        "token exchange: 1 request\n",
        "identity: Example workspace (connected)\n",
        "search: Roadmap\n",
        "append: 152 blocks, complete: true\n",
        "page tree: 152 blocks\n  Plan\n  Tasks\n    Task 1\n",
        "refresh: 2 token requests in total\n",
        "disconnect: 1 revocation\n",
        "disconnect: the hub refuses further token requests: ",
    ];
    assert!(told.ends_with("done\n"), "{told}");
    check(&told, &lines, &["access-", "refresh-", "secret-", "code-"]);
    println!("checked lines of notion_oauth: {}", lines.len());
}

#[test]
fn events_are_sent_to_hooks_and_calls_from_a_zap_are_received() {
    let told = story(&mut program(env!("CARGO_BIN_EXE_zapier_webhooks")));
    let lines = [
        "adopt: refused: the address does not begin with https://\n",
        "adopt: refused: the host of the address is not hooks.zapier.com\n",
        "adopt: a hook (connected), requests to it: 0\n",
        "send: success, runs of the Zap: 1\n",
        "send: accepted while the Zap is off, runs of the Zap: 1\n",
        "send: accepted in silent mode, status: None\n",
        "send: rate_limited, retry: After(3600s)\n",
        "send: gone: true, requests: 6\n",
        "send: the connection is needs_reauthorization",
        "subscribe: 201 Created\npublish: to 1 subscription\n",
        "publish: runs of the Zap: 1, same form as the sample: true\n",
        " is gone\nunsubscribe: 200 OK\n",
        "call: Header: 200 OK\ncall: Basic: 200 OK\ncall: Bearer: 401 Unauthorized\n",
        "call: handled lead.created\n",
    ];
    assert!(told.ends_with("done\n"), "{told}");
    check(&told, &lines, &["/hooks/", "password"]);
    println!("lines of the Zapier story: {}", lines.len());
}

fn webhook(arguments: &[&str]) -> std::process::Output {
    program(env!("CARGO_BIN_EXE_webhook"))
        .env("OTHER_SECRET", "YW5vdGhlci1zZWNyZXQ=")
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// Accepts one request and returns its head in lower case, and its body.
fn accept_one(server: &std::net::TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = server.accept().expect("a connection");
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .expect("the response is sent");
    (head, body)
}

#[test]
fn a_delivery_of_every_provider_is_sent_verified_and_replayed() {
    // Provider, topic, header of the secret or signature, and whether the body is signed.
    let cases = [
        ("shopify", "orders/create", "x-shopify-hmac-sha256", true),
        ("shopify", "customers/redact", "x-shopify-hmac-sha256", true),
        ("notion", "page.created", "x-notion-signature", true),
        ("airtable", "ping", "x-airtable-content-mac", true),
        ("amazon-spapi", "ORDER_CHANGE", "x-bus-secret", false),
        ("google-drive", "change", "x-goog-channel-token", false),
        ("zapier", "lead.created", "x-webhook-secret", false),
    ];
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("delivery");
    let path = file.to_str().expect("text");
    let (mut sent, mut refused) = (0, 0);
    for (provider, topic, header, signs_body) in cases {
        let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let to = format!("http://{}/hook", server.local_addr().expect("an address"));
        let serve = std::thread::spawn(move || [accept_one(&server), accept_one(&server)]);
        for arguments in [
            vec!["send", provider, topic, "--to", &to, "--save", path],
            vec!["replay", path, "--to", &to],
        ] {
            let output = webhook(&arguments);
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert_eq!(told, "response: 200 OK\n", "{provider}: {complaints}");
            sent += 1;
        }
        let [first, second] = serve.join().expect("two requests");
        assert_eq!(first, second, "{provider}");
        assert!(first.0.starts_with("post /hook http/1.1"), "{}", first.0);
        assert!(first.0.contains(header), "{provider}: {}", first.0);

        let output = webhook(&["verify", provider, path]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.starts_with("verified: "), "{provider}: {output:?}");
        // Airtable's pings have no topic, and the topic of Shopify is only in a header.
        assert!(topic == "ping" || told.contains(topic), "{told}");

        let mut refuse = |arguments: &[&str]| {
            let output = webhook(arguments);
            assert!(
                !output.status.success(),
                "{provider} {arguments:?}: {output:?}"
            );
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(
                complaints.contains("WebhookRefused"),
                "{provider}: {complaints}"
            );
            assert!(!complaints.contains("YW5vdGhlci"), "{complaints}");
            refused += 1;
        };
        refuse(&["verify", provider, path, "--secret-env", "OTHER_SECRET"]);
        if signs_body {
            let mut saved = std::fs::read(&file).expect("the saved delivery");
            let last = saved.len() - 2;
            saved[last] ^= 1;
            std::fs::write(&file, saved).expect("the file is written");
            refuse(&["verify", provider, path]);
        }
    }
    let listed = String::from_utf8(webhook(&["list"]).stdout).expect("text");
    assert!(listed.contains("shopify orders/create\n") && listed.contains("notion page.moved\n"));
    let wrong = webhook(&["send", "shopify", "orders/create"]);
    assert!(!wrong.status.success());
    println!(
        "webhook: {sent} deliveries sent, {refused} changed ones refused, {} topics",
        listed.lines().count()
    );
}

fn shopify_oauth() -> Command {
    program(env!("CARGO_BIN_EXE_shopify_oauth"))
}

#[test]
fn the_web_program_runs_to_the_end() {
    let told = story(&mut shopify_oauth());
    let lines = [
        "\nAuthorize\n",
        "\nCallback and token exchange\n",
        "The same query with another shop's name: 403 Forbidden.",
        "Cookie: __Host-session; Path=/; HttpOnly; SameSite=Lax; Secure",
        "A login form of another site, without this browser's token: 403 Forbidden.",
        "without this login's CSRF token: 403 Forbidden.",
        "A form of another origin: 403 Forbidden.",
        "Cookie: __Host-connect; Path=/; HttpOnly; SameSite=Lax; Secure",
        "/shopify/callback with code, hmac, host, shop, state, timestamp.",
        "403 Forbidden: The shop was not connected the callback matches no connect flow of this browser",
        "Connected. New webhook subscriptions: 2.",
        "demo-shop.myshopify.com Status: connected",
        "The code is sent once.",
        "app/uninstalled with a changed body: 401 Unauthorized.",
        "The start page: Ada's shops demo-shop.myshopify.com : connected ",
        "passed to the application's handler: 1.",
        "The start page: Ada's shops demo-shop.myshopify.com : needs_reauthorization(",
    ];
    println!("checked lines of shopify_oauth: {}", lines.len());
    assert!(
        told.ends_with("Done. Run it with --serve to use your own browser.\n"),
        "{told}"
    );
    check(&told, &lines, &["access-", "refresh-", "secret-", "code-"]);
}

#[test]
fn incomplete_settings_of_the_web_program_are_refused_by_name() {
    // Variables, options, and the name that the error message must contain.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);
    let id = ("SHOPIFY_CLIENT_ID", "client");
    let secret = ("SHOPIFY_CLIENT_SECRET", "tell-nobody");
    let redirect = (
        "SHOPIFY_REDIRECT_URI",
        "https://app.example/shopify/callback",
    );
    let elsewhere = ("SHOPIFY_REDIRECT_URI", "https://app.example/elsewhere");
    let cases: [Case<'_>; 9] = [
        (&[id], &[], "SHOPIFY_CLIENT_SECRET"),
        (&[secret], &[], "SHOPIFY_CLIENT_ID"),
        (
            &[("SHOPIFY_API_KEY", "client")],
            &[],
            "SHOPIFY_CLIENT_SECRET",
        ),
        (
            &[("SHOPIFY_SCOPES", "read_products")],
            &["--serve"],
            "SHOPIFY_CLIENT_ID",
        ),
        (&[id, secret], &[], "SHOPIFY_REDIRECT_URI"),
        (&[id, secret, redirect], &[], "CONNECTORS_KEYS"),
        (
            &[
                id,
                secret,
                elsewhere,
                (
                    "CONNECTORS_KEYS",
                    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                ),
            ],
            &[],
            "SHOPIFY_REDIRECT_URI",
        ),
        (&[], &["--listen", "0.0.0.0:3000"], "--listen"),
        (&[], &["--listen", "4000"], "--listen"),
    ];
    let mut refused = 0;
    for (variables, options, named) in cases {
        let output = shopify_oauth()
            .envs(variables.iter().copied())
            .args(options)
            .output()
            .expect("the program starts");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaints}");
        assert!(complaints.contains(named), "{named}: {complaints}");
        assert!(!complaints.contains("tell-nobody"), "{complaints}");
        refused += 1;
    }
    println!("refused settings: {refused}");
}

#[cfg(unix)]
#[test]
fn the_web_program_serves_until_a_signal() {
    let mut program = shopify_oauth()
        .arg("--serve")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut told = BufReader::new(program.stdout.take().expect("a pipe")).lines();
    let address = told
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| {
            let (_, rest) = line.split_once("Open http://")?;
            rest.split('/').next().map(str::to_owned)
        })
        .expect("the program prints its address");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).expect("the program listens");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        )
        .expect("the program reads the request");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("the program responds");
        // RFC 9700 section 4.2.4: a page after the authorization response leaks nothing.
        for header in [
            "content-security-policy: default-src 'none'",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
        answer
    };
    let refused = get("/shopify/callback?code=c&state=s");
    assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
    let answer = get("/");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("You are Ada"), "{answer}");
    let killed = Command::new("kill")
        .arg(program.id().to_string())
        .status()
        .expect("kill starts");
    assert!(killed.success());
    let rest: Vec<String> = told.map_while(Result::ok).collect();
    let status = program.wait().expect("the program ends");
    assert!(status.success(), "{status}: {rest:?}");
    assert_eq!(rest.last().map(String::as_str), Some("  Ended."));
    println!("pages served: 2");
}

fn amazon_spapi_oauth() -> Command {
    program(env!("CARGO_BIN_EXE_amazon_spapi_oauth"))
}

#[test]
fn an_amazon_seller_is_connected_both_ways_and_a_report_is_read() {
    let told = story(&mut amazon_spapi_oauth());
    let lines = [
        "authorize: sellercentral.amazon.com/apps/authorize/consent\n",
        "callback and token exchange: account NA:A1SIMULATEDSELLER (connected)\n",
        "authorize: amazon.com/apps/authorize/confirm/amzn1.sp.solution.",
        "callback and token exchange: account NA:A1SIMULATEDSELLER (connected)\n",
        "both flows: the same connection\n",
        "marketplace: Amazon US\n",
        "order: 900-0000000-0000001\n",
        "report: [####################]",
        "report: 1000 rows\n",
    ];
    assert!(told.ends_with("done\n"), "{told}");
    check(
        &told,
        &lines,
        &[
            "access-",
            "refresh-",
            "secret-",
            "code-",
            "spapi_oauth_code",
        ],
    );
    println!("checked lines of amazon_spapi_oauth: {}", lines.len());
}

#[test]
fn with_settings_of_amazon_the_url_of_the_real_one_is_printed() {
    let told = with_settings(
        &mut amazon_spapi_oauth(),
        &[("AMAZON_SP_APP_ID", "amzn1.sp.solution.example")],
        "AMAZON_LWA_CLIENT_ID",
        &[
            ("AMAZON_LWA_CLIENT_ID", "an-id"),
            ("AMAZON_LWA_CLIENT_SECRET", "a-secret"),
            ("AMAZON_REDIRECT_URI", "https://app.example/callback"),
            ("AMAZON_SP_MARKETPLACE", "DE"),
        ],
    );
    let start = "authorize: open https://sellercentral-europe.amazon.com/apps/authorize/consent?";
    assert!(told.starts_with(start), "{told}");
    assert!(
        told.contains("application_id=amzn1.sp.solution.example"),
        "{told}"
    );
}
