//! The description, and the permitted hosts of accounts.

use connector_core::provider::description::{Description, RefusalRule};
use connector_core::{ErrorKind, ProviderId};

use super::say;
use super::world::{World, expect};

/// Returns the description's refusal rules that match an error code, each with its code.
pub(super) fn codes(description: &Description) -> impl Iterator<Item = (&str, &RefusalRule)> {
    let rules = description.refusals.iter();
    rules.filter_map(|rule| Some((rule.code.as_deref()?, rule)))
}

pub(super) async fn the_description_is_valid(world: &World) {
    let description = world.description();
    expect(description.validate(), "the description is valid");
    expect(
        ProviderId::new(description.provider.as_str()),
        "the provider's id",
    );
    assert!(!description.name.trim().is_empty(), "the name is empty");
}

pub(super) async fn required_scopes_are_asked_for(world: &World) {
    let scopes = &world.description().scopes;
    let asked = scopes.default.iter().chain(&scopes.required);
    for scope in asked {
        assert!(
            !scope.is_empty() && !scope.contains([scopes.separator, ' ']),
            "{scope:?} is not one scope"
        );
    }
    if scopes.default.is_empty() && scopes.required.is_empty() {
        return;
    }
    for scope in &scopes.required {
        assert!(
            scopes.default.contains(scope),
            "{scope:?} is required but not requested: add it to `scopes.default`"
        );
    }
}

pub(super) async fn an_error_code_has_one_meaning(world: &World) {
    let rules = &world.description().refusals;
    for (number, rule) in rules.iter().enumerate() {
        let same = |other: &&RefusalRule| {
            (&other.status, &other.code, &other.description)
                == (&rule.status, &rule.code, &rule.description)
        };
        assert!(
            !rules[..number].iter().any(|other| same(&other)),
            "the refusal {rule:?} has two meanings"
        );
    }
}

pub(super) async fn an_account_host_has_one_accepted_form(world: &World) {
    let connector = world.connector();
    let Some(text) = world.fixture.account() else {
        panic!("accounts have their own hosts: the fixture must return an account");
    };
    let host = expect(connector.account_host(text), "the account to connect");
    let Some(host) = host else {
        panic!("accounts have their own hosts, but {text:?} is accepted without one");
    };
    for spelling in [
        host.clone(),
        host.to_ascii_uppercase(),
        format!(" {host}\t"),
    ] {
        assert_eq!(
            expect(connector.account_host(&spelling), "another spelling"),
            Some(host.clone()),
            "{spelling:?}"
        );
    }
}

pub(super) async fn hostile_account_hosts_are_refused(world: &World) {
    const BEFORE: [&str; 22] = [
        "",
        "user@",
        "user:pass@",
        "evil.example/",
        "evil.example#",
        "evil.example?",
        "evil.example\\",
        "evil.example%2f",
        "//",
        "ftp://",
        "javascript:",
        "data:",
        ".",
        "a.b.",
        "%",
        "\u{ff53}",
        "https://https://",
        "http://https://",
        "127.0.0.1/",
        "[::1]/",
        "a\n",
        "a\0",
    ];
    const AFTER: [&str; 19] = [
        "",
        ":443",
        ":8080",
        "?x",
        "#x",
        "/x",
        "/..",
        "\\x",
        "@evil.example",
        "%2eevil.example",
        ".evil.example",
        ".",
        "..",
        " evil.example",
        "\0",
        "\u{202e}",
        ",evil.example",
        ";x",
        "&x",
    ];
    const ALONE: [&str; 12] = [
        "",
        " ",
        "127.0.0.1",
        "[::1]",
        "169.254.169.254",
        "0x7f.1",
        "evil.example",
        "https://evil.example",
        "//evil.example",
        "localhost:8080",
        "a b",
        "\u{0}",
    ];
    let connector = world.connector();
    let host = world.host.as_deref().unwrap_or_default();
    let mut hostile: Vec<String> = BEFORE
        .iter()
        .flat_map(|before| AFTER.map(|after| format!("{before}{host}{after}")))
        .collect();
    // The first entry is the host itself.
    hostile.remove(0);
    hostile.extend(ALONE.map(str::to_owned));
    let (label, rest) = host.split_once('.').unwrap_or((host, ""));
    for label in [
        "-a",
        "a_b",
        "a.b",
        "a b",
        "sh\u{f6}p",
        "s\u{131}",
        "a%2eb",
        "",
        &"a".repeat(64),
    ] {
        hostile.push(format!("{label}.{rest}"));
    }
    for ending in ["", "m", "..", ".evil.example", "@evil.example"] {
        hostile.push(format!("{label}.evil.{rest}{ending}"));
    }
    hostile.extend(world.fixture.hostile_accounts());
    for text in &hostile {
        match connector.account_host(text) {
            Ok(accepted) => panic!("{text:?} is accepted as the account host {accepted:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text:?}"),
        }
    }
    assert!(hostile.len() >= 200, "too few texts were tested");
    assert_eq!(world.wire.count(), 0, "a request was sent");
    say(&format!("hostile account hosts refused: {}", hostile.len()));
}
