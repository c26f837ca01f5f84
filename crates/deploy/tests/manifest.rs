//! The manifest for each target, made from the shipped one and read back as the embedded
//! runtime reads it.
//!
//! `UPDATE_EXPECT=1` writes the golden files anew.
#![allow(clippy::unwrap_used)]

// Each suite uses a part of it.
#[allow(dead_code)]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::golden;
use watchbell_app::{App, Finding, LoadOptions, Target, validate_for};
use watchbell_deploy::manifest::{Wish, Written, write};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shipped manifest, with what everybody has to say of it.
fn shipped(variables: &[&str]) -> LoadOptions {
    let given = ["headscale_host=hs.example.com"].iter().chain(variables);
    LoadOptions {
        manifest: "spin.toml".into(),
        variables: given.map(|v| (*v).to_owned()).collect(),
        cwd: root(),
        ..LoadOptions::default()
    }
}

fn wish(target: Target) -> Wish {
    Wish {
        target,
        every: None,
        sockets: false,
        directory: None,
    }
}

/// What the target asks for where the manifest is deployed.
const GIVEN: &[&str] = &[
    "check_token=t0ken-for-the-tests",
    "schedule_key=k3y-for-the-tests",
];

/// Those of the values that are for a variable that the manifest has.
fn declared<'a>(text: &str, given: impl Iterator<Item = &'a str>) -> Vec<String> {
    let variables = text.split("[variables]").nth(1).unwrap();
    let variables = variables.split("\n[").next().unwrap();
    let has = |v: &&str| variables.contains(&format!("\n{} = ", v.split('=').next().unwrap()));
    given.filter(has).map(str::to_owned).collect()
}

/// What the embedded runtime says of a text, in a folder of its own where its wasm files
/// could be built.
fn read_back(name: &str, text: &str, options: &LoadOptions, target: Target) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join(format!("{name}.toml"));
    fs::write(&manifest, text).unwrap();
    let variables = options.variables.iter().map(String::as_str);
    let variables = declared(text, variables.chain(GIVEN.iter().copied()));
    let options = LoadOptions {
        manifest,
        variables,
        ..options.clone()
    };
    let findings = validate_for(&options, target);
    if findings.iter().all(|f| !f.stops_start) {
        let app = App::load_for(&options, target).unwrap();
        let count = text.matches("\nsource = ").count();
        assert_eq!(
            app.components.len(),
            count,
            "{name}: every component is there"
        );
    }
    findings
}

fn shown(written: &Written) -> String {
    let mut text = String::new();
    for note in &written.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    for warning in &written.warnings {
        text.push_str(&format!("{warning}\n"));
    }
    text.push_str(&format!("{}\n", written.budget));
    text
}

#[test]
fn the_shipped_manifest_is_written_for_each_target() {
    for target in Target::ALL {
        let written = write(&shipped(&[]), &wish(target)).unwrap();
        let name = format!("manifest/{target}");
        golden(&format!("{name}.toml"), &written.text);
        golden(&format!("{name}.txt"), &shown(&written));
    }
}

#[test]
fn what_was_written_is_read_back_without_a_finding() {
    for target in Target::ALL {
        for variables in [&[][..], &["alert_url=https://wb.example.com"]] {
            let options = shipped(variables);
            let written = write(&options, &wish(target)).unwrap();
            let findings = read_back(target.name(), &written.text, &options, target);
            assert!(findings.is_empty(), "{target}: {findings:#?}");
            let sources = |text: &str| text.matches("\nsource = ").count();
            let source = fs::read_to_string(root().join("spin.toml")).unwrap();
            assert_eq!(
                sources(&written.text),
                sources(&source),
                "{target}: none is lost"
            );
        }
    }
}

#[test]
fn sockets_are_tried_all_the_same_where_that_is_wanted() {
    for target in [Target::FermyonCloud, Target::Akamai] {
        let options = shipped(&[]);
        let wish = Wish {
            sockets: true,
            ..wish(target)
        };
        let written = write(&options, &wish).unwrap();
        assert!(written.text.contains("tcp://*:*") && !written.text.contains("not_offered"));
        let findings = read_back(target.name(), &written.text, &options, target);
        let rules: BTreeSet<&str> = findings.iter().map(|f| f.id).collect();
        assert_eq!(rules, BTreeSet::from(["target-sockets"]), "{target}");
    }
}

