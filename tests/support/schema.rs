//! Holds reports against the JSON Schema that `staledp schema` prints for them.
//!
//! It knows the keywords that this schema uses and panics at any other, so that none is passed over. Beyond the schema it
//! can refuse what no part of it describes: whatever this version writes has to be in it.

use serde_json::{Map, Value};

/// The published schema.
pub(crate) fn published() -> Value {
    serde_json::from_str(staledp::report::JSON_SCHEMA).expect("the schema is JSON")
}

/// Panics unless this is a report by the published schema without any field that the schema does not describe.
#[track_caller]
pub(crate) fn check(report: &Value) {
    let faults = faults(report, true);
    assert!(faults.is_empty(), "not by the published schema:\n{}", faults.join("\n"));
}

/// What is wrong with a report; `strict` refuses fields that are not described, which readers must accept.
pub(crate) fn faults(report: &Value, strict: bool) -> Vec<String> {
    let schema = if report["schema"] == staledp::report::gate::SCHEMA {
        serde_json::from_str(staledp::report::gate::JSON_SCHEMA).expect("the schema is JSON")
    } else {
        published()
    };
    let mut checker = Checker { root: &schema, strict, faults: Vec::new() };
    checker.check(&schema, report, "");
    checker.faults
}

struct Checker<'a> {
    root: &'a Value,
    strict: bool,
    faults: Vec<String>,
}

impl<'a> Checker<'a> {
    fn check(&mut self, schema: &'a Value, value: &Value, at: &str) {
        let rules = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => return self.fault(at, "nothing is allowed here"),
            Value::Object(rules) => rules,
            other => panic!("not a schema: {other}"),
        };
        for (keyword, rule) in rules {
            self.keyword(rules, keyword, rule, value, at);
        }
        let is_closed = self.strict && allows(rules, "object") && !rules.contains_key("additionalProperties");
        if let (true, Some(Value::Object(known)), Some(fields)) =
            (is_closed, rules.get("properties"), value.as_object())
        {
            for name in fields.keys().filter(|name| !known.contains_key(*name)) {
                self.fault(at, &format!("the field {name} is not described"));
            }
        }
    }

    fn keyword(&mut self, rules: &'a Map<String, Value>, keyword: &str, rule: &'a Value, value: &Value, at: &str) {
        match keyword {
            // Words for people, and what other keywords refer to.
            "$schema" | "$id" | "$defs" | "title" | "description" | "then" => {}
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#')).expect("a reference into the schema");
                let target = self.root.pointer(path).unwrap_or_else(|| panic!("nothing at {path}"));
                self.check(target, value, at);
            }
            "type" => {
                if !KINDS.iter().any(|kind| allows(rules, kind) && is(value, kind)) {
                    self.fault(at, &format!("{value} is not of type {rule}"));
                }
            }
            "const" => {
                if value != rule {
                    self.fault(at, &format!("{value} is not {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().expect("a list").contains(value) {
                    self.fault(at, &format!("{value} is none of {rule}"));
                }
            }
            "minimum" => {
                if value.as_f64().is_some_and(|number| number < rule.as_f64().expect("a number")) {
                    self.fault(at, &format!("{value} is below {rule}"));
                }
            }
            "minItems" => {
                let most = rule.as_u64().expect("a number");
                if value.as_array().is_some_and(|items| (items.len() as u64) < most) {
                    self.fault(at, &format!("fewer than {most} items"));
                }
            }
            "pattern" => {
                assert_eq!(rule, "^[a-z0-9-]+$", "the one pattern that is known here");
                let fits = |text: &str| {
                    !text.is_empty() && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                };
                if value.as_str().is_some_and(|text| !fits(text)) {
                    self.fault(at, &format!("{value} does not match {rule}"));
                }
            }
            "required" => {
                for name in rule.as_array().expect("a list").iter().filter_map(Value::as_str) {
                    if value.as_object().is_some_and(|fields| !fields.contains_key(name)) {
                        self.fault(at, &format!("the field {name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().expect("fields") {
                    if let Some(value) = value.get(name) {
                        self.check(rule, value, &format!("{at}/{name}"));
                    }
                }
            }
            "additionalProperties" => {
                assert!(!rules.contains_key("properties"), "all fields of such an object are additional");
                for (name, value) in value.as_object().into_iter().flatten() {
                    self.check(rule, value, &format!("{at}/{name}"));
                }
            }
            "prefixItems" => {
                let rules = rule.as_array().expect("a list");
                for (index, (rule, value)) in rules.iter().zip(value.as_array().into_iter().flatten()).enumerate() {
                    self.check(rule, value, &format!("{at}/{index}"));
                }
            }
            "items" => {
                let first = rules.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                for (index, value) in value.as_array().into_iter().flatten().enumerate().skip(first) {
                    self.check(rule, value, &format!("{at}/{index}"));
                }
            }
            "allOf" => rule.as_array().expect("a list").iter().for_each(|rule| self.check(rule, value, at)),
            "anyOf" => {
                if !rule.as_array().expect("a list").iter().any(|rule| self.holds(rule, value)) {
                    self.fault(at, &format!("{value} is by none of the alternatives"));
                }
            }
            "if" => {
                if self.holds(rule, value) {
                    self.check(&rules["then"], value, at);
                }
            }
            other => panic!("the schema uses {other}, which this check does not know"),
        }
    }

    fn holds(&self, rule: &'a Value, value: &Value) -> bool {
        let mut alone = Checker { root: self.root, strict: self.strict, faults: Vec::new() };
        alone.check(rule, value, "");
        alone.faults.is_empty()
    }

    fn fault(&mut self, at: &str, what: &str) {
        self.faults.push(format!("{}: {what}", if at.is_empty() { "/" } else { at }));
    }
}

const KINDS: [&str; 7] = ["object", "array", "string", "integer", "number", "boolean", "null"];

/// Whether a schema allows values of this type by its own `type`.
fn allows(rules: &Map<String, Value>, kind: &str) -> bool {
    match rules.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
        Some(one) => one == kind,
        None => false,
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => value.is_null(),
    }
}
