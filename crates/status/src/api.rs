//! `/api/v1/…`: what is shown, as JSON.

use serde::{Deserialize, Serialize};
use watchbell_core::history;
use watchbell_core::monitor::Monitor;
use watchbell_core::store::{Failed, LEDGER, Store};

use crate::records::{History, Records};
use crate::view::{self, Detail, Incident, Sight, Time};
use crate::web::{JSON, Request, Response};

/// The description of all this, held against the types by `tests/openapi.rs`.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Nothing is not what there is.
const LOST: &str = "what the alert component keeps cannot be read; see its log";

/// Checks in one answer: each has a history to be read.
const PAGE_MAX: usize = 100;

/// `GET /api/v1/checks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Checks {
    /// By id.
    pub checks: Vec<Detail>,
    /// Where there are more: `after` for the next answer.
    pub next: Option<String>,
}

/// `GET /api/v1/incidents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Incidents {
    /// What is open first, then what is over, the newest first.
    pub incidents: Vec<Incident>,
}

/// `GET /api/v1/checks/<check>/history`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Past {
    pub check: String,
    /// `probe`, `hour` or `day`.
    pub resolution: String,
    /// With `probe`: of the last 24 hours, oldest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Vec<Probe>>,
    /// With `hour` (90 days) or `day` (two years): oldest first; what is missing is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans: Option<Vec<Span>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Probe {
    pub at: Time,
    /// `up`, `degraded`, `down` or `unknown`.
    pub state: String,
    /// Of one that found the target well.
    pub latency_ms: Option<u32>,
}

/// An hour or a day; together its times are as long as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Span {
    pub start: Time,
    /// Probes.
    pub count: u32,
    pub up_s: u32,
    pub degraded_s: u32,
    pub down_s: u32,
    pub unknown_s: u32,
    pub latency: Option<view::Latency>,
}

/// What lies below `/api/v1/`.
pub fn answer(
    store: &impl Store,
    request: &Request<'_>,
    path: &[&str],
    sight: Sight,
) -> Result<Response, Failed> {
    let json = |value: Result<Vec<u8>, serde_json::Error>| {
        let body = value.map_err(|e| format!("writing an answer: {e}"))?;
        Ok(Response::new(200, JSON, body).cached(request, sight))
    };
    let refused = |status: u16, why: &str| Ok(Response::error(request, status, why));
    match path {
        ["status"] => json(serde_json::to_vec(&view::status(
            &Records::read(store)?,
            sight,
        ))),
        ["checks"] => match checks(store, request, sight)? {
            Ok(checks) => json(serde_json::to_vec(&checks)),
            Err(why) => refused(400, &why),
        },
        ["checks", id] => match Records::one(store, id)? {
            Some(monitor) => json(serde_json::to_vec(&detail(store, &monitor, sight)?)),
            None => no_check(store, request, id),
        },
        ["checks", id, "history"] => {
            let Some(monitor) = Records::one(store, id)? else {
                return no_check(store, request, id);
            };
            let resolution = request.parameter("resolution");
            let resolution = resolution.as_deref().unwrap_or("hour");
            match past(store, &monitor, resolution)? {
                Some(past) => json(serde_json::to_vec(&past)),
                None => refused(
                    400,
                    &format!(
                        "reading parameter \"resolution\": got {resolution:?}, want probe, hour or day"
                    ),
                ),
            }
        }
        ["incidents"] => {
            let records = Records::read(store)?;
            if records.loses(LEDGER) {
                return refused(503, LOST);
            }
            let state = request.parameter("state");
            let state = state.as_deref().unwrap_or("all");
            let mut incidents = Vec::new();
            if ["all", "open"].contains(&state) {
                incidents.extend(view::incidents(&records, sight));
            }
            if ["all", "resolved"].contains(&state) {
                incidents.extend(view::past(&records, sight));
            }
            match state {
                "all" | "open" | "resolved" => json(serde_json::to_vec(&Incidents { incidents })),
                got => refused(
                    400,
                    &format!(
                        "reading parameter \"state\": got {got:?}, want all, open or resolved"
                    ),
                ),
            }
        }
        ["incidents", id] => match view::one(&Records::read(store)?, id, sight) {
            Some(incident) => json(serde_json::to_vec(&incident)),
            None => refused(404, &format!("no incident {id:?} is open or remembered")),
        },
        ["delivery"] if sight == Sight::Public => {
            let refused = Response::error(request, 401, "this needs the status token");
            Ok(refused.with("www-authenticate", "Bearer"))
        }
        ["delivery"] => {
            let records = Records::read(store)?;
            match records.loses(LEDGER) {
                true => refused(503, LOST),
                false => json(serde_json::to_vec(&view::delivery(&records))),
            }
        }
        _ => refused(404, "no such resource; see /api/v1/openapi.json"),
    }
}