#[test]
fn writing_again_changes_nothing() {
    for target in Target::ALL {
        let options = shipped(&[]);
        let once = write(&options, &wish(target)).unwrap().text;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("spin.toml"), &once).unwrap();
        let again = LoadOptions {
            cwd: folder.path().to_owned(),
            variables: match target {
                // It has all that it needs.
                Target::FermyonCloud => Vec::new(),
                _ => options.variables,
            },
            ..options
        };
        // What was written for a target without cron is no manifest for Spin: it says so.
        match write(&again, &wish(target)) {
            Ok(twice) => assert_eq!(twice.text, once, "{target}"),
            Err(findings) => assert!(
                target != Target::Spin && findings.iter().all(|f| f.id == "permission-chaining"),
                "{target}: {findings:#?}"
            ),
        }
    }
}

#[test]
fn a_directory_that_is_yet_to_be_made_has_the_same_paths() {
    let folder = tempfile::tempdir_in(root().join("crates/deploy")).unwrap();
    let directory = folder.path().join("yet/to-be-made");
    let written = || {
        let wish = Wish {
            directory: Some(directory.clone()),
            ..wish(Target::Akamai)
        };
        write(&shipped(&[]), &wish).unwrap().text
    };
    let before = written();
    fs::create_dir_all(&directory).unwrap();
    assert_eq!(before, written());
    assert!(
        before.contains("source = \"../../../../../target/"),
        "{before}"
    );
}

#[test]
fn elsewhere_paths_lead_back_to_the_sources() {
    let folder = tempfile::tempdir_in(root().join("crates/deploy")).unwrap();
    for target in Target::ALL {
        let wish = Wish {
            directory: Some(folder.path().to_owned()),
            ..wish(target)
        };
        let text = write(&shipped(&[]), &wish).unwrap().text;
        let path = folder.path().join("spin.toml");
        fs::write(&path, &text).unwrap();
        let options = LoadOptions {
            manifest: path,
            variables: declared(
                &text,
                GIVEN
                    .iter()
                    .copied()
                    .chain(["headscale_host=hs.example.com"]),
            ),
            ..shipped(&[])
        };
        let app = App::load_for(&options, target).unwrap();
        for component in app.components.values() {
            let root = fs::canonicalize(root()).unwrap();
            let build = component.build.as_ref().unwrap();
            assert_eq!(fs::canonicalize(&build.workdir).unwrap(), root, "{target}");
            let source = component.source.strip_prefix(folder.path()).unwrap();
            assert!(
                source.starts_with("../../../target"),
                "{}",
                source.display()
            );
        }
    }
}

#[test]
fn every_interval_fits_the_pace() {
    for every_s in [60, 120, 300, 900, 3_600] {
        let options = shipped(&[]);
        for target in [Target::Spinkube, Target::FermyonCloud, Target::Akamai] {
            let wish = Wish {
                every: Some(Duration::from_secs(every_s)),
                ..wish(target)
            };
            let written = write(&options, &wish).unwrap();
            let findings = read_back(target.name(), &written.text, &options, target);
            assert!(findings.is_empty(), "{target} at {every_s}: {findings:#?}");
            // Who tells, and who shows, take one for asleep after three of them.
            let told = written.text.matches("\nsweep_interval = ").count();
            assert_eq!(
                told,
                if every_s > 60 { 2 } else { 0 },
                "{target} at {every_s}"
            );
        }
    }
}

/// A small application: one check by HTTP, and who tells of it.
const SMALL: &str = r#"spin_manifest_version = 2

[application]
name = "small"

[variables]
host = { default = "hs.example.com" }
token = { default = "hunter2-secret", secret = true }
nowhere = { required = true }
alert_url = { default = "http://127.0.0.1:3000" }
check_token = { default = "", secret = true }

[[trigger.cron]]
component = "health"
cron_expression = "*/20 * * * * *"

[component.health]
source = "http_check.wasm"
allowed_outbound_hosts = ["https://{{ host }}", "{{ alert_url }}"]
key_value_stores = ["default"]
build = { command = "make" }

[component.health.variables]
check = "health"
url = "https://{{ host }}/health"
alert_url = "{{ alert_url }}"

[[trigger.cron]]
component = "alert"
cron_expression = "*/10 * * * * *"

[[trigger.http]]
component = "alert"
route = "/alert"

[component.alert]
source = "alert.wasm"
allowed_outbound_hosts = ["https://*:*"]
key_value_stores = ["default"]
build = { command = "make" }
"#;

