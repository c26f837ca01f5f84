//! What an operator may ask of the alert component, and its answers.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::alerting::{World, attempt, operator};
use crate::digest;
use crate::history;
use crate::incident::{Affected, Incident, Telling};
use crate::ledger::{Ledger, NODE};
use crate::monitor::Definition;
use crate::notice::{About, Notice};
use crate::operator::{Acknowledgement, Hold, WINDOW_MAX, Window};
use crate::outbox::{How, NotTaken};
use crate::outcome::{Kind, one_line};
use crate::settings::{AlertSettings, Mistake, Severity, parse_duration};
use crate::store::{self, Failed};
use crate::time::UnixMs;

/// Of what an operator writes, kept in records and messages.
const BY_CHARS_MAX: usize = 100;
const COMMENT_CHARS_MAX: usize = 500;

/// One wish. Its name is the path below `/operator/`, its fields the body.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// What is open, held back, and left undelivered.
    Incidents {},
    /// No reminders of it.
    Acknowledge {
        /// Its id, or enough of its beginning.
        incident: String,
        #[serde(default)]
        by: String,
        #[serde(default)]
        comment: String,
    },
    /// Holds alerts back, and sums them up at the end.
    Silence(Span),
    /// Holds alerts back; what comes and goes inside was expected.
    Maintenance(Span),
    /// Ends a silence or a maintenance.
    End { id: String },
    /// A check that was removed: its record goes, and nobody waits for it.
    Forget { check: String },
    /// Dead letters are tried anew.
    Resend {},
    /// Sends a pair of messages that are marked as a test.
    Test {
        /// Every channel, when empty.
        #[serde(default)]
        channel: String,
    },
}

/// How long, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Every service, when empty.
    #[serde(default)]
    pub service: String,
    /// A duration such as `2h`: an end must be said.
    #[serde(rename = "for")]
    pub lasts: String,
    /// Begins so much later.
    #[serde(default)]
    pub after: String,
    #[serde(default)]
    pub by: String,
    #[serde(default)]
    pub comment: String,
}

/// Why a wish is not met: an HTTP status, and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub u16, pub String);

impl From<Failed> for Refusal {
    fn from(why: Failed) -> Self {
        Self(500, why)
    }
}

impl Command {
    /// The names of all, as paths have them.
    pub const NAMES: [&str; 8] = [
        "incidents",
        "acknowledge",
        "silence",
        "maintenance",
        "end",
        "forget",
        "resend",
        "test",
    ];

    /// Reads a request: the path below `/operator/`, and a JSON object or nothing.
    pub fn read(name: &str, body: &[u8]) -> Result<Self, Refusal> {
        if !Self::NAMES.contains(&name) {
            let want = Self::NAMES.join(", ");
            return Err(Refusal(404, format!("got {name:?}, want one of: {want}")));
        }
        let fields: Value = if body.iter().all(u8::is_ascii_whitespace) {
            json!({})
        } else {
            serde_json::from_slice(body)
                .map_err(|e| Refusal(400, format!("reading the body: {e}, want a JSON object")))?
        };
        serde_json::from_value(json!({ name: fields }))
            .map_err(|e| Refusal(400, format!("reading the body: {e}")))
    }

    /// Whether it only looks.
    pub fn looks(&self) -> bool {
        matches!(self, Command::Incidents {})
    }
}

/// Meets a wish.
pub fn obey(
    world: &impl World,
    settings: &AlertSettings,
    command: Command,
) -> Result<Value, Refusal> {
    match command {
        Command::Incidents {} => incidents(world, settings),
        Command::Acknowledge {
            incident,
            by,
            comment,
        } => acknowledge(world, &incident, &by, &comment),
        Command::Silence(span) => open_window(world, Hold::Silence, &span),
        Command::Maintenance(span) => open_window(world, Hold::Maintenance, &span),
        Command::End { id } => end_window(world, &id),
        Command::Forget { check } => forget(world, &check),
        Command::Resend {} => {
            store::write(world, store::RESEND, &world.now())?;
            Ok(json!({ "resent": ledger(world)?.outbox.dead.len() }))
        }
        Command::Test { channel } => test(world, settings, &channel),
    }
}

fn ledger(world: &impl World) -> Result<Ledger, Refusal> {
    Ok(store::peek(world, store::LEDGER)?.unwrap_or_default())
}

