//! One check in the report, with its figures as the check's own type: code reads fields, not names.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checks::{
    DnsBackendsData, DnsConntrackData, ExternalConntrackData, Finding, HostPingData, PodEgressData, Status,
};
use crate::knowledge::check_id::CheckId;

/// One check.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "ReadCheck")]
pub struct Check {
    /// Which.
    pub id: CheckId,
    /// What it says.
    pub status: Status,
    /// One sentence.
    pub summary: String,
    /// Why it is unknown.
    pub reason: Option<String>,
    /// The right whose lack makes it unknown; the reason holds it word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_right: Option<String>,
    /// How long its evidence took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The figures.
    pub data: CheckData,
}

/// The figures of a check. In JSON they are the fields alone: the check's id says whose they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CheckData {
    /// Those of `host-ping`.
    HostPing(HostPingData),
    /// Those of `pod-egress`.
    PodEgress(PodEgressData),
    /// Those of `dns-conntrack`.
    DnsConntrack(DnsConntrackData),
    /// Those of `external-conntrack`.
    ExternalConntrack(ExternalConntrackData),
    /// Those of `dns-backends`.
    DnsBackends(DnsBackendsData),
}

impl CheckData {
    /// Reads the figures of this check from JSON. A missing field has its default value; no figures at all (null) are
    /// those of a check that could not look.
    ///
    /// # Errors
    ///
    /// A field has a value of another type.
    pub(super) fn read(id: CheckId, value: Value) -> serde_json::Result<Self> {
        let value = if value.is_null() { Value::Object(serde_json::Map::new()) } else { value };
        Ok(match id {
            CheckId::HostPing => Self::HostPing(serde_json::from_value(value)?),
            CheckId::PodEgress => Self::PodEgress(serde_json::from_value(value)?),
            CheckId::DnsConntrack => Self::DnsConntrack(serde_json::from_value(value)?),
            CheckId::ExternalConntrack => Self::ExternalConntrack(serde_json::from_value(value)?),
            CheckId::DnsBackends => Self::DnsBackends(serde_json::from_value(value)?),
        })
    }

    /// The check that has such figures.
    #[must_use]
    pub const fn id(&self) -> CheckId {
        match self {
            Self::HostPing(_) => CheckId::HostPing,
            Self::PodEgress(_) => CheckId::PodEgress,
            Self::DnsConntrack(_) => CheckId::DnsConntrack,
            Self::ExternalConntrack(_) => CheckId::ExternalConntrack,
            Self::DnsBackends(_) => CheckId::DnsBackends,
        }
    }
}

impl From<HostPingData> for CheckData {
    fn from(data: HostPingData) -> Self {
        Self::HostPing(data)
    }
}

impl From<PodEgressData> for CheckData {
    fn from(data: PodEgressData) -> Self {
        Self::PodEgress(data)
    }
}

impl From<DnsConntrackData> for CheckData {
    fn from(data: DnsConntrackData) -> Self {
        Self::DnsConntrack(data)
    }
}

impl From<ExternalConntrackData> for CheckData {
    fn from(data: ExternalConntrackData) -> Self {
        Self::ExternalConntrack(data)
    }
}

impl From<DnsBackendsData> for CheckData {
    fn from(data: DnsBackendsData) -> Self {
        Self::DnsBackends(data)
    }
}

impl<D: Clone + Into<CheckData>> From<&Finding<D>> for Check {
    fn from(finding: &Finding<D>) -> Self {
        let data: CheckData = finding.data.clone().into();
        Self {
            id: data.id(),
            status: finding.status,
            summary: finding.summary.clone(),
            reason: finding.reason.as_ref().map(|reason| reason.message.clone()),
            missing_right: finding.reason.as_ref().and_then(|reason| reason.right.clone()),
            duration_ms: finding.duration_ms,
            data,
        }
    }
}

/// A check as it stands in a file: whose figures these are is known once its id is read.
#[derive(Deserialize)]
struct ReadCheck {
    id: CheckId,
    status: Status,
    summary: String,
    reason: Option<String>,
    #[serde(default)]
    missing_right: Option<String>,
    duration_ms: Option<u64>,
    #[serde(default)]
    data: Value,
}

impl TryFrom<ReadCheck> for Check {
    type Error = String;

    fn try_from(read: ReadCheck) -> Result<Self, String> {
        let ReadCheck { id, status, summary, reason, missing_right, duration_ms, data } = read;
        let data = CheckData::read(id, data).map_err(|error| format!("data of {}: {error}", id.name()))?;
        Ok(Self { id, status, summary, reason, missing_right, duration_ms, data })
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn check_reads_back_as_it_was_written() {
        for check in sample::stale().checks {
            let text = serde_json::to_string(&check).unwrap();
            let read: Check = serde_json::from_str(&text).unwrap();
            assert_eq!((read.id, read.data), (check.id, check.data));
        }
    }

    #[test]
    fn figures_that_an_older_report_lacks_have_their_defaults() {
        let text = r#"{"id": "dns-conntrack", "status": "fail", "summary": "s", "reason": null, "duration_ms": null,
            "data": {"address": "169.254.25.10:53", "live": 7}}"#;
        let read: Check = serde_json::from_str(text).unwrap();
        let CheckData::DnsConntrack(data) = read.data else { panic!("not the figures of dns-conntrack") };
        assert_eq!((data.live, data.answered, data.addresses.len()), (Some(7), None, 0));
    }

    #[test]
    fn figure_of_another_type_is_refused_by_the_name_of_its_check() {
        let text = r#"{"id": "host-ping", "status": "pass", "summary": "s", "reason": null, "duration_ms": null,
            "data": {"sent": "two"}}"#;
        let why = serde_json::from_str::<Check>(text).unwrap_err().to_string();
        assert!(why.contains("data of host-ping"), "{why}");
    }
}
