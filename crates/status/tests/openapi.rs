//! The served description of the API, held against the types that answer.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};
use watchbell_status::api::{Checks, Incidents, OPENAPI, Past};
use watchbell_status::view::{Delivery, Detail, Incident, Status};

/// Of one type, and of all that it is made of.
fn collect<T: ToSchema + PartialSchema>(all: &mut BTreeMap<String, Value>) {
    let mut nested = Vec::new();
    T::schemas(&mut nested);
    nested.push((T::name().into_owned(), T::schema()));
    for (name, schema) in nested {
        all.insert(name, serde_json::to_value(schema).unwrap());
    }
}

/// `UPDATE_EXPECT=1 cargo test -p watchbell-status --test openapi` writes what it wants.
#[test]
fn the_served_schemas_are_those_of_the_types() {
    let mut all = BTreeMap::new();
    collect::<Status>(&mut all);
    collect::<Checks>(&mut all);
    collect::<Detail>(&mut all);
    collect::<Past>(&mut all);
    collect::<Incidents>(&mut all);
    collect::<Incident>(&mut all);
    collect::<Delivery>(&mut all);
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": { "type": "string", "description": "Why, in one line." } },
    });
    all.insert("Error".into(), error);
    let want = serde_json::to_value(&all).unwrap();
    let mut served: Value = serde_json::from_str(OPENAPI).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        served["components"]["schemas"] = want;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/openapi.json");
        let text = serde_json::to_string_pretty(&served).unwrap();
        std::fs::write(file, text + "\n").unwrap();
        return;
    }
    let got = &served["components"]["schemas"];
    assert_eq!(*got, want, "openapi.json is not what the types say");
}

/// Every `$ref` leads somewhere.
#[test]
fn every_reference_in_the_description_is_there() {
    let served: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut open = vec![&served];
    let mut found = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(to) = map.get("$ref").and_then(Value::as_str) {
                    let at = served.pointer(to.trim_start_matches('#'));
                    assert!(at.is_some(), "{to}");
                    found += 1;
                }
                open.extend(map.values());
            }
            Value::Array(list) => open.extend(list),
            _ => {}
        }
    }
    assert!(found > 20, "{found}");
}