fn incidents(world: &impl World, settings: &AlertSettings) -> Result<Value, Refusal> {
    let ledger = ledger(world)?;
    let operator = operator(world, &world.keys()?);
    let now = world.now();
    let open = ledger.open().map(|incident| {
        // Of what is new no sweep has told yet; of what was told the record may be lost.
        let told = incident.said.as_ref().is_some_and(|s| s.acknowledged);
        let by = operator.acknowledgements.get(&incident.id).map(|a| &a.by);
        json!({
            "incident": incident.id,
            "service": incident.service,
            "severity": incident.severity().as_str(),
            "cause": incident.cause,
            "summary": incident.because(),
            "failing_since": incident.failing_since.rfc3339(),
            "opened_at": incident.opened_at.rfc3339(),
            "checks": incident.checks.keys().collect::<Vec<_>>(),
            "told": incident.said.is_some(),
            "acknowledged": told || by.is_some(),
            "acknowledged_by": by,
        })
    });
    let windows = operator.windows.iter().filter(|(_, w)| now < w.until);
    let windows = windows.map(|(id, window)| {
        json!({
            "id": id,
            "hold": window.hold.as_str(),
            "service": window.service,
            "from": window.from.rfc3339(),
            "until": window.until.rfc3339(),
            "by": window.by,
            "comment": window.comment,
            "active": window.from <= now,
        })
    });
    let channels = ledger.outbox.channels.iter().map(|(name, c)| {
        json!({
            "channel": name,
            "delivered": c.delivered,
            "failed": c.failed,
            "dead": c.dead,
            "last_error": c.last_error,
        })
    });
    let dead = ledger.outbox.dead.iter().map(|d| {
        json!({
            "id": d.notice.id,
            "channel": d.channel,
            "at": d.at.rfc3339(),
            "error": d.error,
            "summary": d.notice.title(),
        })
    });
    Ok(json!({
        "incidents": open.collect::<Vec<_>>(),
        "windows": windows.collect::<Vec<_>>(),
        "channels": channels.collect::<Vec<_>>(),
        "waiting": ledger.outbox.messages.len(),
        "mistakes": settings.mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>(),
        "dead_letters": dead.collect::<Vec<_>>(),
    }))
}

fn acknowledge(
    world: &impl World,
    incident: &str,
    by: &str,
    comment: &str,
) -> Result<Value, Refusal> {
    let ledger = ledger(world)?;
    let found: Vec<&Incident> = ledger
        .open()
        .filter(|i| !incident.is_empty() && i.id.starts_with(incident))
        .collect();
    let [one] = found[..] else {
        let open: Vec<&str> = ledger.open().map(|i| i.id.as_str()).collect();
        let want = match &open[..] {
            [] => "none is open".to_owned(),
            open => format!("want one of: {}", open.join(", ")),
        };
        return Err(Refusal(404, format!("got incident {incident:?}, {want}")));
    };
    let key = format!("{}{}", store::ACKNOWLEDGEMENTS, one.id);
    // Said again without a word, it keeps the words of the first time.
    let before: Option<Acknowledgement> = store::peek(world, &key)?;
    let or = |text: &str, known: fn(&Acknowledgement) -> &String, chars_max| match &before {
        Some(before) if text.is_empty() => known(before).clone(),
        _ => one_line(text, chars_max),
    };
    let acknowledgement = Acknowledgement {
        at: world.now(),
        by: or(by, |a| &a.by, BY_CHARS_MAX),
        comment: or(comment, |a| &a.comment, COMMENT_CHARS_MAX),
    };
    store::write(world, &key, &acknowledgement)?;
    Ok(json!({ "acknowledged": one.id }))
}

fn open_window(world: &impl World, hold: Hold, span: &Span) -> Result<Value, Refusal> {
    let duration = |key: &str, text: &str| {
        parse_duration(text)
            .filter(|d| *d <= WINDOW_MAX)
            .ok_or_else(|| {
                let want = "a duration such as 30m or 2h, at most 31d";
                Refusal(400, format!("reading {key:?}: got {text:?}, want {want}"))
            })
    };
    let lasts = duration("for", &span.lasts)?;
    let now = world.now();
    let from = match span.after.as_str() {
        "" => now,
        after => now.plus(duration("after", after)?),
    };
    let window = Window {
        service: span.service.clone(),
        from,
        until: from.plus(lasts),
        by: one_line(&span.by, BY_CHARS_MAX),
        comment: one_line(&span.comment, COMMENT_CHARS_MAX),
        hold,
    };
    // What is said twice in one moment is one window.
    let parts = [hold.as_str(), &window.service, &now.0.to_string()];
    let id = digest::id("", &parts)[..8].to_owned();
    store::write(world, &format!("{}{id}", store::WINDOWS), &window)?;
    Ok(json!({
        "id": id,
        "from": window.from.rfc3339(),
        "until": window.until.rfc3339(),
    }))
}

fn end_window(world: &impl World, id: &str) -> Result<Value, Refusal> {
    let key = format!("{}{id}", store::WINDOWS);
    let Some(mut window) = store::peek::<Window>(world, &key)? else {
        return Err(Refusal(
            404,
            format!("got id {id:?}, want that of a silence or a maintenance"),
        ));
    };
    window.until = window.until.min(world.now());
    store::write(world, &key, &window)?;
    Ok(json!({ "ended": id }))
}

fn forget(world: &impl World, check: &str) -> Result<Value, Refusal> {
    let key = store::monitor_key(check);
    // One that cannot be read is one.
    if world.get(&key)?.is_none() {
        return Err(Refusal(
            404,
            format!("got check {check:?}, want one that has a record"),
        ));
    }
    // The record last: as long as it is there, this can be said again.
    let lease = format!("{}{check}", store::LEASES);
    for key in history::keys(check).iter().chain([&lease]) {
        world.delete(key)?;
    }
    world.delete(&key)?;
    Ok(json!({ "forgotten": check }))
}

