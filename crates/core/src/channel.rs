//! The channels: where a notice goes, and what is sent there. Each is one function from a
//! [`Notice`] to a request, and one that reads its variables.
//!
//! `<channel>` stands for `webhook`, `slack`, `discord`, `ntfy`, `pagerduty`, `alertmanager`,
//! `telegram`, `teams`, `gotify`, `template`. One without configuration is off.

mod alertmanager;
mod discord;
mod gotify;
mod ntfy;
mod pagerduty;
mod slack;
mod teams;
mod telegram;
mod template;
mod text;
mod webhook;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::notice::Notice;
use crate::outbox::Terms;
use crate::settings::{Reader, Severity};
use crate::target::Url;
use crate::time::UnixMs;

/// One POST.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub url: Url,
    /// Names in lower case. May hold secrets.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// A secret that the body holds.
    pub body_secret: Option<String>,
    /// The operator wrote the body, and a secret may stand anywhere in it.
    pub body_is_private: bool,
}

/// Shorter pieces of a path are words, or too short to guess the rest by.
const PIECE_MIN: usize = 8;
/// A shorter token is none.
const TOKEN_MIN: usize = 4;
/// Fewer characters of a private body are no secret.
const BODY_RUN: usize = 12;
/// Headers that authorise.
const SECRET_HEADERS: [&str; 2] = ["authorization", "x-gotify-key"];

impl Request {
    fn json(url: Url, body: &serde_json::Value) -> Self {
        Self::of("application/json", url, crate::json::text(body))
    }

    pub(crate) fn text(url: Url, body: String) -> Self {
        Self::of("text/plain; charset=utf-8", url, body)
    }

    fn of(content_type: &str, url: Url, body: String) -> Self {
        Self {
            url,
            headers: vec![("content-type".into(), content_type.to_owned())],
            body: body.into_bytes(),
            body_secret: None,
            body_is_private: false,
        }
    }

    /// Whether a text repeats what may be secret: the URL's path or a long piece of it, a
    /// header that authorises, a key in the body.
    pub fn is_repeated_by(&self, text: &str) -> bool {
        let path = self.url.path.as_str();
        let pieces = path.split(|c: char| !c.is_ascii_alphanumeric());
        let path = pieces.chain([path]).filter(|p| p.len() >= PIECE_MIN);
        let headers = self.headers.iter();
        let headers = headers.filter(|(name, _)| SECRET_HEADERS.contains(&name.as_str()));
        // After the scheme: `Bearer …`.
        let headers = headers.filter_map(|(_, value)| value.split_whitespace().last());
        let headers = headers.filter(|token| token.len() >= TOKEN_MIN);
        let keys = headers.chain(self.body_secret.as_deref());
        let text = text.to_ascii_lowercase();
        let mut secrets = path.chain(keys);
        secrets.any(|secret| text.contains(&secret.to_ascii_lowercase()))
            || self.body_is_private && self.body_shows_in(&text)
    }

