//! Label selectors, as kubectl's `-l` takes them: `key=value,key!=value,key,!key,key in (a,b),key notin (a,b)`.

use crate::base::error::Error;
use crate::base::labels::Labels;

/// A label selector; all of its parts must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    ///
    /// Names the part that can't be read.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        for part in split(text) {
            let part = part.trim();
            let wrong = || Error::usage(format!("'{part}' is not a label selector: write key=value"));
            parts.push(parse_part(part).ok_or_else(wrong)?);
        }
        if parts.is_empty() {
            Err(Error::usage("the label selector is empty: write key=value"))
        } else {
            Ok(Self(parts))
        }
    }

    /// Whether these labels match.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|part| match part {
            Part::Exists(key) => labels.contains_key(key),
            Part::Absent(key) => !labels.contains_key(key),
            Part::In(key, values) => is_in(labels, key, values),
            // As in Kubernetes, a missing key is in no list.
            Part::NotIn(key, values) => !is_in(labels, key, values),
        })
    }
}

fn is_in(labels: &Labels, key: &str, values: &[String]) -> bool {
    labels.get(key).is_some_and(|value| values.iter().any(|wanted| wanted == value))
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let parts = text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty()).collect()
}

fn parse_part(part: &str) -> Option<Part> {
    let key = |text: &str| {
        let text = text.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        (!text.is_empty() && text.chars().all(plain)).then(|| text.to_owned())
    };
    let value = |text: &str| key(text).or_else(|| text.trim().is_empty().then(String::new));
    if let Some((left, list)) = part.split_once('(') {
        let values = list.strip_suffix(')')?.split(',').map(value).collect::<Option<Vec<_>>>()?;
        return match left.trim().rsplit_once(char::is_whitespace)? {
            (name, "in") => Some(Part::In(key(name)?, values)),
            (name, "notin") => Some(Part::NotIn(key(name)?, values)),
            _ => None,
        };
    }
    if let Some((name, wanted)) = part.split_once("!=") {
        return Some(Part::NotIn(key(name)?, vec![value(wanted)?]));
    }
    if let Some((name, wanted)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Part::In(key(name)?, vec![value(wanted)?]));
    }
    match part.strip_prefix('!') {
        Some(name) => Some(Part::Absent(key(name)?)),
        None => Some(Part::Exists(key(part)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str) -> bool {
        let labels = [("zone", "a"), ("arch", "arm64"), ("cp", "")].into_iter().collect();
        Selector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn every_form_of_kubectl() {
        assert!(matches("zone=a,arch==arm64"));
        assert!(matches("zone!=b,cp,!gpu"));
        assert!(matches("zone in (a, b),arch notin (amd64)"));
        assert!(matches("gpu!=yes"), "a missing label is not that value");
        assert!(matches("cp="));
        assert!(!matches("zone=b"));
        assert!(!matches("zone in (b,c)"));
        for wrong in ["", ",", "a b", "zone in a", "zone in (a", "=a", "a=b=c"] {
            assert!(Selector::parse(wrong).is_err(), "{wrong}");
        }
    }
}
