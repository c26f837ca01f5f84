//! Which layer broke: the evidence table, over the latest outcomes of all checks of a service.

use serde::{Deserialize, Serialize};

use crate::outcome::Kind;

/// What part of the picture a check shows: `role` in its stanza.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Health,
    Derp,
    Key,
    Port,
    Certificate,
    Control,
    Stun,
    /// A target that is not the service's and not this node's: only evidence.
    Witness,
    /// Counts for rows about everything, and for none about itself.
    #[default]
    Other,
}

impl Role {
    pub const WANT: &str = "health, derp, key, port, certificate, control, stun, witness or other";

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "health" => Role::Health,
            "derp" => Role::Derp,
            "key" => Role::Key,
            "port" => Role::Port,
            "certificate" => Role::Certificate,
            "control" => Role::Control,
            "stun" => Role::Stun,
            "witness" => Role::Witness,
            "other" => Role::Other,
            _ => return None,
        })
    }

    /// Asked over HTTP through whatever stands before the service.
    fn over_http(self) -> bool {
        matches!(self, Role::Health | Role::Derp | Role::Key | Role::Other)
    }
}

/// How a check fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: Kind,
    pub reason: Option<String>,
    pub http_status: Option<u16>,
}

/// The latest outcome of one check: well, or failing; below its threshold counts too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub role: Role,
    /// Asked through the host's HTTP, not over a socket of its own.
    pub http: bool,
    pub failing: Option<Failure>,
}

/// Why a service is down, as far as its checks can tell.
#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    /// Stable; for rules and receivers.
    pub id: &'static str,
    /// For people, without a full stop.
    pub sentence: &'static str,
    /// What to do.
    pub action: &'static str,
}

