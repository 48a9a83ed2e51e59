//! Compares all operations and typed fields with Google's discovery document, which is read from
//! the directory in `CONNECTORS_ORACLES`.

use std::collections::{BTreeMap, BTreeSet};

use connector_gdrive::endpoints::OPERATIONS;
use connector_gdrive::models::Schema;
use connector_gdrive::scope;
use connector_testkit::described::oracle;
use serde_json::Value;

const DISCOVERY: &str = "google/drive.v3.json";

/// Returns all methods by id, without the prefix `drive.`.
fn methods(document: &Value) -> BTreeMap<String, &Value> {
    let resources = document["resources"].as_object().unwrap().values();
    let methods = resources.flat_map(|it| it["methods"].as_object().unwrap().values());
    let id = |method: &Value| method["id"].as_str().unwrap().replacen("drive.", "", 1);
    methods.map(|method| (id(method), method)).collect()
}

fn scopes(list: &[&str]) -> BTreeSet<String> {
    list.iter()
        .flat_map(|it| it.split(' '))
        .map(str::to_owned)
        .collect()
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + &part[..1].to_uppercase() + &part[1..]
    })
}

#[test]
fn every_operation_matches_the_discovery_document() {
    let Some(document) = oracle(DISCOVERY) else {
        return;
    };
    let methods = methods(&document);
    let mut parameters = 0;
    for operation in OPERATIONS {
        let name = operation.name;
        let method = methods
            .get(operation.id)
            .unwrap_or_else(|| panic!("{name}"));
        assert_eq!(method["httpMethod"], operation.method, "{name}");
        let is_upload = operation.path.starts_with("/upload/");
        let path = if is_upload {
            method["mediaUpload"]["protocols"]["simple"]["path"]
                .as_str()
                .unwrap()
                .to_owned()
        } else {
            format!(
                "/{}{}",
                document["servicePath"].as_str().unwrap(),
                method["path"].as_str().unwrap()
            )
        };
        assert_eq!(path, operation.path, "{name}");
        let known: BTreeSet<String> = method["scopes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect();
        let asked = scopes(operation.scopes);
        let is_media = operation.parameters.contains(&("alt", "fixed"));
        if is_media {
            // Scopes for metadata do not permit access to content.
            assert!(
                asked.is_subset(&known) && !asked.iter().any(|it| it.contains("metadata")),
                "{name}"
            );
            assert_eq!(method["supportsMediaDownload"], true, "{name}");
        } else {
            assert_eq!(asked, known, "{name}");
        }
        let of_method = method["parameters"].as_object();
        let find = |name: &str| {
            let own = of_method.and_then(|it| it.get(name));
            own.or_else(|| document["parameters"].get(name))
        };
        for argument in operation.arguments {
            let known = find(&camel(argument)).unwrap_or_else(|| panic!("{name} {argument}"));
            assert_eq!(
                (&known["location"], &known["required"]),
                (&"path".into(), &true.into()),
                "{name}"
            );
            parameters += 1;
        }
        for (parameter, kind) in operation.parameters {
            let known = match *parameter {
                // Parameter of the upload protocol. The discovery document lists it for all
                // methods.
                "uploadType" => find("uploadType").unwrap(),
                other => find(other).unwrap_or_else(|| panic!("{name} has no {other}")),
            };
            assert_ne!(known["deprecated"], true, "{name} {parameter}");
            let expected = match *kind {
                "bool" => "boolean",
                "u32" => "integer",
                "String" | "Query" => "string",
                _ => known["type"].as_str().unwrap(),
            };
            assert_eq!(known["type"], expected, "{name} {parameter}");
            parameters += 1;
        }
        // Parameters that Google requires are constructor arguments, or the connector always sets
        // them.
        for (required, _) in of_method
            .into_iter()
            .flatten()
            .filter(|(_, it)| it["required"] == true)
        {
            let is_argument = operation.arguments.iter().any(|it| camel(it) == *required);
            let is_parameter = operation.parameters.iter().any(|(it, _)| it == required);
            assert!(is_argument || is_parameter, "{name} lacks {required}");
        }
        let knows_drives = of_method.is_some_and(|it| it.contains_key("supportsAllDrives"));
        let says_so = operation
            .parameters
            .contains(&("supportsAllDrives", "fixed"));
        assert_eq!(knows_drives, says_so, "{name}");
    }
    assert_eq!(document["batchPath"], "batch/drive/v3");
    let typed: BTreeSet<&str> = OPERATIONS.iter().map(|it| it.id).collect();
    let open: Vec<&String> = methods
        .keys()
        .filter(|it| !typed.contains(it.as_str()))
        .collect();
    println!(
        "operations in Google's description: {}, of {} methods of {}; parameters: {parameters}",
        OPERATIONS.len(),
        typed.len(),
        methods.len()
    );
    println!("operations without a type: {open:?}");
    assert!(typed.len() >= 45 && parameters > 150);
}

/// Returns the fields of a schema, or of an object nested in a schema.
fn fields<'d>(document: &'d Value, name: &str) -> &'d serde_json::Map<String, Value> {
    let mut parts = name.split('/');
    let mut at = &document["schemas"][parts.next().unwrap()];
    for part in parts {
        at = &at["properties"][part];
    }
    at["properties"]
        .as_object()
        .unwrap_or_else(|| panic!("no schema {name}"))
}

