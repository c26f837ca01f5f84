//! What happens in a story, drawn from its seed before it begins.

use oorandom::Rand64;
use watchbell_core::diagnosis::Role;
use watchbell_core::outcome::{CertificateSeen, Kind, Outcome};

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
/// Late enough that a clock may go back.
pub const START: u64 = 1_795_000_000_000;

/// A span of time, its end excluded.
#[derive(Clone, Copy, Debug)]
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
}

pub fn any(spans: &[Span], at: u64) -> bool {
    spans.iter().any(|s| s.covers(at))
}

pub struct Check {
    pub id: String,
    pub service: String,
    pub role: Role,
    pub interval_ms: u64,
    pub failure_threshold: u32,
    pub success_threshold: u32,
    /// When its target fails, and how.
    pub outages: Vec<(Span, Kind)>,
    /// Certificates in turn: shown from then on, ending then.
    pub certificates: Vec<(u64, u64)>,
}

impl Check {
    pub fn outcome(&self, at: u64, cut_off: bool) -> Outcome {
        if cut_off {
            return Outcome::failed(Kind::Unreachable, "unreachable");
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
}

/// How the receiver fares.
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

pub struct Plan {
    pub end: u64,
    pub checks: Vec<Check>,
    pub receiver: Vec<(Span, Receiver)>,
    /// The node has no network.
    pub cut_off: Vec<Span>,
    /// The node is off.
    pub asleep: Vec<Span>,
    /// The store answers some calls with an error.
    pub store_fails: Vec<Span>,
    /// The last write is lost at these moments.
    pub power_cuts: Vec<u64>,
    /// Service (all, when empty), whether it is a maintenance, when.
    pub windows: Vec<(String, bool, Span)>,
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

impl Plan {
    pub fn draw(random: &mut Rand64) -> Self {
        let days = 10 + below(random, 50);
        let end = START + days * DAY;
        let mut plan = Self {
            end,
            checks: Vec::new(),
            receiver: Vec::new(),
            cut_off: Vec::new(),
            asleep: Vec::new(),
            store_fails: Vec::new(),
            power_cuts: Vec::new(),
            windows: Vec::new(),
        };
        let services = 1 + below(random, 3);
        for n in 0..services {
            service(random, &format!("s{n}"), end, &mut plan.checks);
        }
        for n in 0..below(random, 3) {
            let mut witness = check(random, &format!("w{n}"), "elsewhere", Role::Witness, end);
            witness.outages.retain(|_| n == 0);
            plan.checks.push(witness);
        }
        let hostile = below(random, 4);
        if hostile > 0 {
            for span in spans(random, end, 3 * DAY, 10 * HOUR) {
                let how = pick(
                    random,
                    &[
                        Receiver::Unreachable,
                        Receiver::AnswerLost,
                        Receiver::Status(500),
                        Receiver::Status(400),
                        Receiver::RetryAfter(900),
                    ],
                );
                plan.receiver.push((span, how));
            }
        }
        if hostile > 1 {
            plan.cut_off = spans(random, end, 9 * DAY, 5 * HOUR);
            plan.asleep = spans(random, end, 9 * DAY, 12 * HOUR);
            plan.store_fails = spans(random, end, 5 * DAY, 3 * HOUR);
            plan.power_cuts = spans(random, end, 4 * DAY, HOUR)
                .iter()
                .map(|s| s.from)
                .collect();
        }
        for span in spans(random, end, 8 * DAY, 20 * HOUR) {
            let service = match below(random, services + 1) {
                n if n == services => String::new(),
                n => format!("s{n}"),
            };
            plan.windows.push((service, chance(random, 50), span));
        }
        plan
    }

    pub fn receiver_at(&self, at: u64) -> Receiver {
        let found = self.receiver.iter().find(|(span, _)| span.covers(at));
        found.map_or(Receiver::Takes, |(_, how)| *how)
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
    let first = checks.len();
    for (n, role) in ROLES.iter().enumerate().take(1 + below(random, 5) as usize) {
        checks.push(check(random, &format!("{name}-{n}"), name, *role, end));
    }
    for span in spans(random, end, 6 * DAY, 8 * HOUR) {
        let kind = pick(
            random,
            &[
                Kind::ConnectRefused,
                Kind::ConnectTimeout,
                Kind::Dns,
                Kind::Status,
            ],
        );
        for check in &mut checks[first..] {
            // Each notices it and its end a little earlier or later.
            let from = span.from + below(random, 3 * SECOND);
            let to = (span.to + below(random, 3 * SECOND)).max(from + 1);
            check.outages.push((Span { from, to }, kind));
        }
    }
}

fn check(random: &mut Rand64, id: &str, service: &str, role: Role, end: u64) -> Check {
    let kind = match role {
        Role::Port => Kind::ConnectRefused,
        Role::Certificate => Kind::Certificate,
        _ => Kind::Status,
    };
    let alone = spans(random, end, 9 * DAY, 6 * HOUR);
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
        interval_ms,
        failure_threshold: 1 + below(random, 3) as u32,
        success_threshold: 1 + below(random, 2) as u32,
        outages,
        certificates,
    }
}