/// One row of the table.
struct Row {
    cause: Cause,
    holds: fn(&Evidence<'_>) -> bool,
}

/// In the order in which they are tried; the first that holds is the cause.
const TABLE: &[Row] = &[
    Row {
        cause: Cause {
            id: "dns",
            sentence: "the name does not resolve",
            action: "check the name's DNS records and the resolver",
        },
        // Over HTTP a silent resolver is told as a timeout.
        holds: |e| e.any(&[Kind::Dns]) && e.only(&[Kind::Dns, Kind::Timeout]),
    },
    Row {
        cause: Cause {
            id: "process-down",
            sentence: "connections are refused: the process is down or its port is closed",
            action: "check the service's status and logs, and that it listens",
        },
        holds: |e| e.port_fails(&[Kind::ConnectRefused]) && e.http_down() && e.http_unanswered(),
    },
    Row {
        cause: Cause {
            id: "host-unreachable",
            sentence: "connections get no answer: a firewall drops them or the host is down",
            action: "check firewall rules and the host",
        },
        holds: |e| {
            let unreached = [Kind::ConnectTimeout, Kind::Unreachable];
            e.port_fails(&unreached) && e.http_down() && e.http_unanswered()
        },
    },
    Row {
        cause: Cause {
            id: "network-split",
            sentence: "the port is closed on the path that clients take, while HTTP answers",
            action: "check firewall rules, verify the reverse proxy runs",
        },
        holds: |e| e.fails(Role::Port, &CONNECTING) && e.http_well() && e.fail_only(&OVER_SOCKETS),
    },
    Row {
        cause: Cause {
            id: "certificate",
            sentence: "the certificate is not accepted, so nothing gets through TLS",
            action: "renew the certificate, check ACME",
        },
        holds: |e| {
            e.any(&[Kind::Certificate])
                && e.not_failing(Role::Port)
                && e.only(&[Kind::Certificate, Kind::Tls])
        },
    },
    Row {
        cause: Cause {
            id: "backend-down",
            sentence: "the proxy answers for a service that does not: the process is down behind it",
            action: "check the service's status and logs; the proxy itself works",
        },
        holds: |e| {
            e.not_failing(Role::Port)
                && e.not_failing(Role::Certificate)
                && e.http_down()
                && e.every_http_answers(502..=504)
        },
    },
    Row {
        cause: Cause {
            id: "proxy-scheme",
            sentence: "the proxy speaks plain HTTP to a port with TLS, so nothing gets through it",
            action: "let the reverse proxy speak https to Headscale, or switch off Headscale's own TLS",
        },
        holds: |e| {
            e.reason("plain-http-to-tls")
                && e.not_failing(Role::Port)
                && e.not_failing(Role::Certificate)
                && e.http_down()
                && e.every_http_answers(400..=400)
        },
    },
    Row {
        cause: Cause {
            id: "split-backends",
            sentence: "/key and /ts2021 are served by different servers: no client can connect",
            action: "let the reverse proxy send every path of the control server to one Headscale",
        },
        holds: |e| {
            e.reason("split-backends") && e.fail_only(&[Role::Control, Role::Key, Role::Derp])
        },
    },
    Row {
        cause: Cause {
            id: "key-changed",
            sentence: "the server's public key changed: its Noise key was lost and every client must re-authenticate",
            action: "restore Headscale's noise private key from a backup; a new key that is meant is accepted with headscale_public_key",
        },
        holds: |e| e.reason("key-changed") && e.fail_only(&[Role::Key, Role::Control]),
    },
    Row {
        cause: Cause {
            id: "database",
            sentence: "the service answers and says that it is not well: its database is down, or an upgrade went wrong",
            action: "check the service's status and logs, and its database",
        },
        holds: |e| e.fail_only(&[Role::Health]) && e.only(&ANSWERED),
    },
    Row {
        cause: Cause {
            id: "key-routing",
            sentence: "only the control API's key is not served: the proxy routes it elsewhere",
            action: "check reverse proxy routing",
        },
        // Without a key no control protocol; what routes it astray may lead the relay astray.
        holds: |e| {
            e.fails(Role::Key, &ANSWERED)
                && e.fail_only(&[Role::Key, Role::Control, Role::Derp])
                && e.only(&ANSWERED)
        },
    },
    Row {
        cause: Cause {
            id: "derp",
            sentence: "only the DERP relay fails: clients behind hard NAT lose their fallback",
            action: "check the DERP configuration",
        },
        // A relay that is switched off takes its STUN with it, whose port may then refuse.
        holds: |e| e.fails_some(Role::Derp, &ANSWERED) && e.fail_only(&[Role::Derp, Role::Stun]),
    },
    Row {
        cause: Cause {
            id: "stun",
            sentence: "only STUN fails: UDP is blocked on the way or the relay does not listen, so clients find direct paths less often",
            action: "check that UDP reaches the STUN port (3478) through firewalls, and derp.server.stun_listen_addr",
        },
        holds: |e| e.fail_only(&[Role::Stun]),
    },
    Row {
        cause: Cause {
            id: "control-protocol",
            sentence: "clients cannot open the control protocol while the API answers: a proxy does not pass Upgrade, or the server refuses the handshake",
            action: "check that the reverse proxy passes Upgrade for /ts2021 and /derp",
        },
        // What strips Upgrade strips the relay's too.
        holds: |e| e.fails(Role::Control, &ANSWERED) && e.fail_only(&[Role::Control, Role::Derp]),
    },
];

/// Told of this node, not of a service: see [`uplink`].
pub const UPLINK: Cause = Cause {
    id: "uplink",
    sentence: "targets that have nothing to do with each other fail together: this node's own network is at fault",
    action: "check the network of the node that Watchbell runs on",
};

/// Told of this node: a check has not run.
pub const SILENT: Cause = Cause {
    id: "silent",
    sentence: "a check has not run for three intervals, so nothing is known of its target",
    action: "check that Watchbell's triggers run; of a check that was removed, run: watchbell forget <check>",
};

/// The connection itself fails.
const CONNECTING: [Kind; 3] = [
    Kind::ConnectRefused,
    Kind::ConnectTimeout,
    Kind::Unreachable,
];
/// Something answered, or took the connection and did not.
const ANSWERED: [Kind; 5] = [
    Kind::Status,
    Kind::Body,
    Kind::Protocol,
    Kind::Timeout,
    Kind::Latency,
];
/// What has checks that open their own sockets.
const OVER_SOCKETS: [Role; 5] = [
    Role::Port,
    Role::Certificate,
    Role::Control,
    Role::Derp,
    Role::Stun,
];
/// What a node without network sees. Not a refused connection: somebody refused it.
const NETWORK: [Kind; 4] = [
    Kind::Dns,
    Kind::ConnectTimeout,
    Kind::Unreachable,
    Kind::Timeout,
];
/// Fewer independent targets prove nothing about the node.
const OTHERS_MIN: usize = 2;

/// The first row that holds; without one there is no guess.
pub fn diagnose(seen: &[Seen]) -> Option<&'static Cause> {
    // STUN is a help beside the relay: its failure explains no other, and hides none.
    let other = |s: &Seen| s.failing.is_some() && !matches!(s.role, Role::Stun | Role::Derp);
    let apart = seen.iter().any(other);
    let seen: Vec<Seen> = seen
        .iter()
        .filter(|s| !(apart && s.role == Role::Stun))
        .cloned()
        .collect();
    let e = Evidence(&seen);
    e.failing().next()?;
    let row = TABLE.iter().find(|row| (row.holds)(&e))?;
    Some(&row.cause)
}