#[test]
fn a_small_manifest_gets_what_it_lacks() {
    for target in [Target::Spinkube, Target::FermyonCloud, Target::Akamai] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("spin.toml"), SMALL).unwrap();
        let options = LoadOptions {
            manifest: "spin.toml".into(),
            cwd: folder.path().to_owned(),
            ..LoadOptions::default()
        };
        let text = write(&options, &wish(target)).unwrap().text;
        let findings = read_back(target.name(), &text, &options, target);
        assert!(findings.is_empty(), "{target}: {findings:#?}\n{text}");
        for wanted in [
            "route = \"/run/health\"",
            "firing_interval = \"60s\"",
            "check_token = \"{{ check_token }}\"",
            "ring_token = \"{{ check_token }}\"",
            "check_token = { required = true, secret = true }",
            "settling_time = \"90s\"",
        ] {
            assert!(text.contains(wanted), "{target}: {wanted}\n{text}");
        }
        for gone in ["nowhere", "hunter2", "cron"] {
            assert!(!text.contains(gone), "{target}: {gone}\n{text}");
        }
    }
}

struct Row<'a> {
    name: &'a str,
    change: (&'a str, &'a str),
    wish: Wish,
    want: &'a str,
}

#[test]
fn what_cannot_work_there_is_refused_with_the_reason() {
    let every = |every_s| Wish {
        every: Some(Duration::from_secs(every_s)),
        ..wish(Target::Spinkube)
    };
    let cloud = || wish(Target::FermyonCloud);
    let checks: String = (0..9)
        .map(|n| {
            format!(
                "\n[component.c{n}]\nsource = \"http_check.wasm\"\n\
                 allowed_outbound_hosts = [\"https://a.example\"]\n\
                 key_value_stores = [\"default\"]\nbuild = {{ command = \"make\" }}\n\
                 variables = {{ check = \"c{n}\", url = \"https://a.example\" }}\n\
                 [[trigger.cron]]\ncomponent = \"c{n}\"\ncron_expression = \"*/20 * * * * *\"\n"
            )
        })
        .collect();
    let foreign = "\n[component.mine]\nsource = \"mine.wasm\"\nbuild = { command = \"make\" }\n\
                   [[trigger.cron]]\ncomponent = \"mine\"\ncron_expression = \"0 * * * * *\"\n";
    let end = "source = \"alert.wasm\"\nallowed_outbound_hosts = [\"https://*:*\"]\n\
               key_value_stores = [\"default\"]\nbuild = { command = \"make\" }\n";
    let mut wrong = Vec::new();
    for row in [
        Row {
            name: "a secret is not written down",
            change: (
                "[\"https://{{ host }}\"",
                "[\"https://{{ token }}\", \"https://{{ host }}\"",
            ),
            wish: cloud(),
            want: "spin.toml:19: component.health.allowed_outbound_hosts: got the secret variable \"token\" in \"https://{{ token }}\", want one that is no secret: Fermyon Cloud takes no templates in permissions, so it would be written down",
        },
        Row {
            name: "a value is needed",
            change: (
                "[\"https://{{ host }}\"",
                "[\"https://{{ nowhere }}\", \"https://{{ host }}\"",
            ),
            wish: cloud(),
            want: "spin.toml:19: component.health.allowed_outbound_hosts: got no value for \"nowhere\" in \"https://{{ nowhere }}\", want --variable nowhere=…: Fermyon Cloud takes no templates in permissions, so it is written down",
        },
        Row {
            name: "a store of its own",
            change: (
                "key_value_stores = [\"default\"]",
                "key_value_stores = [\"default\", \"other\"]",
            ),
            wish: cloud(),
            want: "spin.toml:20: component.health.key_value_stores[1]: got \"other\", want \"default\": Fermyon Cloud has no runtime config, and no other store",
        },
        Row {
            name: "a route twice",
            change: (
                "route = \"/alert\"",
                "route = \"/alert\"\n\n[[trigger.http]]\ncomponent = \"health\"\nroute = \"/alert\"",
            ),
            wish: cloud(),
            want: "spin.toml:38: trigger.http[1].route: got \"/alert\", want a route of its own: alert has it too",
        },
        Row {
            name: "a cron trigger of a component that is not ours",
            change: (end, &format!("{end}{foreign}")),
            wish: wish(Target::Akamai),
            want: "spin.toml:46: trigger.cron[2].component: got a cron trigger, want a component of Watchbell, which a route can run: Akamai Functions has no cron trigger",
        },
        Row {
            name: "more requests than an hour has",
            change: (end, &format!("{end}{checks}")),
            wish: cloud(),
            want: "spin.toml: component: got 600 outbound requests an hour, want at most 500 on Fermyon Cloud: longer intervals, or fewer checks",
        },
        Row {
            name: "a trigger that nothing runs",
            change: (
                end,
                &format!("{end}\n[[trigger.redis]]\ncomponent = \"alert\"\nchannel = \"x\"\n"),
            ),
            wish: wish(Target::Spinkube),
            want: "spin.toml:42: trigger.redis: got \"redis\", not supported by the embedded runtime, want http or cron",
        },
        Row {
            name: "a call to another component",
            change: (
                "[\"https://{{ host }}\"",
                "[\"http://x.spin.internal\", \"https://{{ host }}\"",
            ),
            wish: cloud(),
            want: "spin.toml:19: component.health.allowed_outbound_hosts: got a *.spin.internal host, want the application's own address: cron components cannot call each other",
        },
        Row {
            name: "a deadline beyond the retry",
            change: (
                "check = \"health\"",
                "check = \"health\"\ntimeout = \"40s\"",
            ),
            wish: cloud(),
            want: "spin.toml:25: component.health.variables.timeout: got 40s, want at most 25s",
        },
        Row {
            name: "too hasty",
            change: ("", ""),
            wish: every(1),
            want: "--every: got 1s, want whole minutes that divide the hour, for five fields know no seconds: at most 60m",
        },
        Row {
            name: "too rare",
            change: ("", ""),
            wish: every(7_200),
            want: "--every: got 2h, want whole minutes that divide the hour, for five fields know no seconds: at most 60m",
        },
        Row {
            name: "what no scheduler can do",
            change: ("", ""),
            wish: Wish {
                target: Target::FermyonCloud,
                ..every(7)
            },
            want: "--every: got 7s, want seconds from 5s that divide the minute, or minutes that divide the hour: at most 60m",
        },
        Row {
            name: "a token of its own",
            change: (
                "check = \"health\"",
                "check = \"health\"\nring_token = \"{{ token }}\"",
            ),
            wish: wish(Target::Spinkube),
            want: "spin.toml:25: component.health.variables.ring_token: got another token, want none, or \"{{ check_token }}\": what calls bears one token for all",
        },
        Row {
            name: "what was written for another place",
            change: (
                "spin_manifest_version",
                "# Written by `watchbell manifest --target akamai` from spin.toml, …\nspin_manifest_version",
            ),
            wish: wish(Target::Spinkube),
            want: "spin.toml: got a manifest written for Akamai Functions, want the hand-written one that it was made from",
        },
        Row {
            name: "a pace beside cron",
            change: ("", ""),
            wish: Wish {
                target: Target::Spin,
                ..every(60)
            },
            want: "--every: got a duration, want none: its cron triggers say how often checks run",
        },
        Row {
            name: "a component in its trigger",
            change: (
                "component = \"alert\"\nroute",
                "component = { source = \"x.wasm\", build = { command = \"make\" } }\nroute",
            ),
            wish: cloud(),
            want: "spin.toml:33: trigger.http[0].component: got a component written out, want the id of a component that has a table of its own",
        },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = row.change;
        assert!(SMALL.contains(from), "{}", row.name);
        fs::write(folder.path().join("spin.toml"), SMALL.replacen(from, to, 1)).unwrap();
        // The store is configured: it is the target that has no such thing.
        let config = folder.path().join("runtime-config.toml");
        fs::write(&config, "[key_value_store.other]\ntype = \"spin\"\npath = \"x.db\"\n[outbound_http]\nconnection_pooling = false\n").unwrap();
        let options = LoadOptions {
            manifest: "spin.toml".into(),
            runtime_config_file: Some(config),
            cwd: folder.path().to_owned(),
            ..LoadOptions::default()
        };
        let findings = write(&options, &row.wish).map(|w| shown(&w)).unwrap_err();
        let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
        if !texts.iter().any(|t| t == row.want) {
            wrong.push(format!("{}: {texts:#?}", row.name));
        }
        assert!(!texts.concat().contains("hunter2"), "{}", row.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_refusal_comes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = SMALL
        .replace(
            "[\"https://{{ host }}\"",
            "[\"https://{{ token }}\", \"https://{{ nowhere }}\"",
        )
        .replace(
            "key_value_stores = [\"default\"]",
            "key_value_stores = [\"default\", \"other\"]",
        );
    fs::write(folder.path().join("spin.toml"), text).unwrap();
    fs::write(
        folder.path().join("c.toml"),
        "[key_value_store.other]\ntype = \"spin\"\n",
    )
    .unwrap();
    let options = LoadOptions {
        manifest: "spin.toml".into(),
        runtime_config_file: Some("c.toml".into()),
        cwd: folder.path().to_owned(),
        ..LoadOptions::default()
    };
    let findings = write(&options, &wish(Target::FermyonCloud))
        .map(|_| ())
        .unwrap_err();
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in &findings {
        *rules.entry(finding.id).or_default() += 1;
    }
    let want = [
        ("manifest-permission-secret", 1),
        ("manifest-permission-value", 1),
        ("target-store", 2),
    ];
    for (rule, count) in want {
        assert_eq!(rules.get(rule), Some(&count), "{findings:#?}");
    }
}
