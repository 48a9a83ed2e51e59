//! Decoding of sample responses from the directory `CONNECTORS_ORACLES`.

use std::path::{Path, PathBuf};

use connector_airtable::models::{
    BaseSchema, Comment, Field, Table, View, Webhook, WebhookPayload,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[expect(
    clippy::disallowed_methods,
    reason = "the directory is an argument of the test run"
)]
fn samples() -> Option<PathBuf> {
    let root = std::env::var_os("CONNECTORS_ORACLES")?;
    Some(Path::new(&root).join("airtable/samples"))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Decodes `sample` as a `T` and serializes it again. No member may be lost or changed, except that
/// null members may be omitted.
fn kept<T: DeserializeOwned + Serialize>(name: &str, sample: &Value) {
    let decoded: T =
        serde_json::from_value(sample.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let again = serde_json::to_value(&decoded).unwrap();
    for (member, value) in sample.as_object().unwrap() {
        assert_eq!(
            again.get(member).unwrap_or(&Value::Null),
            value,
            "{name}: {member}"
        );
    }
}

#[test]
fn every_sample_is_decoded_and_kept_whole() {
    let Some(samples) = samples() else {
        println!("skipped: CONNECTORS_ORACLES names no directory with Airtable's samples");
        return;
    };
    let mut decoded = 0;
    for (file, check) in [
        ("BaseSchema.json", kept::<BaseSchema> as fn(&str, &Value)),
        ("TableSchema.json", kept::<Table>),
        ("ViewSchema.json", kept::<View>),
        ("Comment.json", kept::<Comment>),
        ("WebhookPayload.json", kept::<WebhookPayload>),
    ] {
        check(file, &read(&samples.join(file)));
        decoded += 1;
    }
    let webhook: Webhook = serde_json::from_value(read(&samples.join("Webhook.json"))).unwrap();
    assert!(webhook.are_notifications_enabled && webhook.is_hook_enabled);
    assert_eq!(webhook.specification.scope(), Some("tbltp8DGLhqbUmjK1"));
    decoded += 1;
    for entry in std::fs::read_dir(samples.join("field_schema")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        kept::<Field>(&name, &read(&path));
        decoded += 1;
    }
    println!("samples decoded and kept: {decoded}");
    assert!(decoded > 30);
}
