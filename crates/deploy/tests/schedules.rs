//! What `watchbell schedule` writes, and what it does: the golden files are looked at by
//! people, the scripts in them are run here against a server.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use support::{app, assert_filled, golden};
use watchbell_deploy::schedule::{Schedule, Scheduler};
use watchbell_deploy::{Entries, File, Origin};

const TOKEN: &str = "a \"token\" with \\ and $(id) and 'quotes'";

fn files(scheduler: Scheduler, origin: &str) -> Vec<File> {
    let origin: Origin = origin.parse().unwrap();
    let entries = Entries::of(&app(&[])).unwrap();
    let schedule = Schedule {
        entries: &entries,
        origin: Some(&origin).filter(|_| !scheduler.is_inside()),
        every: scheduler.every(),
    };
    schedule.files(scheduler).unwrap()
}

fn text(files: &[File], name: &str) -> String {
    files.iter().find(|f| f.name == name).unwrap().text.clone()
}

#[test]
fn each_scheduler_has_its_files() {
    for scheduler in Scheduler::ALL {
        for file in files(scheduler, "https://watchbell.example.com") {
            assert_filled(file.name, &file.text);
            golden(&format!("{scheduler}/{}", file.name), &file.text);
        }
    }
}

#[test]
fn what_cannot_be_called_is_said_for_each_at_once() {
    let app = app(&[
        ("route = \"/run/health\"", "route = \"/run/:id\""),
        ("route = \"/run/port-two\"", "route = \"/run/it's\""),
        ("route = \"/alert\"", "route = \"/alert/...\""),
    ]);
    let refused = Entries::of(&app).unwrap_err().to_string();
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(lines.len(), 3, "{refused}");
    for (line, want) in lines.iter().zip([
        "component.health: got the routes [\"/run/:id\"], want a [[trigger.http]]",
        "component.port-two: got the routes [\"/run/it's\"], want a [[trigger.http]]",
        "component.alert: got the routes [\"/operator/...\", \"/alert/...\"], want",
    ]) {
        assert!(line.starts_with(want), "{line}");
    }
}

#[test]
fn a_scheduler_outside_needs_an_address() {
    let entries = Entries::of(&app(&[])).unwrap();
    for scheduler in Scheduler::ALL {
        let schedule = Schedule {
            entries: &entries,
            origin: None,
            every: scheduler.every(),
        };
        let refused = schedule.files(scheduler).err().map(|e| e.to_string());
        let want = (!scheduler.is_inside())
            .then(|| format!("--url: got nothing, want the application's address for {scheduler}"));
        assert_eq!(refused, want);
    }
}

#[test]
fn a_scheduler_inside_needs_none() {
    let origin: Origin = "https://watchbell.example.com".parse().unwrap();
    let entries = Entries::of(&app(&[])).unwrap();
    let schedule = Schedule {
        entries: &entries,
        origin: Some(&origin),
        every: Scheduler::Akamai.every(),
    };
    let refused = schedule.files(Scheduler::Akamai).unwrap_err().to_string();
    assert!(
        refused.starts_with("--url: got an address, want none for akamai"),
        "{refused}"
    );
}

#[test]
fn entries_are_the_same_from_a_manifests_text() {
    let text = include_str!("app/spin.toml");
    assert_eq!(Entries::read(text), Entries::of(&app(&[])));
    // However it spells its triggers.
    let inline = r#"
[trigger]
http = [{ component = "alert", route = "/alert" }, { component = "a", route = "/run/a" }]
[component.alert]
source = "alert.wasm"
[component.a]
source = "http_check.wasm"
"#;
    let entries = Entries::read(inline).unwrap();
    assert_eq!(
        (entries.checks[0].path.as_str(), entries.sweep.path.as_str()),
        ("/run/a", "/alert")
    );
}

// ---- what is called

/// Answers each request with a status, and remembers it.
struct Server {
    origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    line: String,
    authorization: String,
    /// Every process's arguments while the request was under way.
    arguments: String,
}

impl Server {
    fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (seen.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &log, &*answer));
            }
        });
        Self { origin, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Seen>>, answer: &dyn Fn(&str) -> String) {
    let mut head = Vec::new();
    for line in BufReader::new(stream).lines() {
        match line.unwrap() {
            line if line.is_empty() => break,
            line => head.push(line),
        }
    }
    let field = head.iter().find_map(|l| l.strip_prefix("authorization: "));
    let seen = Seen {
        line: head[0].clone(),
        authorization: field.unwrap_or_default().to_owned(),
        arguments: arguments(),
    };
    let status = answer(&head[0]);
    log.lock().unwrap().push(seen);
    let mut stream = stream;
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
    stream.write_all(answer.as_bytes()).unwrap();
}