/// Returns true if a field with this schema is read as the Rust type in `kind`.
fn fits(kind: &str, known: &Value) -> bool {
    let kind: String = kind.chars().filter(|c| !c.is_whitespace()).collect();
    let inner = |prefix: &str| {
        kind.strip_prefix(prefix)
            .and_then(|it| it.strip_suffix('>'))
    };
    if let Some(inner) = inner("Option<") {
        return fits(inner, known);
    }
    if let Some(inner) = inner("Vec<") {
        return known["type"] == "array" && fits(inner, &known["items"]);
    }
    if let Some(inner) = inner("BTreeMap<String,") {
        return known["type"] == "object" && fits(inner, &known["additionalProperties"]);
    }
    match kind.as_str() {
        "String" => {
            known["type"] == "string" && known["format"] != "byte" || known["format"] == "int64"
        }
        "Role" | "PermissionKind" | "ChangeKind" | "ApprovalStatus" | "ReviewerDecision" => {
            known["type"] == "string"
        }
        "bool" => known["type"] == "boolean",
        "i32" => known["type"] == "integer" && known["format"] == "int32",
        "int64" => known["type"] == "string" && known["format"] == "int64",
        "Value" => known["type"] == "any" || known["type"] == "object",
        resource => {
            let schema = Schema::ALL
                .iter()
                .find(|it| it.name == known["$ref"].as_str().unwrap_or(""));
            let names = [
                ("RoleAndView", "AccessProposalRoleAndView"),
                ("OperationError", "Status"),
            ];
            match known["$ref"].as_str() {
                Some(reference) => {
                    schema.is_some()
                        && (reference == resource || names.contains(&(resource, reference)))
                }
                // A nested object without a schema name.
                None => known["properties"].is_object(),
            }
        }
    }
}

#[test]
fn every_typed_field_exists_with_its_type() {
    let Some(document) = oracle(DISCOVERY) else {
        return;
    };
    let mut checked = 0;
    for schema in Schema::ALL {
        let known = fields(&document, schema.name);
        for (field, kind) in schema.wire_fields() {
            let described = known
                .get(&field)
                .unwrap_or_else(|| panic!("{}.{field}", schema.name));
            assert!(
                fits(kind, described),
                "{}.{field}: {kind} and {described}",
                schema.name
            );
            assert_ne!(described["deprecated"], true, "{}.{field}", schema.name);
            checked += 1;
        }
    }
    println!(
        "typed fields found in Google's discovery document: {checked} of {} types",
        Schema::ALL.len()
    );
    assert!(checked > 200);
}

#[test]
fn every_scope_exists_at_google_and_the_default_covers_the_metadata() {
    let Some(document) = oracle(DISCOVERY) else {
        return;
    };
    let known = document["auth"]["oauth2"]["scopes"].as_object().unwrap();
    let offered = [
        scope::FILE,
        scope::APP_DATA,
        scope::METADATA_READONLY,
        scope::METADATA,
        scope::READONLY,
        scope::DRIVE,
    ];
    for scope in offered {
        assert!(known.contains_key(scope), "{scope}");
    }
    for id in [
        "about.get",
        "files.get",
        "changes.list",
        "changes.watch",
        "channels.stop",
    ] {
        let operation = OPERATIONS.iter().find(|it| it.id == id).unwrap();
        assert!(scopes(operation.scopes).contains(scope::FILE), "{id}");
    }
    println!(
        "scopes found in Google's discovery document: {}",
        offered.len()
    );
}