/// It has no record, or one that it alone can report and mend.
fn no_check(store: &impl Store, request: &Request<'_>, id: &str) -> Result<Response, Failed> {
    Ok(match Records::holds(store, id)? {
        true => {
            let why = format!("the record of check {id:?} cannot be read; see its log");
            Response::error(request, 503, &why)
        }
        false => Response::error(request, 404, &format!("no check {id:?} has a record")),
    })
}

fn detail(store: &impl Store, monitor: &Monitor, sight: Sight) -> Result<Detail, Failed> {
    let history = History::read(store, monitor)?;
    Ok(view::detail(monitor, &history, store.now(), sight))
}

/// A page of checks, or what is wrong with what was asked.
fn checks(
    store: &impl Store,
    request: &Request<'_>,
    sight: Sight,
) -> Result<Result<Checks, String>, Failed> {
    let limit = match request.parameter("limit").map(|t| (t.parse::<usize>(), t)) {
        None => PAGE_MAX,
        Some((Ok(limit @ 1..=PAGE_MAX), _)) => limit,
        Some((_, got)) => {
            return Ok(Err(format!(
                "reading parameter \"limit\": got {got:?}, want a number from 1 to {PAGE_MAX}"
            )));
        }
    };
    let after = request.parameter("after").unwrap_or_default();
    let service = request.parameter("service");
    let records = Records::read(store)?;
    // By id: keys come sorted.
    let mut wanted = records.monitors.iter().filter(|m| {
        let d = &m.definition;
        d.check > after && service.as_ref().is_none_or(|s| *s == d.service)
    });
    let page: Vec<&Monitor> = wanted.by_ref().take(limit).collect();
    let more = wanted.next().is_some();
    let next = page
        .last()
        .filter(|_| more)
        .map(|m| m.definition.check.clone());
    let checks = page.into_iter().map(|m| detail(store, m, sight));
    Ok(Ok(Checks {
        checks: checks.collect::<Result<_, _>>()?,
        next,
    }))
}

/// `None` for a resolution that there is not.
fn past(store: &impl Store, monitor: &Monitor, resolution: &str) -> Result<Option<Past>, Failed> {
    let check = &monitor.definition.check;
    let (mut probes, mut spans) = (None, None);
    match resolution {
        "probe" => {
            let samples = history::samples(store, monitor)?;
            let shown = samples.iter().map(|s| Probe {
                at: at(s.at_s),
                state: s.state.as_str().to_owned(),
                latency_ms: s.latency_ms,
            });
            probes = Some(shown.collect());
        }
        "hour" => spans = Some(shown(history::hours(store, check)?)),
        "day" => spans = Some(shown(history::days(store, check)?)),
        _ => return Ok(None),
    }
    Ok(Some(Past {
        check: check.clone(),
        resolution: resolution.to_owned(),
        probes,
        spans,
    }))
}

fn shown(spans: Vec<history::Span>) -> Vec<Span> {
    let show = |s: history::Span| Span {
        start: at(s.start_s),
        count: s.count,
        up_s: s.up_s,
        degraded_s: s.degraded_s,
        down_s: s.down_s,
        unknown_s: s.unknown_s,
        latency: s.latency.map(view::Latency::from),
    };
    spans.into_iter().map(show).collect()
}

fn at(unix_s: u64) -> Time {
    Time::from_unix_s(i64::try_from(unix_s).unwrap_or(i64::MAX))
}
