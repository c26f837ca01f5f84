//! What a probe measured beside its verdict: for pages and metrics. No rule branches on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::outcome::one_line;

/// Steps that a probe has times of; ours have at most eight.
const PHASES_MAX: usize = 16;
/// A certificate may be for thousands of names.
const NAMES_MAX: usize = 10;
const NAME_CHARS_MAX: usize = 100;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// From the probe's beginning to its verdict.
    pub duration_ms: u64,
    /// By step: `dns`, `connect`, `tls`, …
    #[serde(default)]
    pub phases_ms: BTreeMap<String, u64>,
    #[serde(default)]
    pub http_status: Option<u16>,
    /// `TLSv1.3`.
    #[serde(default)]
    pub tls_version: Option<String>,
    #[serde(default)]
    pub certificate: Option<Shown>,
}

/// A certificate as it was shown, good or bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    pub subject: String,
    pub issuer: String,
    /// The first of them.
    pub names: Vec<String>,
    pub names_more: usize,
    pub sha256: String,
    pub not_before_unix_s: i64,
    pub not_after_unix_s: i64,
    /// When the first of the chain ends.
    pub chain_not_after_unix_s: i64,
}

impl Measured {
    /// Of a report's facts (docs/checks.md) what is worth keeping, bounded: a server decides
    /// what stands in them.
    pub fn new(duration_ms: u64, facts: &Value) -> Self {
        let all = facts.as_object().into_iter().flatten();
        let times = all.filter_map(|(name, value)| {
            let phase = name.strip_suffix("_ms")?;
            Some((phase.to_owned(), value.as_u64()?))
        });
        let status = facts["http_status"].as_u64();
        Self {
            duration_ms,
            phases_ms: times.take(PHASES_MAX).collect(),
            http_status: status.and_then(|s| u16::try_from(s).ok()),
            tls_version: facts["tls_version"].as_str().map(name),
            certificate: Shown::new(facts),
        }
    }
}

impl Measured {
    /// Of the facts what was kept, under the same names.
    pub fn facts(&self) -> Value {
        let mut facts = Map::new();
        for (phase, ms) in &self.phases_ms {
            facts.insert(format!("{phase}_ms"), json!(ms));
        }
        let status = self
            .http_status
            .map(|status| ("http_status", json!(status)));
        let version = self.tls_version.as_ref().map(|v| ("tls_version", json!(v)));
        for (name, value) in status.into_iter().chain(version) {
            facts.insert(name.to_owned(), value);
        }
        if let Value::Object(certificate) = json!(self.certificate) {
            facts.extend(certificate);
        }
        Value::Object(facts)
    }
}

impl Shown {
    fn new(facts: &Value) -> Option<Self> {
        let not_after_unix_s = facts["not_after_unix_s"].as_i64()?;
        let text = |key: &str| name(facts[key].as_str().unwrap_or_default());
        let names = facts["names"].as_array().map_or(&[][..], Vec::as_slice);
        let chain = facts["chain"].as_array().into_iter().flatten();
        let ends = chain.filter_map(|c| c["not_after_unix_s"].as_i64());
        Some(Self {
            subject: text("subject"),
            issuer: text("issuer"),
            names: names
                .iter()
                .filter_map(Value::as_str)
                .take(NAMES_MAX)
                .map(name)
                .collect(),
            names_more: names.len().saturating_sub(NAMES_MAX),
            sha256: text("sha256"),
            not_before_unix_s: facts["not_before_unix_s"].as_i64().unwrap_or(0),
            not_after_unix_s,
            chain_not_after_unix_s: ends.chain([not_after_unix_s]).min().unwrap_or(0),
        })
    }
}

fn name(text: impl AsRef<str>) -> String {
    one_line(text.as_ref(), NAME_CHARS_MAX)
}