fn arguments() -> String {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|p| fs::read(p.path().join("cmdline")).ok());
    lines
        .map(|l| String::from_utf8_lossy(&l).replace('\0', " ") + "\n")
        .collect()
}

/// Whether this machine has what the scripts call; says so where it has not.
fn has(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status();
    let found = found.is_ok_and(|status| status.success());
    let required = std::env::var("WATCHBELL_REQUIRE").as_deref() == Ok("1");
    assert!(
        found || !required,
        "no {program} on PATH (WATCHBELL_REQUIRE=1 makes this a failure)"
    );
    if !found {
        let _ = writeln!(std::io::stderr().lock(), "skipped: no {program} on PATH");
    }
    found
}

/// Runs a script as its scheduler does, with the token where it looks for it.
fn run(script: &str, arguments: &[&str], environment: &[(&str, &Path)]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("script.sh");
    fs::write(&file, script).unwrap();
    let token = dir.path().join("check-token");
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    Command::new("sh")
        .arg(&file)
        .args(arguments)
        .env("WATCHBELL_TOKEN_FILE", &token)
        .env("WATCHBELL_CHECK_TOKEN", TOKEN)
        // What an operator's own would add to each call.
        .env("HOME", dir.path())
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// The shell in what a scheduler is given, as that scheduler reads it.
fn script(scheduler: Scheduler, origin: &str) -> String {
    let files = files(scheduler, origin);
    match scheduler {
        Scheduler::Crontab | Scheduler::Systemd => text(&files, "watchbell-call.sh"),
        Scheduler::GithubActions => {
            let workflow: Value = yaml(&text(&files, "watchbell.yaml")).remove(0);
            let step = &workflow["jobs"]["call"]["steps"][0];
            assert_eq!(step["shell"], "sh {0}");
            step["run"].as_str().unwrap().to_owned()
        }
        Scheduler::Kubernetes => {
            let map = yaml(&text(&files, "watchbell-schedule.yaml")).remove(0);
            map["data"]["watchbell-call.sh"]
                .as_str()
                .unwrap()
                .to_owned()
        }
        Scheduler::Akamai => text(&files, "akamai.sh"),
    }
}

fn yaml(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

const OUTSIDE: [Scheduler; 4] = [
    Scheduler::Kubernetes,
    Scheduler::Systemd,
    Scheduler::GithubActions,
    Scheduler::Crontab,
];

#[test]
fn every_check_is_called_and_then_the_sweep() {
    if !has("curl") {
        return;
    }
    for scheduler in OUTSIDE {
        let server = Server::start(|_| "200 OK".to_owned());
        let output = run(&script(scheduler, &server.origin), &[], &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), said.as_str()),
            (Some(0), ""),
            "{scheduler}"
        );
        assert!(output.stdout.is_empty(), "{scheduler}: cron would mail it");
        let seen = server.seen();
        let lines: Vec<&str> = seen.iter().map(|s| s.line.as_str()).collect();
        let checks: BTreeSet<&str> = lines[..2].iter().copied().collect();
        assert_eq!(
            checks,
            BTreeSet::from(["POST /run/health HTTP/1.1", "POST /run/port-two HTTP/1.1"])
        );
        assert_eq!(lines[2..], ["POST /alert HTTP/1.1"], "{scheduler}");
        for seen in seen {
            assert_eq!(seen.authorization, format!("Bearer {TOKEN}"), "{scheduler}");
            // Of the call, and not of another process that calls somewhere.
            assert!(
                seen.arguments.contains(&server.origin),
                "{scheduler}: {}",
                seen.arguments
            );
            assert!(
                !seen.arguments.contains(TOKEN),
                "{scheduler}: {}",
                seen.arguments
            );
        }
    }
}