    /// Whether a run of so many characters of the body stands in the text.
    fn body_shows_in(&self, text: &str) -> bool {
        let body = self.body.to_ascii_lowercase();
        let runs: BTreeSet<&[u8]> = body.windows(BODY_RUN).collect();
        let plain = |run: &[u8]| run.iter().all(u8::is_ascii_graphic);
        let mut seen = text.as_bytes().windows(BODY_RUN);
        seen.any(|run| plain(run) && runs.contains(run))
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A configured channel.
#[derive(Clone)]
pub struct Channel {
    pub terms: Terms,
    /// `None` only where it does not work ([`Terms::works`]).
    destination: Option<Destination>,
}

#[derive(Clone)]
enum Destination {
    Webhook(webhook::Webhook),
    Slack(Url),
    Discord(Url),
    Ntfy(ntfy::Ntfy),
    PagerDuty(pagerduty::PagerDuty),
    Alertmanager(Url),
    Telegram(telegram::Telegram),
    Teams(Url),
    Gotify(gotify::Gotify),
    Template(template::Template),
}

/// What reads one channel's variables: nothing where it is not configured.
type Read = fn(&mut Reader<'_>) -> Option<Destination>;

/// PagerDuty drops a *resolve* of what it has not heard of.
const IN_ORDER: Option<Duration> = Some(Duration::ZERO);
/// Alertmanager notifies after its `group_wait`, 30 s unless configured otherwise: what has
/// ended by then nobody is told of.
const NOTIFIES_LATE: Option<Duration> = Some(Duration::from_secs(60));

/// Every channel there is: its name, how many messages a minute its receiver takes, whether
/// it keeps incidents of its own ([`Terms::keeps_state`]), and who reads its variables.
const CHANNELS: &[(&str, u32, Option<Duration>, Read)] = &[
    ("webhook", 600, None, |r| {
        webhook::read(r).map(Destination::Webhook)
    }),
    // One a second (api.slack.com/docs/rate-limits).
    ("slack", 60, None, |r| {
        secret_url(r, "slack_url").map(Destination::Slack)
    }),
    // 30 a minute for one webhook (discord.com/developers/docs/topics/rate-limits).
    ("discord", 30, None, |r| {
        secret_url(r, "discord_url").map(Destination::Discord)
    }),
    ("ntfy", 60, None, |r| ntfy::read(r).map(Destination::Ntfy)),
    // 120 events a minute for one integration.
    ("pagerduty", 120, IN_ORDER, |r| {
        pagerduty::read(r).map(Destination::PagerDuty)
    }),
    ("alertmanager", 600, NOTIFIES_LATE, |r| {
        alertmanager::read(r).map(Destination::Alertmanager)
    }),
    // 20 messages a minute to one group (core.telegram.org/bots/faq).
    ("telegram", 20, None, |r| {
        telegram::read(r).map(Destination::Telegram)
    }),
    // Four requests a second.
    ("teams", 60, None, |r| {
        secret_url(r, "teams_url").map(Destination::Teams)
    }),
    ("gotify", 600, None, |r| {
        gotify::read(r).map(Destination::Gotify)
    }),
    ("template", 60, None, |r| {
        template::read(r).map(Destination::Template)
    }),
];

/// The names of all channels.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHANNELS.iter().map(|(name, ..)| *name)
}

/// Every variable that a channel reads, but for the filters that each has.
pub const VARIABLES: &[&str] = &[
    "webhook_url",
    "webhook_secret",
    "slack_url",
    "discord_url",
    "ntfy_url",
    "ntfy_token",
    "pagerduty_routing_key",
    "pagerduty_url",
    "alertmanager_url",
    "telegram_token",
    "telegram_chat_id",
    "telegram_url",
    "teams_url",
    "gotify_url",
    "gotify_token",
    "template_url",
    "template_body",
    "template_content_type",
    "template_authorization",
    // No channel, and a secret like theirs.
    "deadman_url",
];

/// What each channel has beside its own: `<channel>_severity`, and so on.
pub const FILTERS: &[&str] = &["severity", "services", "attempts_max"];

/// The channels that are configured; mistakes go to the reader. One with a mistake has no
/// destination: what is for it waits, and the others work.
pub fn read(r: &mut Reader<'_>) -> Vec<Channel> {
    let mut channels = Vec::new();
    for (name, per_minute, keeps_state, read) in CHANNELS {
        let mistakes = r.mistakes();
        let mut terms = terms(r, name, *per_minute, *keeps_state);
        let destination = read(r);
        terms.works = r.mistakes() == mistakes;
        if destination.is_some() || !terms.works {
            channels.push(Channel { terms, destination });
        }
    }
    channels
}

fn terms(
    r: &mut Reader<'_>,
    channel: &'static str,
    per_minute: u32,
    keeps_state: Option<Duration>,
) -> Terms {
    let services = r.text(&format!("{channel}_services")).unwrap_or_default();
    let services = services.split([',', ' ', '\n']).filter(|s| !s.is_empty());
    Terms {
        channel,
        severity_min: r.parsed(
            &format!("{channel}_severity"),
            Severity::Info,
            Severity::WANT,
            Severity::parse,
        ),
        services: services.map(str::to_owned).collect(),
        refusals_max: r.parsed(
            &format!("{channel}_attempts_max"),
            8,
            "a number from 1 to 100",
            |t| t.parse().ok().filter(|n| (1..=100).contains(n)),
        ),
        per_minute,
        keeps_state,
        works: true,
    }
}

impl Channel {
    /// What to send; `None` for what this channel has no form for. `now` is the attempt's
    /// time.
    pub fn request(&self, notice: &Notice, now: UnixMs) -> Option<Request> {
        match self.destination.as_ref()? {
            Destination::Webhook(to) => Some(to.request(notice, now)),
            Destination::Slack(url) => Some(slack::request(url, notice)),
            Destination::Discord(url) => Some(discord::request(url, notice)),
            Destination::Ntfy(to) => Some(to.request(notice)),
            Destination::PagerDuty(to) => to.request(notice),
            Destination::Alertmanager(url) => alertmanager::request(url, notice),
            Destination::Telegram(to) => Some(to.request(notice)),
            Destination::Teams(url) => Some(teams::request(url, notice)),
            Destination::Gotify(to) => Some(to.request(notice)),
            Destination::Template(to) => Some(to.request(notice)),
        }
    }
}

const URL_WANT: &str = "an http or https URL without user name";
const SECRET: &str = "a text that is not shown";

/// A URL that is a secret itself.
pub(crate) fn secret_url(r: &mut Reader<'_>, key: &str) -> Option<Url> {
    let url = Url::parse(&r.text(key)?);
    if url.is_none() {
        r.mistake(key, SECRET, URL_WANT);
    }
    url
}

/// A token, as a header can carry it.
fn token(r: &mut Reader<'_>, key: &str) -> Option<String> {
    let text = r.text(key)?;
    if text.chars().all(|c| c.is_ascii_graphic()) {
        return Some(text);
    }
    r.mistake(key, SECRET, "printable ASCII without spaces");
    None
}

/// Both, or neither: one of them alone is a mistake.
fn both<A, B>(r: &mut Reader<'_>, a: (&str, Option<A>), b: (&str, Option<B>)) -> Option<(A, B)> {
    match (a.1, b.1) {
        (Some(a), Some(b)) => Some((a, b)),
        (Some(_), None) => {
            if r.text(b.0).is_none() {
                r.mistake(b.0, "nothing", &format!("a value beside {}", a.0));
            }
            None
        }
        (None, Some(_)) => {
            if r.text(a.0).is_none() {
                r.mistake(a.0, "nothing", &format!("a value beside {}", b.0));
            }
            None
        }
        (None, None) => None,
    }
}
