//! What happens in a story, drawn from its seed before it begins.

use oorandom::Rand64;
use watchbell_core::diagnosis::Role;
use watchbell_core::outcome::{CertificateSeen, Kind, Outcome};
use watchbell_core::settings::Severity;

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
/// Late enough that a clock may go back; midnight, on a Wednesday.
pub const START: u64 = 20_775 * DAY;

/// A span of time, its end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

impl Span {
    pub fn covers(self, at: u64) -> bool {
        self.from <= at && at < self.to
    }

    pub fn meets(self, other: Span) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// Goes on for so long.
    pub fn then(self, more: u64) -> Self {
        Self {
            to: self.to + more,
            ..self
        }
    }
}

pub fn any(spans: &[Span], at: u64) -> bool {
    spans.iter().any(|s| s.covers(at))
}

pub struct Check {
    pub id: String,
    pub service: String,
    pub role: Role,
    /// `http`, `tcp`, `certificate`.
    pub probe: &'static str,
    pub severity: Severity,
    pub interval_ms: u64,
    pub failure_threshold: u32,
    pub success_threshold: u32,
    /// When its target fails, and how.
    pub outages: Vec<(Span, Kind)>,
    /// How it fails where the node has no network.
    pub cut_off: Kind,
    /// Certificates in turn: shown from then on, ending then.
    pub certificates: Vec<(u64, u64)>,
    /// Fires no more from then on, and is forgotten then.
    pub removed: Option<(u64, u64)>,
}

impl Check {
    pub fn outcome(&self, at: u64, cut_off: bool) -> Outcome {
        if cut_off {
            return Outcome::failed(self.cut_off, "no network");
        }
        let broken = self.outages.iter().find(|(span, _)| span.covers(at));
        let mut outcome = match broken {
            Some((_, kind)) => Outcome::failed(*kind, "broken"),
            None => Outcome::up("fine"),
        };
        outcome.certificate = self.certificate(at);
        outcome
    }

    pub fn certificate(&self, at: u64) -> Option<CertificateSeen> {
        let shown = self.certificates.iter().rev().find(|(from, _)| *from <= at);
        shown.map(|(from, until)| CertificateSeen {
            sha256: format!("{}-{from}", self.id),
            not_before_unix_s: (*from / 1000) as i64,
            not_after_unix_s: (*until / 1000) as i64,
        })
    }

    pub fn fires(&self, at: u64) -> bool {
        self.removed.is_none_or(|(stops, _)| at < stops)
    }
}

/// How a receiver fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    Takes,
    Unreachable,
    /// Takes it, and its answer is lost.
    AnswerLost,
    Status(u16),
    /// 429, and so many seconds.
    RetryAfter(u64),
}

/// A channel, and what becomes of its receiver. Outside of `faults` it takes everything.
pub struct Channel {
    pub name: &'static str,
    /// The least that it gets.
    pub severity_min: Severity,
    pub faults: Vec<(Span, Receiver)>,
}

impl Channel {
    pub fn at(&self, at: u64) -> Receiver {
        let found = self.faults.iter().find(|(span, _)| span.covers(at));
        found.map_or(Receiver::Takes, |(_, how)| *how)
    }

