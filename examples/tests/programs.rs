//! The examples run to their end by themselves: no network, no keyboard, no certificates, no
//! credentials.

use std::process::{Command, Stdio};

#[test]
fn the_quickstart_tells_its_story_to_the_end() {
    connector_testkit::trace::init();
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .env_clear()
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let told = String::from_utf8(output.stdout).expect("text");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{complaints}");
    assert_eq!(complaints, "");
    for line in [
        "the access token is found 0 times.",
        "60 products came in 3 requests.",
        "100 callers ask for a token at once. Requests for a new one: 1.",
        "The signed delivery is answered 200 OK.",
        "is answered 401 Unauthorized.",
        "the application's handler was given: 1.",
        "Sealed credentials left in the store: 0.",
    ] {
        assert!(told.contains(line), "not told: {line}\n{told}");
    }
    assert!(
        told.ends_with("Done. The directory is removed.\n"),
        "{told}"
    );
    for secret in ["shpat_", "shprt_", "shpss_"] {
        assert!(!told.contains(secret), "a secret is shown: {told}");
    }
}
