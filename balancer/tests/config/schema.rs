//! The page for programs: a JSON schema (draft 2020-12).

use serde_json::{Map, Value, json};

use super::code::{Key, Kind, Section};

/// The whole schema, as text.
pub(crate) fn schema(sections: &[Section]) -> String {
    let mut root = object(sections, "");
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("The configuration of muster");
    let mut text = serde_json::to_string_pretty(&root).unwrap();
    text.push('\n');
    text
}

fn object(sections: &[Section], path: &str) -> Value {
    let section = sections.iter().find(|section| section.path == path).unwrap();
    let mut properties = Map::new();
    for key in &section.keys {
        properties.insert(key.name.clone(), described(value(&key.kind), &key.meaning));
    }
    let parts = sections.iter().filter(|part| part.parent() == Some(path));
    for part in parts {
        let name = part.path.rsplit('.').next().unwrap_or_default().to_owned();
        let one = object(sections, &part.path);
        let one = match part.is_array {
            true => json!({ "type": "array", "items": one }),
            false => one,
        };
        properties.insert(name, described(one, &part.meaning));
    }
    let mandatory: Vec<&Key> = section.keys.iter().filter(|key| is_mandatory(key)).collect();
    let mut object = json!({
        "type": "object", "additionalProperties": false, "properties": properties,
    });
    if section.is_array && !mandatory.is_empty() {
        object["required"] = mandatory.iter().map(|key| key.name.clone()).collect();
    }
    object
}

fn is_mandatory(key: &Key) -> bool {
    key.meaning.ends_with("Mandatory.")
}

fn described(mut value: Value, meaning: &str) -> Value {
    value["description"] = json!(meaning);
    value
}

fn value(kind: &Kind) -> Value {
    match kind {
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Whole => json!({ "type": "integer", "minimum": 0 }),
        Kind::Number => json!({ "type": "number", "minimum": 0 }),
        Kind::Duration | Kind::Text(_) => json!({ "type": "string" }),
        Kind::Size { .. } => json!({ "type": ["integer", "string"] }),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::List(of) => json!({ "type": "array", "items": value(of) }),
    }
}