#[test]
fn a_call_that_fails_is_said_and_the_others_go_on() {
    if !has("curl") {
        return;
    }
    for (status, want) in [
        ("500 Internal Server Error", "got 500, want 200"),
        (
            "401 Unauthorized",
            "got 401, want 200: is the token the check_token",
        ),
        // It would take the token elsewhere, or be taken for an answer.
        ("301 Moved Permanently", "got 301, want 200"),
    ] {
        for scheduler in OUTSIDE {
            let server = Server::start(move |line| match line.contains("/run/health") {
                true => status.to_owned(),
                false => "200 OK".to_owned(),
            });
            let output = run(&script(scheduler, &server.origin), &[], &[]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{scheduler}: {said}");
            let want = format!("calling \"/run/health\": {want}");
            assert!(said.starts_with(&want), "{scheduler}: {said}");
            assert_eq!(said.lines().count(), 1, "{scheduler}: {said}");
            assert_eq!(server.seen().len(), 3, "{scheduler}");
        }
    }
}

#[test]
fn an_application_that_does_not_answer_fails_the_run() {
    if !has("curl") {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for scheduler in OUTSIDE {
        let output = run(&script(scheduler, &origin), &[], &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{scheduler}: {said}");
        assert_eq!(said.lines().count(), 3, "{scheduler}: {said}");
        assert!(
            said.contains("calling \"/alert\": got curl: (7) "),
            "{scheduler}: {said}"
        );
    }
}

#[test]
fn without_a_token_nothing_is_called() {
    if !has("curl") {
        return;
    }
    let server = Server::start(|_| "200 OK".to_owned());
    for scheduler in OUTSIDE {
        for (variable, none) in [
            ("WATCHBELL_TOKEN_FILE", "/dev/null"),
            ("WATCHBELL_TOKEN_FILE", "/nowhere"),
        ] {
            let environment = [
                (variable, Path::new(none)),
                ("WATCHBELL_CHECK_TOKEN", Path::new("")),
            ];
            let output = run(&script(scheduler, &server.origin), &[], &environment);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{scheduler}: {said}");
            assert!(
                said.contains("got nothing, want the application's check_token"),
                "{said}"
            );
        }
    }
    assert_eq!(server.seen(), []);
}

// ---- Akamai's

/// A `spin` that notes its arguments, one call a line; and how the script ends with it.
fn with_spin(arguments: &[&str], key: &str, answer: &str) -> (Output, String) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let spin = dir.path().join("spin");
    let noting = format!(
        "#!/bin/sh\nprintf '<%s>' \"$@\" >>'{0}'\necho >>'{0}'\n{answer}\n",
        log.display()
    );
    fs::write(&spin, noting).unwrap();
    let mut mode = fs::metadata(&spin).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&spin, mode).unwrap();
    let path = format!(
        "{}:{}",
        dir.path().display(),
        std::env::var("PATH").unwrap()
    );
    let environment = [
        ("PATH", Path::new(&path)),
        ("WATCHBELL_SCHEDULE_KEY", Path::new(key)),
    ];
    let output = run(
        &script(Scheduler::Akamai, "https://unused.example"),
        arguments,
        &environment,
    );
    (output, fs::read_to_string(log).unwrap_or_default())
}

#[test]
fn akamai_is_given_a_job_for_each_entry() {
    let (output, log) = with_spin(&["--app-name", "watch one"], "abc-DEF_123", "exit 0");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut want = String::new();
    for (name, path) in [
        ("watchbell-health", "/run/health"),
        ("watchbell-port-two", "/run/port-two"),
        ("watchbell-alert", "/alert"),
    ] {
        let app = "<--app-name><watch one>";
        want += &format!("<aka><cron><delete>{app}<{name}>\n");
        want += &format!(
            "<aka><cron><create>{app}<--name><{name}><--schedule><* * * * *>\
             <--path-and-query><{path}?key=abc-DEF_123>\n"
        );
    }
    assert_eq!(log, want);
}

#[test]
fn a_job_that_is_not_created_ends_the_script() {
    // Deleting what is not there fails, too, and is no reason.
    let (output, log) = with_spin(&[], "abc", "exit 1");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(log.lines().count(), 2, "{log}");
}

#[test]
fn a_key_that_would_need_quoting_is_refused_unseen() {
    for key in ["", "hunter2&x", "hunter2 x", "hunter2\n"] {
        let (output, log) = with_spin(&[], key, "exit 0");
        assert_ne!(output.status.code(), Some(0), "{key:?}");
        assert_eq!(log, "", "{key:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("WATCHBELL_SCHEDULE_KEY") && !said.contains("hunter2"),
            "{said}"
        );
    }
}

// ---- what the schedulers themselves say

#[test]
fn systemd_finds_nothing_to_say_of_its_units() {
    if !has("systemd-analyze") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for file in files(Scheduler::Systemd, "https://watchbell.example.com") {
        fs::write(dir.path().join(file.name), file.text).unwrap();
    }
    let units = ["watchbell-call.service", "watchbell-call.timer"].map(|u| dir.path().join(u));
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&units)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(0), ""));
    let calendar = Command::new("systemd-analyze")
        .args([
            "calendar",
            "--iterations=3",
            "*:*:00/20",
            "*:00/5:00",
            "*:00:00",
            "*:*:00",
        ])
        .output()
        .unwrap();
    assert!(calendar.status.success(), "{calendar:?}");
}

#[test]
fn a_crontab_has_one_line_of_five_fields_and_no_percent_sign() {
    let crontab = text(
        &files(Scheduler::Crontab, "https://watchbell.example.com"),
        "watchbell.crontab",
    );
    let lines: Vec<&str> = crontab.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(
        lines,
        ["* * * * * /bin/sh /usr/local/libexec/watchbell-call.sh"]
    );
    // Debian's cron has a parser for it.
    if has("crontab") {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(crontab.as_bytes()).unwrap();
        let output = Command::new("crontab")
            .arg("-n")
            .arg(file.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
