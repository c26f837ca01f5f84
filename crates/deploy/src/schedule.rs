//! What calls an application where nothing fires its cron triggers: each check's HTTP entry,
//! then the sweep of the alert component, again and again.
//!
//! A run that is not due is answered from the last outcome, so a schedule may call more often
//! than a check's interval; one that calls more rarely makes the check that much slower.

mod every;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use every::Every;

use watchbell_core::settings::show_duration;

use crate::fill::fill;
use crate::{Entries, File, Origin, Refused};

/// What calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// `spin aka cron create`.
    Akamai,
    /// A CronJob.
    Kubernetes,
    /// A timer and a service.
    Systemd,
    /// A workflow with a schedule.
    GithubActions,
    /// A line for cron.
    Crontab,
}

impl Scheduler {
    pub const ALL: [Self; 5] = [
        Self::Akamai,
        Self::Kubernetes,
        Self::Systemd,
        Self::GithubActions,
        Self::Crontab,
    ];

    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Akamai => "akamai",
            Self::Kubernetes => "kubernetes",
            Self::Systemd => "systemd",
            Self::GithubActions => "github-actions",
            Self::Crontab => "crontab",
        }
    }

    /// Whether it runs beside the application and needs no address.
    pub fn is_inside(self) -> bool {
        self == Self::Akamai
    }

    /// How often it calls unless told otherwise.
    pub fn every(self) -> Duration {
        match self {
            Self::GithubActions => GITHUB_MIN,
            _ => MINUTE,
        }
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scheduler {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|s| s.name() == text);
        let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
        let names = names.join(", ");
        known.ok_or_else(|| match text {
            "spinkube" => "want kubernetes, whose CronJob calls it".to_owned(),
            "fermyon-cloud" => {
                format!("Fermyon Cloud has no scheduler, want another: {names}")
            }
            _ => format!("want one of: {names}"),
        })
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// The shortest that GitHub's documentation offers.
const GITHUB_MIN: Duration = Duration::from_secs(5 * 60);

/// One call's time. The clouds cut a request at 30 s; and the checks, called at once, and the
/// sweep after them end within the minute that is a schedule's usual pace.
const CALL_MAX_S: u64 = 27;
const CONNECT_MAX_S: u64 = 5;
const RUN_MAX_S: u64 = 2 * CALL_MAX_S;
/// What ends a run that its own bounds did not: a machine that swaps, an image to be fetched.
const DEADLINE_S: u64 = 2 * RUN_MAX_S;

/// Where the token lies on a machine.
pub const TOKEN_FILE: &str = "/etc/watchbell/check-token";
/// Where the script lies on a machine.
const SCRIPT_FILE: &str = "/usr/local/libexec/watchbell-call.sh";
pub(crate) const SCRIPT_NAME: &str = "watchbell-call.sh";
/// Small, and with a shell.
pub(crate) const CURL_IMAGE: &str = "docker.io/curlimages/curl:8.11.1";

/// What to call, from where, how often.
pub struct Schedule<'a> {
    pub entries: &'a Entries,
    /// Needed, except for [`Scheduler::is_inside`], which wants none.
    pub origin: Option<&'a Origin>,
    pub every: Duration,
}