    /// No fault at all, the whole story long.
    pub fn is_fine(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Alerts held back: by an operator, or by the variable `maintenance`.
pub struct Window {
    /// All, when empty.
    pub service: String,
    pub maintenance: bool,
    pub span: Span,
    /// One of those that `maintenance` has come again.
    pub recurring: bool,
}

impl Window {
    pub fn concerns(&self, service: &str) -> bool {
        self.service.is_empty() || self.service == service
    }
}

pub struct Plan {
    pub end: u64,
    pub checks: Vec<Check>,
    pub channels: Vec<Channel>,
    /// The node has no network.
    pub cut_off: Vec<Span>,
    /// The node is off.
    pub asleep: Vec<Span>,
    /// The store answers some calls with an error.
    pub store_fails: Vec<Span>,
    /// The last write is lost at these moments.
    pub power_cuts: Vec<u64>,
    pub windows: Vec<Window>,
    /// The variable `maintenance`.
    pub maintenance: String,
    /// An operator has dead letters sent again.
    pub resends: Vec<u64>,
}

pub fn below(random: &mut Rand64, bound: u64) -> u64 {
    random.rand_range(0..bound.max(1))
}

pub fn chance(random: &mut Rand64, percent: u64) -> bool {
    below(random, 100) < percent
}

fn pick<T: Copy>(random: &mut Rand64, from: &[T]) -> T {
    from[below(random, from.len() as u64) as usize]
}

/// Spans that come about once in `every`, of up to `longest`, short ones oftener.
fn spans(random: &mut Rand64, end: u64, every: u64, longest: u64) -> Vec<Span> {
    let mut all = Vec::new();
    let mut from = START + below(random, every * 2);
    while from < end {
        let long = if chance(random, 30) {
            longest
        } else {
            longest / 20
        };
        let to = from + SECOND + below(random, long);
        all.push(Span { from, to });
        from = to + MINUTE + below(random, every * 2);
    }
    all
}

fn moments(random: &mut Rand64, end: u64, every: u64) -> Vec<u64> {
    let all = spans(random, end, every, HOUR);
    all.iter().map(|s| s.from).collect()
}

impl Plan {
    pub fn draw(random: &mut Rand64) -> Self {
        let hostile = below(random, 4);
        // One channel is never reached: each run carries all that waits for it, so that the
        // story is a short one.
        let dead = hostile > 0 && chance(random, 12);
        let days = 8 + below(random, if dead { 4 } else { 20 });
        let end = START + days * DAY;
        let mut plan = Self {
            end,
            checks: Vec::new(),
            channels: Vec::new(),
            cut_off: Vec::new(),
            asleep: Vec::new(),
            store_fails: Vec::new(),
            power_cuts: Vec::new(),
            windows: Vec::new(),
            maintenance: String::new(),
            resends: Vec::new(),
        };
        let services = 1 + below(random, 3);
        for n in 0..services {
            service(random, &format!("s{n}"), end, &mut plan.checks);
        }
        for n in 0..below(random, 4) {
            let mut witness = check(random, &format!("w{n}"), "elsewhere", Role::Witness, end);
            witness.interval_ms = pick(random, &[2 * MINUTE, 5 * MINUTE]);
            witness.failure_threshold = 1;
            witness.outages.retain(|_| n == 0);
            plan.checks.push(witness);
        }
        if dead && chance(random, 50) {
            restless(random, end, &mut plan.checks);
        }
        let dies = dead.then(|| below(random, 3) as usize);
        for (n, name) in ["webhook", "pagerduty", "alertmanager"]
            .into_iter()
            .enumerate()
        {
            if n == 0 || dies == Some(n) || chance(random, 75) {
                let mut channel = channel(random, name, end, hostile > 0);
                if dies == Some(n) {
                    let how = pick(random, &DEADLY);
                    channel.faults = vec![(
                        Span {
                            from: START,
                            to: end,
                        },
                        how,
                    )];
                }
                plan.channels.push(channel);
            }
        }
        if hostile > 0 && chance(random, 70) {
            plan.resends = moments(random, end, DAY);
        }
        if hostile > 1 {
            plan.cut_off = spans(random, end, 5 * DAY, 5 * HOUR);
            plan.asleep = spans(random, end, 7 * DAY, 12 * HOUR);
            plan.store_fails = spans(random, end, 5 * DAY, 3 * HOUR);
            plan.power_cuts = moments(random, end, 4 * DAY);
        }
        for _ in 0..below(random, 3) {
            for span in spans(random, end, 9 * DAY, 20 * HOUR) {
                let service = whose(random, services);
                let maintenance = chance(random, 50);
                plan.windows.push(Window {
                    service,
                    maintenance,
                    span,
                    recurring: false,
                });
            }
        }
        if chance(random, 40) {
            recurring(random, services, &mut plan);
        }
        plan
    }
}

fn whose(random: &mut Rand64, services: u64) -> String {
    match below(random, services + 1) {
        n if n == services => String::new(),
        n => format!("s{n}"),
    }
}

/// Every day, or every Sunday; the spans are counted out here, by no cron.
fn recurring(random: &mut Rand64, services: u64, plan: &mut Plan) {
    for _ in 0..1 + below(random, 2) {
        let (hour, minute) = (below(random, 24), below(random, 60));
        let minutes = 10 + below(random, 200);
        let service = whose(random, services);
        let weekly = chance(random, 70);
        let day = if weekly { "SUN" } else { "*" };
        let entry = format!("0 {minute} {hour} * * {day} {minutes}m {service};");
        plan.maintenance.push_str(&entry);
        let mut midnight = START - DAY;
        while midnight < plan.end + 5 * DAY {
            // 1970 began on a Thursday.
            let sunday = (midnight / DAY + 4).is_multiple_of(7);
            let from = midnight + hour * HOUR + minute * MINUTE;
            if sunday || !weekly {
                plan.windows.push(Window {
                    service: service.clone(),
                    maintenance: true,
                    span: Span {
                        from,
                        to: from + minutes * MINUTE,
                    },
                    recurring: true,
                });
            }
            midnight += DAY;
        }
    }
}

/// A check that is down for a while several times a day: more is said than a channel that is
/// never reached can keep.
fn restless(random: &mut Rand64, end: u64, checks: &mut [Check]) {
    let Some(check) = checks.iter_mut().find(|c| c.role != Role::Witness) else {
        return;
    };
    check.interval_ms = 5 * MINUTE;
    let mut at = START + HOUR;
    while at < end {
        let to = at + 20 * MINUTE + below(random, 20 * MINUTE);
        check.outages.push((Span { from: at, to }, Kind::Status));
        at = to + 90 * MINUTE + below(random, HOUR);
    }
}

/// How a channel is that is never reached.
const DEADLY: [Receiver; 3] = [
    Receiver::Unreachable,
    Receiver::Status(500),
    Receiver::Status(400),
];

/// Fine, or troubled now and then.
fn channel(random: &mut Rand64, name: &'static str, end: u64, hostile: bool) -> Channel {
    const TROUBLES: [Receiver; 6] = [
        Receiver::Unreachable,
        Receiver::AnswerLost,
        Receiver::Status(500),
        Receiver::Status(400),
        Receiver::RetryAfter(900),
        Receiver::RetryAfter(7_200),
    ];
    let mut faults = Vec::new();
    match below(random, 10) {
        _ if !hostile => {}
        0..=4 => {}
        _ => {
            for span in spans(random, end, DAY, 10 * HOUR) {
                faults.push((span, pick(random, &TROUBLES)));
            }
        }
    }
    let severity_min = match name {
        "webhook" => Severity::Info,
        _ if chance(random, 70) => Severity::Info,
        _ => pick(random, &[Severity::Warning, Severity::Critical]),
    };
    Channel {
        name,
        severity_min,
        faults,
    }
}

/// One service: some checks, outages of all of it and of some of it, and now and then a
/// check that flaps.
fn service(random: &mut Rand64, name: &str, end: u64, checks: &mut Vec<Check>) {
    const ROLES: [Role; 5] = [
        Role::Port,
        Role::Health,
        Role::Key,
        Role::Certificate,
        Role::Derp,
    ];
    const KINDS: [Kind; 4] = [
        Kind::ConnectRefused,
        Kind::ConnectTimeout,
        Kind::Dns,
        Kind::Status,
    ];
    let first = checks.len();
    for (n, role) in ROLES.iter().enumerate().take(1 + below(random, 5) as usize) {
        checks.push(check(random, &format!("{name}-{n}"), name, *role, end));
    }
    for span in spans(random, end, 3 * DAY, 8 * HOUR) {
        let kind = pick(random, &KINDS);
        for check in &mut checks[first..] {
            // Each notices it and its end a little earlier or later.
            let from = span.from + below(random, 3 * SECOND);
            let to = (span.to + below(random, 3 * SECOND)).max(from + 1);
            check.outages.push((Span { from, to }, kind));
        }
    }
    if chance(random, 35) {
        // Longer than all reminders take.
        let from = START + below(random, end - START);
        let to = from + 36 * HOUR + below(random, 2 * DAY);
        checks[first]
            .outages
            .push((Span { from, to }, Kind::Status));
    }
    if checks.len() - first > 1 && chance(random, 15) {
        let stops = START + below(random, end - START);
        let forgotten = stops + pick(random, &[MINUTE, 3 * HOUR]);
        if let Some(last) = checks.last_mut() {
            last.removed = Some((stops, forgotten));
        }
    }
}

fn check(random: &mut Rand64, id: &str, service: &str, role: Role, end: u64) -> Check {
    let (kind, probe) = match role {
        Role::Port => (Kind::ConnectRefused, "tcp"),
        Role::Certificate => (Kind::Certificate, "certificate"),
        _ => (Kind::Status, "http"),
    };
    let alone = spans(random, end, 5 * DAY, 6 * HOUR);
    let mut outages: Vec<(Span, Kind)> = alone.into_iter().map(|s| (s, kind)).collect();
    let interval_ms = pick(random, &[5 * MINUTE, 10 * MINUTE, 15 * MINUTE]);
    if chance(random, 20) {
        let mut at = START + below(random, end - START);
        for _ in 0..20 {
            let to = at + below(random, 3 * interval_ms);
            outages.push((Span { from: at, to }, kind));
            at = to + below(random, 3 * interval_ms);
        }
    }
    let mut certificates = Vec::new();
    if role == Role::Certificate {
        let mut from = START;
        while from < end {
            let until = from + (5 + below(random, 60)) * DAY;
            certificates.push((from, until));
            from = until - DAY - below(random, 3 * DAY);
        }
    }
    Check {
        id: id.to_owned(),
        service: service.to_owned(),
        role,
        probe,
        severity: pick(
            random,
            &[
                Severity::Critical,
                Severity::Critical,
                Severity::Warning,
                Severity::Info,
            ],
        ),
        interval_ms,
        failure_threshold: 1 + below(random, 3) as u32,
        success_threshold: 1 + below(random, 2) as u32,
        outages,
        cut_off: pick(
            random,
            &[
                Kind::Timeout,
                Kind::ConnectTimeout,
                Kind::Unreachable,
                Kind::Dns,
            ],
        ),
        certificates,
        removed: None,
    }
}