/// A real pair, past the outbox: the operator waits for the answers.
fn test(world: &impl World, settings: &AlertSettings, channel: &str) -> Result<Value, Refusal> {
    let wanted = |c: &&crate::channel::Channel| channel.is_empty() || c.terms.channel == channel;
    let channels: Vec<_> = settings.channels.iter().filter(wanted).collect();
    if channels.is_empty() {
        let all: Vec<&str> = settings.channels.iter().map(|c| c.terms.channel).collect();
        let want = match &all[..] {
            [] => "none is configured".to_owned(),
            all => format!("want one of: {}", all.join(", ")),
        };
        return Err(Refusal(404, format!("got channel {channel:?}, {want}")));
    }
    let mut results = Vec::new();
    for channel in channels {
        if !channel.terms.works {
            let name = channel.terms.channel;
            let of = |m: &&Mistake| m.key.starts_with(&format!("{name}_"));
            let why = settings.mistakes.iter().find(of).map(Mistake::to_string);
            results.push(json!({
                "channel": name,
                "type": null,
                "id": null,
                "taken": false,
                "error": why.unwrap_or_else(|| "its variables are mistaken".to_owned()),
            }));
            continue;
        }
        let mut unreached = false;
        for telling in [Telling::Triggered, Telling::Resolved] {
            let notice = test_notice(telling, world.now());
            let Some(request) = channel.request(&notice, world.now()) else {
                continue;
            };
            // An answer that comes too late for its caller tells nothing of any channel.
            let sent = if unreached || world.left() <= settings.timeout {
                Err(NotTaken {
                    how: How::Unreached,
                    why: "not tried: no time was left for it".to_owned(),
                    retry_after: None,
                })
            } else {
                attempt(world, &request, settings.timeout)
            };
            unreached = sent.as_ref().is_err_and(|e| e.how == How::Unreached);
            results.push(json!({
                "channel": channel.terms.channel,
                "type": notice.type_name(),
                "id": notice.id,
                "taken": sent.is_ok(),
                "error": sent.err().map(|e| e.why),
            }));
        }
    }
    Ok(json!({ "results": results }))
}

/// Like one of an outage of two minutes, and marked.
pub fn test_notice(telling: Telling, now: UnixMs) -> Notice {
    let since = UnixMs(now.0.saturating_sub(120_000));
    let resolved = telling == Telling::Resolved;
    let check = "test";
    let definition = Definition {
        check: check.into(),
        label: "Test alert".into(),
        service: NODE.into(),
        severity: Severity::Info,
        role: crate::diagnosis::Role::Other,
        probe: "http".into(),
        target: "nothing".into(),
        runbook: "nothing: somebody asked whether alerts arrive".into(),
        runbook_url: String::new(),
        interval_ms: 60_000,
    };
    let affected = Affected {
        definition,
        failing_since: since,
        kind: Some(Kind::Internal),
        reason: Some("test".into()),
        detail: "an operator has sent a test alert".into(),
        recovered_at: resolved.then_some(now),
        flapping: false,
    };
    let second = now.unix_s().to_string();
    let incident = Incident {
        id: digest::id("inc_", &["test", &second]),
        service: NODE.into(),
        opened_at: since,
        failing_since: since,
        checks: [(check.to_owned(), affected)].into(),
        evidence: Default::default(),
        cause: None,
        peak: Severity::Info,
        resolved_at: resolved.then_some(now),
        said: None,
        held: None,
    };
    Notice {
        id: digest::id("msg_", &["test", &second, &format!("{telling:?}")]),
        at: now,
        service: NODE.into(),
        severity: Severity::Info,
        peak: Severity::Info,
        test: true,
        about: About::Incident {
            telling,
            incident,
            acknowledgement: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_whole_or_refused() {
        let read = |name: &str, body: &str| Command::read(name, body.as_bytes());
        assert_eq!(read("incidents", ""), Ok(Command::Incidents {}));
        assert!(matches!(
            read("silence", r#"{"for": "2h", "service": "headscale"}"#),
            Ok(Command::Silence(Span { .. }))
        ));
        for (name, body, status, said) in [
            ("silences", "{}", 404, "want one of: incidents"),
            ("silence", "{}", 400, "missing field `for`"),
            (
                "silence",
                r#"{"for": "2h", "until": "x"}"#,
                400,
                "unknown field",
            ),
            ("acknowledge", "[1", 400, "JSON object"),
            ("acknowledge", "{}", 400, "missing field `incident`"),
            ("resend", r#"{"all": true}"#, 400, "unknown field"),
        ] {
            let Err(Refusal(got, why)) = read(name, body) else {
                panic!("{name} {body}: accepted");
            };
            assert_eq!(got, status, "{name} {body}: {why}");
            assert!(why.contains(said), "{name} {body}: {why}");
        }
    }
}