/// The cause that a record or a message names.
pub fn cause(id: &str) -> Option<&'static Cause> {
    let rows = TABLE.iter().map(|row| &row.cause);
    rows.chain([&UPLINK, &SILENT]).find(|c| c.id == id)
}

/// Whether a failing service is this node's own fault. Each of `others` is a target that
/// has nothing to do with it (another service, a witness): whether all of it fails as if
/// there were no network.
pub fn uplink(others: &[bool]) -> bool {
    others.len() >= OTHERS_MIN && others.iter().all(|fails| *fails)
}

impl Seen {
    /// Fails as if there were no network. HTTP's host may call anything that is not reached
    /// refused, so there it tells nothing, if only something else does.
    pub fn cut_off(&self) -> bool {
        let kind = self.failing.as_ref().map(|f| f.kind);
        kind.is_some_and(|k| NETWORK.contains(&k) || (self.http && k == Kind::ConnectRefused))
    }

    /// Fails so beyond doubt.
    pub fn surely_cut_off(&self) -> bool {
        let kind = self.failing.as_ref().map(|f| f.kind);
        kind.is_some_and(|k| NETWORK.contains(&k))
    }
}

/// The outcomes of one service's checks, asked as the table asks.
struct Evidence<'a>(&'a [Seen]);

impl Evidence<'_> {
    fn failing(&self) -> impl Iterator<Item = (&Seen, &Failure)> {
        let pairs = self.0.iter().map(|s| (s, s.failing.as_ref()));
        pairs.filter_map(|(seen, failing)| failing.map(|f| (seen, f)))
    }

    /// Something fails so.
    fn any(&self, kinds: &[Kind]) -> bool {
        self.failing().any(|(_, f)| kinds.contains(&f.kind))
    }

    /// Nothing fails otherwise.
    fn only(&self, kinds: &[Kind]) -> bool {
        self.failing().all(|(_, f)| kinds.contains(&f.kind))
    }

    fn reason(&self, reason: &str) -> bool {
        self.failing()
            .any(|(_, f)| f.reason.as_deref() == Some(reason))
    }

    /// What fails has one of these roles, and something of another role does not fail.
    fn fail_only(&self, roles: &[Role]) -> bool {
        self.failing().all(|(s, _)| roles.contains(&s.role))
            && self.0.iter().any(|s| !roles.contains(&s.role))
    }

    /// There is such a check, and all of them fail so.
    fn fails(&self, role: Role, kinds: &[Kind]) -> bool {
        let mut of_role = self.0.iter().filter(|s| s.role == role).peekable();
        of_role.peek().is_some()
            && of_role.all(|s| s.failing.as_ref().is_some_and(|f| kinds.contains(&f.kind)))
    }

    /// Something of this role fails, and fails so.
    fn fails_some(&self, role: Role, kinds: &[Kind]) -> bool {
        let mut failing = self.failing().filter(|(s, _)| s.role == role).peekable();
        failing.peek().is_some() && failing.all(|(_, f)| kinds.contains(&f.kind))
    }

    fn not_failing(&self, role: Role) -> bool {
        self.failing().all(|(s, _)| s.role != role)
    }

    /// As the port check has it; without one, as every failing check has it.
    fn port_fails(&self, kinds: &[Kind]) -> bool {
        match self.0.iter().any(|s| s.role == Role::Port) {
            true => self.fails(Role::Port, kinds),
            false => self.only(kinds),
        }
    }

    fn http(&self) -> impl Iterator<Item = &Seen> {
        self.0.iter().filter(|s| s.http && s.role.over_http())
    }

    /// Every HTTP check fails (there may be none).
    fn http_down(&self) -> bool {
        self.http().all(|s| s.failing.is_some())
    }

    /// None of them was given an answer, good or bad.
    fn http_unanswered(&self) -> bool {
        let answers = [Kind::Status, Kind::Body, Kind::Latency];
        self.http()
            .filter_map(|s| s.failing.as_ref())
            .all(|f| !answers.contains(&f.kind))
    }

    fn http_well(&self) -> bool {
        self.http().next().is_some() && self.http().all(|s| s.failing.is_none())
    }

    fn every_http_answers(&self, codes: std::ops::RangeInclusive<u16>) -> bool {
        self.http().next().is_some()
            && self.http().all(|s| {
                let status = s.failing.as_ref().and_then(|f| f.http_status);
                status.is_some_and(|code| codes.contains(&code))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Role; 5] = [
        Role::Health,
        Role::Derp,
        Role::Key,
        Role::Port,
        Role::Certificate,
    ];

    fn failure(kind: Kind) -> Failure {
        Failure {
            kind,
            reason: None,
            http_status: None,
        }
    }

    fn status(code: u16) -> Failure {
        Failure {
            http_status: Some(code),
            ..failure(Kind::Status)
        }
    }

    /// The five checks, well but for those named.
    fn seen(failing: &[(Role, Failure)]) -> Vec<Seen> {
        let of = |role| failing.iter().find(|(r, _)| *r == role);
        ALL.iter()
            .map(|role| Seen {
                role: *role,
                http: role.over_http(),
                failing: of(*role).map(|(_, f)| f.clone()),
            })
            .collect()
    }

    fn id(failing: &[(Role, Failure)]) -> Option<&'static str> {
        diagnose(&seen(failing)).map(|c| c.id)
    }

    fn all(kind: Kind) -> Vec<(Role, Failure)> {
        ALL.map(|role| (role, failure(kind))).to_vec()
    }

    fn http(f: &Failure) -> Vec<(Role, Failure)> {
        [Role::Health, Role::Derp, Role::Key]
            .map(|role| (role, f.clone()))
            .to_vec()
    }

    #[test]
    fn each_row_reads_as_the_table_does() {
        use Kind::*;
        let [health, derp, key, port, certificate] = ALL;
        let changed = Failure {
            reason: Some("key-changed".into()),
            ..failure(Protocol)
        };
        let mut dns_and_silence = all(Dns);
        dns_and_silence[0].1.kind = Timeout;
        let no_tls = [
            http(&failure(Tls)),
            vec![(certificate, failure(Certificate))],
        ]
        .concat();
        for (what, failing, want) in [
            ("every check fails to resolve", all(Dns), Some("dns")),
            (
                "one of them is silent over it",
                dns_and_silence,
                Some("dns"),
            ),
            (
                "TCP refused, everything down",
                all(ConnectRefused),
                Some("process-down"),
            ),
            (
                "TCP times out, everything down",
                all(ConnectTimeout),
                Some("host-unreachable"),
            ),
            ("no way there", all(Unreachable), Some("host-unreachable")),
            (
                "TCP down, HTTP up",
                vec![(port, failure(ConnectRefused))],
                Some("network-split"),
            ),
            (
                "sockets down, HTTP up",
                vec![
                    (port, failure(ConnectTimeout)),
                    (certificate, failure(ConnectTimeout)),
                ],
                Some("network-split"),
            ),
            (
                "certificate invalid, HTTPS down",
                no_tls,
                Some("certificate"),
            ),
            (
                "certificate invalid alone",
                vec![(certificate, failure(Certificate))],
                Some("certificate"),
            ),
            (
                "the port is refused, and HTTP is answered 500",
                [http(&status(500)), vec![(port, failure(ConnectRefused))]].concat(),
                None,
            ),
            (
                "the port is silent, and HTTP is answered 503",
                [http(&status(503)), vec![(port, failure(ConnectTimeout))]].concat(),
                None,
            ),
            ("all HTTP 502", http(&status(502)), Some("backend-down")),
            (
                "/health fails, the others up",
                vec![(health, status(500))],
                Some("database"),
            ),
            (
                "only /key fails",
                vec![(key, status(404))],
                Some("key-routing"),
            ),
            (
                "the key changed",
                vec![(key, changed.clone())],
                Some("key-changed"),
            ),
            ("only DERP fails", vec![(derp, status(404))], Some("derp")),
            // No rule fits: no guess.
            ("all HTTP 500", http(&status(500)), None),
            (
                "/health and /key",
                vec![(health, status(500)), (key, status(404))],
                None,
            ),
            (
                "502 from one of three",
                vec![(health, status(502)), (key, status(502))],
                None,
            ),
            ("a fault of ours", vec![(health, failure(Internal))], None),
            ("TLS fails without a word", all(Tls), None),
            ("nothing fails", vec![], None),
        ] {
            assert_eq!(id(&failing), want, "{what}");
        }
    }

    /// The shipped eight: the five, and control protocol, relay and STUN over sockets.
    #[test]
    fn what_clients_speak_has_its_rows() {
        use Kind::*;
        let why = |reason: &str, f: Failure| Failure {
            reason: Some(reason.into()),
            ..f
        };
        let (stripped, split) = (
            why("upgrade-stripped", status(500)),
            why("split-backends", failure(Protocol)),
        );
        let (http, socket) = (true, false);
        let plain = why("plain-http-to-tls", status(400));
        let api = |f: &Failure| [Role::Health, Role::Derp, Role::Key].map(|r| (r, http, f.clone()));
        for (what, failing, want) in [
            (
                "control alone",
                vec![(Role::Control, socket, stripped.clone())],
                Some("control-protocol"),
            ),
            (
                "Upgrade stripped",
                vec![
                    (Role::Control, socket, stripped.clone()),
                    (Role::Derp, socket, stripped.clone()),
                ],
                Some("control-protocol"),
            ),
            (
                "websocket forced: the plain relay hangs",
                vec![
                    (Role::Control, socket, status(405)),
                    (Role::Derp, socket, failure(Protocol)),
                    (Role::Derp, http, failure(Timeout)),
                ],
                Some("control-protocol"),
            ),
            (
                "another key behind /ts2021",
                vec![(Role::Control, socket, split.clone())],
                Some("split-backends"),
            ),
            (
                "the key changed, both see it",
                vec![
                    (Role::Key, http, why("key-changed", failure(Protocol))),
                    (Role::Control, socket, why("key-changed", failure(Protocol))),
                ],
                Some("key-changed"),
            ),
            (
                "/key routed elsewhere",
                vec![
                    (Role::Key, http, status(404)),
                    (Role::Control, socket, why("no-key", status(404))),
                ],
                Some("key-routing"),
            ),
            (
                "only the relay's protocol",
                vec![(Role::Derp, socket, why("not-relayed", failure(Protocol)))],
                Some("derp"),
            ),
            (
                "the relay switched off",
                vec![
                    (Role::Derp, http, status(404)),
                    (Role::Derp, socket, status(404)),
                    (Role::Stun, socket, failure(ConnectRefused)),
                ],
                Some("derp"),
            ),
            (
                "UDP blocked",
                vec![(Role::Stun, socket, failure(Timeout))],
                Some("stun"),
            ),
            (
                "plain HTTP to TLS",
                [
                    api(&status(400)).to_vec(),
                    vec![
                        (Role::Control, socket, plain.clone()),
                        (Role::Derp, socket, plain.clone()),
                    ],
                ]
                .concat(),
                Some("proxy-scheme"),
            ),
            (
                "sockets down, HTTP up",
                OVER_SOCKETS
                    .map(|r| (r, socket, failure(ConnectTimeout)))
                    .to_vec(),
                Some("network-split"),
            ),
            (
                "STUN hides no other cause",
                vec![
                    (Role::Control, socket, stripped.clone()),
                    (Role::Stun, socket, failure(Timeout)),
                ],
                Some("control-protocol"),
            ),
            (
                "control by the network alone",
                vec![(Role::Control, socket, failure(Unreachable))],
                None,
            ),
        ] {
            let mut all = seen(&[]);
            for role in [Role::Control, Role::Derp, Role::Stun] {
                all.push(Seen {
                    role,
                    http: false,
                    failing: None,
                });
            }
            for (role, http, failure) in failing {
                let its = |s: &&mut Seen| s.role == role && s.http == http;
                all.iter_mut().find(its).unwrap().failing = Some(failure);
            }
            assert_eq!(diagnose(&all).map(|c| c.id), want, "{what}");
        }
    }

    /// Where two rows could hold, the layer further down is the cause.
    #[test]
    fn a_tie_goes_to_the_lower_layer() {
        use Kind::*;
        let mut refused = all(ConnectRefused);
        refused[2].1.reason = Some("key-changed".into());
        assert_eq!(id(&refused), Some("process-down"));
        let mut expired = all(Certificate);
        expired.retain(|(role, _)| *role != Role::Port);
        assert_eq!(id(&expired), Some("certificate"));
        // Two faults at once: neither explains the other.
        let two = [
            http(&status(502)),
            vec![(Role::Certificate, failure(Certificate))],
        ]
        .concat();
        assert_eq!(id(&two), None);
    }

    #[test]
    fn a_check_alone_explains_only_what_it_sees() {
        let alone = |role, f: &Failure| {
            let seen = [Seen {
                role,
                http: true,
                failing: Some(f.clone()),
            }];
            diagnose(&seen).map(|c| c.id)
        };
        // Nothing else is well, so "only" says nothing.
        assert_eq!(alone(Role::Health, &status(500)), None);
        assert_eq!(
            alone(Role::Other, &failure(Kind::ConnectRefused)),
            Some("process-down")
        );
        assert_eq!(alone(Role::Other, &failure(Kind::Dns)), Some("dns"));
    }

    #[test]
    fn the_node_is_at_fault_when_two_others_fail_and_none_is_well() {
        for (others, want) in [
            (&[][..], false),
            (&[true], false),
            (&[true, false], false),
            (&[true, true], true),
            (&[true, true, false], false),
        ] {
            assert_eq!(uplink(others), want, "{others:?}");
        }
    }

    #[test]
    fn an_id_is_used_once_and_leads_back_to_its_cause() {
        let ids: std::collections::BTreeSet<&str> = TABLE.iter().map(|r| r.cause.id).collect();
        assert_eq!(ids.len(), TABLE.len());
        for id in ids.into_iter().chain(["uplink", "silent"]) {
            assert_eq!(cause(id).map(|c| c.id), Some(id));
        }
    }
}