impl Schedule<'_> {
    /// # Errors
    /// When the scheduler cannot call so often, or so rarely, or needs an address.
    pub fn files(&self, scheduler: Scheduler) -> Result<Vec<File>, Refused> {
        let every = Every::of(scheduler, self.every).map_err(|want| {
            let got = show_duration(self.every);
            Refused::one(format!("--every: got {got}, want for {scheduler} {want}"))
        })?;
        let cron = every.cron();
        if scheduler.is_inside() {
            if self.origin.is_some() {
                return Err(Refused::one(format!(
                    "--url: got an address, want none for {scheduler}: its jobs call the application that they are created for"
                )));
            }
            return Ok(vec![self.akamai(&cron)]);
        }
        let origin = self.origin.ok_or_else(|| {
            Refused::one(format!(
                "--url: got nothing, want the application's address for {scheduler}"
            ))
        })?;
        let token_file = || call_script_with_token_file(self.entries, origin);
        let script = || File {
            name: SCRIPT_NAME,
            text: token_file(),
        };
        let on_a_machine = [
            ("token_file", TOKEN_FILE),
            ("script_file", SCRIPT_FILE),
            ("run_max", &RUN_MAX_S.to_string()),
            ("deadline", &DEADLINE_S.to_string()),
            ("cron", &cron),
            ("calendar", &every.calendar()),
            ("every", &every.to_string()),
        ];
        Ok(match scheduler {
            Scheduler::Akamai => Vec::new(),
            Scheduler::Kubernetes => {
                let cronjob = cronjob(&cron, CHECK_TOKEN_SECRET, CHECK_TOKEN_KEY);
                vec![File {
                    name: "watchbell-schedule.yaml",
                    text: fill(
                        KUBERNETES,
                        &[("script", &token_file()), ("cronjob", &cronjob)],
                    ),
                }]
            }
            Scheduler::Systemd => vec![
                script(),
                File {
                    name: "watchbell-call.service",
                    text: fill(SERVICE, &on_a_machine),
                },
                File {
                    name: "watchbell-call.timer",
                    text: fill(TIMER, &on_a_machine),
                },
            ],
            Scheduler::GithubActions => {
                let script = call_script(self.entries, origin, TOKEN_FROM_VARIABLE);
                vec![File {
                    name: "watchbell.yaml",
                    text: fill(GITHUB_ACTIONS, &[("cron", &cron), ("script", &script)]),
                }]
            }
            Scheduler::Crontab => vec![
                script(),
                File {
                    name: "watchbell.crontab",
                    text: fill(CRONTAB, &on_a_machine),
                },
            ],
        })
    }

    fn akamai(&self, cron: &str) -> File {
        let entries = self.entries.checks.iter().chain([&self.entries.sweep]);
        let jobs: Vec<String> = entries
            .map(|entry| {
                let (id, path) = (&entry.component, &entry.path);
                format!("create 'watchbell-{id}' '{path}' \"$@\"")
            })
            .collect();
        File {
            name: "akamai.sh",
            text: fill(AKAMAI, &[("cron", cron), ("jobs", &jobs.join("\n"))]),
        }
    }
}

const CALL: &str = include_str!("schedule/call.sh");
const TOKEN_FROM_FILE: &str = include_str!("schedule/token_file.sh");
const TOKEN_FROM_VARIABLE: &str = include_str!("schedule/token_variable.sh");
const AKAMAI: &str = include_str!("schedule/akamai.sh");
const CRONTAB: &str = include_str!("schedule/watchbell.crontab");
const SERVICE: &str = include_str!("schedule/watchbell-call.service");
const TIMER: &str = include_str!("schedule/watchbell-call.timer");
const GITHUB_ACTIONS: &str = include_str!("schedule/github-actions.yaml");
const KUBERNETES: &str = include_str!("schedule/kubernetes.yaml");
const CRONJOB: &str = include_str!("schedule/cronjob.yaml");

/// The Secret that `kubernetes.yaml` says how to create.
const CHECK_TOKEN_SECRET: &str = "watchbell-check-token";
const CHECK_TOKEN_KEY: &str = "check-token";

/// The shell that calls. What it quotes needs no escape: ids, paths and origins are of plain
/// characters.
fn call_script(entries: &Entries, origin: &Origin, token: &str) -> String {
    let checks: Vec<String> = entries
        .checks
        .iter()
        .map(|check| format!("'{}'", check.path))
        .collect();
    fill(
        CALL,
        &[
            ("origin", origin.as_str()),
            ("token", token),
            ("checks", &checks.join(" ")),
            ("sweep", &entries.sweep.path),
            ("call_max", &CALL_MAX_S.to_string()),
            ("connect_max", &CONNECT_MAX_S.to_string()),
            ("run_max", &RUN_MAX_S.to_string()),
        ],
    )
}

/// As [`call_script`], with the token in a file that `WATCHBELL_TOKEN_FILE` names.
pub(crate) fn call_script_with_token_file(entries: &Entries, origin: &Origin) -> String {
    let token = fill(TOKEN_FROM_FILE, &[("token_file", TOKEN_FILE)]);
    call_script(entries, origin, &token)
}

/// The CronJob, whose token is a key of a Secret.
pub(crate) fn cronjob(cron: &str, token_secret: &str, token_key: &str) -> String {
    fill(
        CRONJOB,
        &[
            ("cron", cron),
            ("image", CURL_IMAGE),
            ("token_secret", token_secret),
            ("token_key", token_key),
            ("deadline", &DEADLINE_S.to_string()),
        ],
    )
}
