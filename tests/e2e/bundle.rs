//! `watchbell bundle`: what it makes runs in an empty folder, without a network, and goes on
//! where the version before it stopped.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use watchbell_lab::alone::alone;
use watchbell_lab::bundle::{Node, Runs, bundle, make};
use watchbell_lab::command::Answer;
use watchbell_lab::guide::{Machine, blocks};
use watchbell_lab::headscale::{Headscale, Speaks, State};
use watchbell_lab::manifest::{self, Changes};
use watchbell_lab::skip::{program, skip, skip_in_part};
use watchbell_lab::wait;
use watchbell_lab::wasm::{REPOSITORY, SPIN, WATCHBELL};
use watchbell_lab::webhook::Webhook;
use watchbell_lab::wire;

const LOGROTATE: [&str; 2] = ["logrotate", "/usr/sbin/logrotate"];

// ------------------------------------------------------------ a node, offline

#[test]
fn one_file_runs_the_application_in_an_empty_folder_offline() {
    let test = "one_file_runs_the_application_in_an_empty_folder_offline";
    alone(test, || {
        let mut lab = Lab::new();
        let made = lab.make("embedded", "0.1.0");
        assert_listed(&made, &["watchbell"], &["spin.toml", "wasm"]);
        lab.node.up(&made, Runs::Itself);
        lab.outage();
        let log = lab.node.log();
        assert!(
            log.contains("Running the application in this program"),
            "{log}"
        );
        lab.node.stop();
        for folder in ["cwd", "tmp"] {
            let left: Vec<_> = fs::read_dir(lab.node.path(folder)).unwrap().collect();
            assert!(left.is_empty(), "left in {folder}: {left:?}");
        }
        assert!(lab.node.path("state/logs/alert_stderr.txt").is_file());
    });
}

#[test]
fn a_directory_runs_the_application_in_an_empty_folder_offline() {
    let test = "a_directory_runs_the_application_in_an_empty_folder_offline";
    let mut hosts = vec![Runs::Embedded];
    match &*SPIN {
        Some(_) => hosts.push(Runs::Spin),
        None => skip_in_part(test, "no spin on PATH, WATCHBELL_SPIN not set"),
    }
    alone(test, || {
        for runs in hosts {
            let mut lab = Lab::new();
            let made = lab.make("spin", "0.1.0");
            assert_listed(&made, &["spin.toml", "wasm"], &["watchbell"]);
            lab.node.up(&made, runs);
            lab.outage();
            lab.node.stop();
        }
    });
}

// ------------------------------------------------------------ versions

/// The database, what is counted and what is open belong to no version.
#[test]
fn an_outage_goes_on_through_an_upgrade_and_a_rollback() {
    let mut lab = Lab::new();
    let old = lab.make("embedded", "0.1.0");
    let new = lab.make("embedded", "0.2.0");
    let link = lab.node.path("current");
    let run = |lab: &mut Lab, version: &Path, before: Option<&str>| {
        if before.is_some() {
            lab.node.stop();
        }
        let next = lab.node.path("current.new");
        symlink(version, &next).unwrap();
        fs::rename(&next, &link).unwrap();
        lab.node.up(&link, Runs::Itself);
    };
    run(&mut lab, &old, None);
    lab.node.wait_for_status("health", "up");
    lab.headscale.state(State::DatabaseDown);
    let opened = lab.webhook.wait_for(1).remove(0);
    let born = lab.born();

    run(&mut lab, &new, Some("upgraded"));
    // Seen again by the new one, and told by nobody.
    lab.wait_for_another_probe();
    assert_eq!(lab.webhook.messages().len(), 1);

    run(&mut lab, &old, Some("rolled back"));
    lab.wait_for_another_probe();
    lab.headscale.state(State::Healthy);
    let all = lab.webhook.wait_for(2);
    lab.node.wait_for_status("health", "up");
    let [_, resolved] = &all[..] else {
        panic!("want a beginning and an end, got {all:#?}");
    };
    assert_eq!(resolved.kind, "alert.resolved", "{resolved:#?}");
    assert_eq!(resolved.data("incident"), opened.data("incident"));
    assert_eq!(lab.webhook.messages().len(), 2);
    assert_eq!(lab.born(), born, "the same record");
}

/// Whoever follows INSTALL.md, from nothing to an upgrade and back, needs nothing that is not
/// in it: also where a step breaks off, is given again, or names what is not there.
#[test]
fn the_guide_is_all_that_an_operator_needs() {
    let test = "the_guide_is_all_that_an_operator_needs";
    alone(test, || {
        let machine = match Machine::new() {
            Ok(machine) => machine,
            Err(why) => return skip(test, &why),
        };
        let lab = Lab::new();
        let (old, new) = (machine.path("bundle-old"), machine.path("bundle-new"));
        make("embedded", "0.1.0", &Changes::default(), &old);
        make("embedded", "0.2.0", &Changes::default(), &new);
        for bundle in [&old, &new] {
            // As scp leaves it under umask 027: the service's user reads none of it.
            machine.run(bundle, "chmod -R g-w,o-rwx .");
        }
        let guide = fs::read_to_string(old.join("INSTALL.md")).unwrap();
        let newer = fs::read_to_string(new.join("INSTALL.md")).unwrap();

        let install = blocks(&guide, "Install");
        let [files, host, validate, start, look] = &install[..] else {
            panic!("want five steps, got {install:#?}");
        };
        // What runs that broke off have left.
        let opt = Path::new("/opt/watchbell");
        for left in ["0.1.0.new", "0.0.9"] {
            fs::create_dir_all(opt.join(left)).unwrap();
        }
        fs::write(opt.join("0.1.0.new/watchbell"), "half of it").unwrap();
        symlink("0.0.9", opt.join("current.new")).unwrap();
        let current = || fs::read_link(opt.join("current")).unwrap();
        machine.run(&old, files);
        assert_eq!(current(), Path::new("0.1.0"));
        assert_eq!(
            listing(&opt.join("0.0.9")),
            BTreeSet::new(),
            "nothing is put into it"
        );
        machine.run(&old, files);
        machine.run(&old, &host.replace("hs.example.com", "127.0.0.1"));
        // What else this operator has to say.
        let environment = Path::new("/etc/watchbell/watchbell.env");
        let mut text = fs::read_to_string(environment).unwrap();
        for (name, value) in &lab.variables {
            if *name != "headscale_host" {
                text += &format!("SPIN_VARIABLE_{}='{value}'\n", name.to_uppercase());
            }
        }
        fs::write(environment, text).unwrap();
        machine.run(&old, validate);
        machine.run(&old, start);
        machine.serving();
        let state = machine.state();
        let up = || state.last("health").filter(|(_, s)| s == "up");
        wait::until("health to be up", up);
        machine.run(&old, look);
        for file in ["watchbell.env", "runtime-config.toml"] {
            let file = Path::new("/etc/watchbell").join(file);
            assert_eq!(
                fs::metadata(&file).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }

        lab.headscale.state(State::DatabaseDown);
        lab.webhook.wait_for(1);
        rotated_by_logrotate(test, &machine);
        let upgrade = blocks(&newer, "Upgrade");
        let [place, validate, change] = &upgrade[..] else {
            panic!("want three steps, got {upgrade:#?}");
        };
        machine.run(&new, place);
        machine.run(&new, validate);
        // Whatever fails once the service is stopped: here, a folder is in the way.
        let in_the_way = opt.join("current.new/folder");
        fs::create_dir_all(&in_the_way).unwrap();
        assert!(!machine.try_run(&new, change));
        assert_eq!(machine.pid(), None);
        assert!(newer.contains("`systemctl start watchbell` starts the version that"));
        machine.run(&new, "systemctl start watchbell");
        machine.serving();
        let running = || fs::read_link(format!("/proc/{}/exe", machine.pid().unwrap())).unwrap();
        assert_eq!(running(), Path::new("/opt/watchbell/0.1.0/watchbell"));
        fs::remove_dir_all(opt.join("current.new")).unwrap();

        let copy = Path::new("/var/lib/watchbell.before-0.2.0");
        fs::write(copy.join("good"), "of before the upgrade").unwrap();
        let copied = listing(copy);
        let runs_the_new_one = |what: &str| {
            machine.serving();
            assert_eq!(
                running(),
                Path::new("/opt/watchbell/0.2.0/watchbell"),
                "{what}"
            );
            assert_eq!(listing(copy), copied, "{what}: the copy stays as it is");
        };
        machine.run(&new, change);
        runs_the_new_one("given again");
        upgrade.iter().for_each(|step| machine.run(&new, step));
        runs_the_new_one("all given again");
        let other = machine.path("bundle-other");
        machine.run(&new, "cp -a . ../bundle-other");
        machine.run(
            &other,
            "echo >>INSTALL.md; sha256sum $(cut -c 67- SHA256SUMS) >S; mv S SHA256SUMS",
        );
        assert!(
            !machine.try_run(&other, place),
            "another bundle of a version that is there"
        );

        let back = blocks(&newer, "Roll back");
        let [link, restore] = &back[..] else {
            panic!("want two steps, got {back:#?}");
        };
        let pid = machine.pid();
        for wrong in ["9.9.9", "", "0.0.9"] {
            let wrong = link.replace("PREVIOUS=0.0.0", &format!("PREVIOUS={wrong}"));
            assert!(!machine.try_run(&new, &wrong), "{wrong}");
            assert_eq!(machine.pid(), pid, "it runs on: {wrong}");
            assert_eq!(current(), Path::new("0.2.0"), "{wrong}");
        }
        let link = link.replace("PREVIOUS=0.0.0", "PREVIOUS=0.1.0");
        let roll_back = || {
            machine.run(&new, &link);
            machine.serving();
            assert_eq!(running(), Path::new("/opt/watchbell/0.1.0/watchbell"));
        };
        roll_back();
        upgrade.iter().for_each(|step| machine.run(&new, step));
        runs_the_new_one("forward again");
        roll_back();
        lab.headscale.state(State::Healthy);
        let told = lab.webhook.wait_for(2);
        assert_eq!(told[0].data("incident"), told[1].data("incident"));
        wait::until("health to be up", up);

        // With the state of before the upgrade the outage is open: it is over once more, under
        // the same ids, and a receiver sees nothing new.
        machine.run(&new, restore);
        machine.serving();
        assert!(machine.try_run(&new, "test -e /var/lib/watchbell/good"));
        assert!(machine.try_run(&new, "test -d /var/lib/watchbell.of-0.2.0-*/logs"));
        assert_eq!(listing(copy), copied);
        wait::until("health to be up", up);
        assert_eq!(lab.webhook.messages().len(), 2);

        fs::write(
            "/etc/watchbell/secrets.toml",
            "check_token = \"the-lab-may\"\n",
        )
        .unwrap();
        let secrets = blocks(&guide, "Secrets");
        machine.run(&old, &secrets.join("\n"));
        machine.serving();
        let bearer = [("authorization", "Bearer the-lab-may")];
        let answer = wire::send(
            ([127, 0, 0, 1], 3000).into(),
            "POST",
            "/run/health",
            &bearer,
        );
        assert_eq!(answer.unwrap().status, 200);

        let remove = blocks(&guide, "Remove");
        let [program, rest] = &remove[..] else {
            panic!("want two steps, got {remove:#?}");
        };
        machine.run(&old, program);
        assert_eq!(machine.pid(), None);
        assert!(Path::new("/var/lib/watchbell").exists());
        machine.run(&old, rest);
        let left = "ls -d /opt/watchbell* /etc/watchbell* /var/lib/watchbell* /etc/*/watchbell* /etc/systemd/system/watchbell* 2>/dev/null";
        assert!(
            !machine.try_run(&old, &format!("{left} | grep -q .")),
            "something is left"
        );
        assert!(!machine.try_run(&old, "id watchbell"), "the user is left");
    });
}

/// The configuration as it is installed, its `su` included.
fn rotated_by_logrotate(test: &str, machine: &Machine) {
    if program(&LOGROTATE).is_none() {
        return skip_in_part(test, "no logrotate is installed");
    }
    let log = Path::new("/var/lib/watchbell/logs/alert_stderr.txt");
    let written = || fs::metadata(log).ok().filter(|m| m.len() > 0);
    let owner = wait::until("a line in the log", written).uid();
    let rotate = "logrotate --force --state \"$LAB/rotated\" /etc/logrotate.d/watchbell";
    machine.run(Path::new("/"), rotate);
    let rotated = fs::metadata(log.with_extension("txt.1")).unwrap();
    assert_eq!(rotated.uid(), owner);
}

// ------------------------------------------------------------ which application

/// `-f` is always heeded; without it, what is carried runs, and says so where it could be
/// taken for another.
#[test]
fn what_is_asked_for_comes_before_what_is_carried_before_what_is_here() {
    let lab = Lab::new();
    let made = lab.make("embedded", "0.1.0");
    let here = lab.node.path("cwd");
    fs::write(here.join("spin.toml"), "no manifest at all").unwrap();
    let validate = |program: &Path, arguments: &[&str]| {
        let mut command = lab.node.command(program, Runs::Itself);
        Answer::of(command.arg("validate").args(arguments))
    };
    let carried = validate(&made, &[]);
    assert!(
        carried
            .text
            .starts_with("spin.toml (in this program): no mistake"),
        "{carried:?}"
    );
    let asked = validate(&made, &["-f", "."]);
    assert!(asked.said.contains("broken TOML"), "{asked:?}");
    let plain = WATCHBELL.parent().unwrap();
    let found = validate(plain, &[]);
    assert!(found.said.contains("broken TOML"), "{found:?}");

    let mut node = lab.node;
    node.up(&made, Runs::Itself);
    node.wait_for_status("health", "up");
    let log = node.log();
    assert!(log.contains("-f . runs that"), "{log}");
    node.stop();
}

/// What the operator forgot is told by a name that says where to look.
#[test]
fn a_mistake_in_the_configuration_names_no_temporary_file() {
    let lab = Lab::new();
    let made = lab.make("embedded", "0.1.0");
    let mut command = lab.node.command(&made, Runs::Itself);
    command.arg("up").env_remove("SPIN_VARIABLE_HEADSCALE_HOST");
    let answer = Answer::of(&mut command);
    assert_eq!(answer.exit, 1, "{answer:?}");
    assert!(
        answer.said.contains("spin.toml (in this program):"),
        "{answer:?}"
    );
    assert!(answer.said.contains("headscale_host"), "{answer:?}");
    let tmp = lab.node.path("tmp");
    assert!(!answer.said.contains(tmp.to_str().unwrap()), "{answer:?}");
}

#[test]
fn state_goes_where_systemd_says_or_to_the_users_own_directory() {
    let lab = Lab::new();
    let made = lab.make("embedded", "0.1.0");
    // One that the listener refuses, after everything else has been settled.
    let up = |variables: &[(&str, &str)]| {
        let mut command = lab.node.command(&made, Runs::Itself);
        command
            .args(["check", "health", "--json"])
            .env_remove("STATE_DIRECTORY")
            .env_remove("HOME")
            .envs(variables.iter().copied());
        Answer::of(&mut command)
    };
    let home = lab.node.path("home");
    let home = home.to_str().unwrap();
    let homeless = up(&[]);
    assert_eq!(homeless.exit, 3, "{homeless:?}");
    assert!(homeless.text.contains("want --state-dir"), "{homeless:?}");
    assert_eq!(up(&[("HOME", home)]).exit, 0);
    assert!(
        Path::new(home)
            .join(".local/state/watchbell/compiled")
            .is_dir()
    );
    let ours = format!("{home}/given");
    let several = format!("{ours}:{home}/other");
    assert_eq!(up(&[("STATE_DIRECTORY", &several), ("HOME", home)]).exit, 0);
    assert!(Path::new(&ours).join("compiled").is_dir());
}

// ------------------------------------------------------------ damage

/// A download that broke off, a disk that lost bytes: told, by a program that still does
/// everything else.
#[test]
fn a_damaged_bundle_says_so() {
    let lab = Lab::new();
    let made = lab.make("embedded", "0.1.0");
    let whole = fs::read(made.join("watchbell")).unwrap();
    let plain = fs::metadata(&*WATCHBELL).unwrap().len() as usize;
    assert!(whole.len() > plain, "it carries something");
    let broken = lab.node.path("broken");
    fs::create_dir(&broken).unwrap();
    let mut altered = whole.clone();
    altered[plain + (whole.len() - plain) / 2] ^= 1;
    for (what, bytes) in [
        ("cut by a byte", &whole[..whole.len() - 1]),
        ("cut within the application", &whole[..plain + 100_000]),
        ("cut where the program ends", &whole[..plain]),
        ("altered", &altered),
        ("something added", &[&whole[..], b"\n"].concat()),
    ] {
        let program = broken.join("watchbell");
        fs::write(&program, bytes).unwrap();
        fs::set_permissions(&program, fs::metadata(&*WATCHBELL).unwrap().permissions()).unwrap();
        for command in ["up", "validate"] {
            let mut run = lab.node.command(&broken, Runs::Itself);
            let answer = Answer::of(run.arg(command));
            assert_eq!(answer.exit, 1, "{what}: {answer:?}");
            let said = &answer.said;
            assert!(said.contains("cut short or altered"), "{what}: {said}");
            assert!(
                said.contains("--from") && !said.contains("panicked"),
                "{what}: {said}"
            );
        }
        let mut run = lab.node.command(&broken, Runs::Itself);
        let answer = Answer::of(run.args(["validate", "-f"]).arg(&*REPOSITORY));
        assert_eq!(answer.exit, 0, "{what}: {answer:?}");
    }
}

// ------------------------------------------------------------ where it is written

#[test]
fn only_an_empty_directory_or_a_bundle_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("spin.toml");
    manifest::write(&manifest, &Changes::default());
    let output = dir.path().join("deep/bundle");
    let write = || bundle("spin", &manifest, &output);
    assert_eq!(write().exit, 0, "a new one");
    let first = listing(&output);
    let old = fs::metadata(&output).unwrap();
    assert_eq!(write().exit, 0, "a bundle");
    assert_eq!(listing(&output), first);
    assert_ne!(
        fs::metadata(&output).unwrap().ino(),
        old.ino(),
        "another one in its place"
    );

    let refused = |got: &str| {
        let answer = write();
        assert_eq!(answer.exit, 1, "{got}: {answer:?}");
        assert!(
            answer.said.contains(&format!("got {got}")),
            "{got}: {answer:?}"
        );
    };
    let sums = fs::read_to_string(output.join("SHA256SUMS")).unwrap();
    for (name, got) in [
        ("notes.txt", r#"a bundle with "notes.txt" added, want"#),
        (
            "wasm/notes.txt",
            r#"a bundle with "wasm/notes.txt" added, want"#,
        ),
        ("notes/notes.txt", r#"a bundle with "notes" added, want"#),
        ("spin.toml", r#"a bundle with "spin.toml" changed, want"#),
        (
            "wasm/alert.wasm",
            r#"a bundle with "wasm/alert.wasm" changed, want"#,
        ),
    ] {
        let file = output.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "the operator's").unwrap();
        refused(got);
        assert_eq!(fs::read_to_string(&file).unwrap(), "the operator's");
        fs::remove_dir_all(&output).unwrap();
        assert_eq!(write().exit, 0, "a new one");
    }
    let holding = |file: &str, sums: &str| {
        fs::remove_dir_all(&output).unwrap();
        fs::create_dir(&output).unwrap();
        for (name, text) in [(file, ""), ("SHA256SUMS", sums)] {
            if !name.is_empty() {
                fs::write(output.join(name), text).unwrap();
            }
        }
    };
    // A backup: its sums are right.
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    holding("photo.jpg", &format!("{empty}  photo.jpg\n"));
    refused("a directory with ");
    assert!(output.join("photo.jpg").exists());
    holding("", &sums);
    assert_eq!(write().exit, 0, "a bundle from which files were taken");
    fs::remove_dir_all(&output).unwrap();
    fs::create_dir(&output).unwrap();
    assert_eq!(write().exit, 0, "an empty one");
    // A link stays one, to a bundle or to nothing.
    let target = dir.path().join("bundle");
    fs::rename(&output, &target).unwrap();
    symlink(&target, &output).unwrap();
    for there in [true, false] {
        refused("a symbolic link, want");
        assert!(output.is_symlink(), "{there}");
        let _ = fs::remove_dir_all(&target);
    }
    fs::remove_file(&output).unwrap();
    fs::write(&output, "a file").unwrap();
    assert_eq!(write().exit, 1, "a file");

    let beside: Vec<_> = fs::read_dir(output.parent().unwrap()).unwrap().collect();
    assert_eq!(beside.len(), 1, "nothing half made is left: {beside:?}");
}

#[test]
fn what_cannot_be_bundled_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("spin.toml");
    let output = dir.path().join("bundle");
    manifest::write(&manifest, &Changes::default());
    let text = fs::read_to_string(&manifest).unwrap();
    for (target, from, to, want) in [
        ("spin", "http_check.wasm", "none.wasm", "is not built"),
        (
            "embedded",
            "cron_expression = \"*",
            "cron_expression = \"x",
            "cron_expression",
        ),
        (
            "embedded",
            "version = \"0.1.0\"",
            "version = \"a/b\"",
            "application.version",
        ),
    ] {
        fs::write(&manifest, text.replace(from, to)).unwrap();
        let answer = bundle(target, &manifest, &output);
        assert_eq!(answer.exit, 1, "{want}: {answer:?}");
        assert!(answer.said.contains(want), "{want}: {answer:?}");
        assert!(!output.exists());
    }
    fs::write(&manifest, &text).unwrap();
    let mut other = Command::new(&*WATCHBELL);
    other
        .args(["bundle", "--binary", "/bin/sh", "-f"])
        .arg(&manifest);
    let answer = Answer::of(other.arg("--output").arg(&output));
    assert!(answer.said.contains("/bin/sh"), "{answer:?}");
    assert_eq!(answer.exit, 1, "{answer:?}");
}

/// A program that needs the libraries of the machine that it was built on is told of, not refused.
#[test]
fn a_program_that_is_linked_at_run_time_is_told_of() {
    const PT_INTERP: [u8; 8] = [3, 0, 0, 0, 4, 0, 0, 0];
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("spin.toml");
    manifest::write(&manifest, &Changes::default());
    let static_one = dir.path().join("watchbell");
    let mut program = fs::read(&*WATCHBELL).unwrap();
    // The program's headers follow the file's: PT_NULL makes a static one of it.
    let headers = program[64..1024].chunks_exact_mut(8);
    let interpreters = headers.filter(|word| *word == PT_INTERP);
    let dynamic = interpreters.map(|word| word.fill(0)).count() > 0;
    fs::write(&static_one, program).unwrap();
    for (binary, want) in [(&*WATCHBELL, dynamic), (&static_one, false)] {
        let mut command = Command::new(&*WATCHBELL);
        command.arg("bundle").arg("--binary").arg(binary).arg("-f");
        command.arg(&manifest).arg("--output");
        let answer = Answer::of(command.arg(dir.path().join("bundle")));
        assert_eq!(answer.exit, 0, "{answer:?}");
        let told = answer.said.contains("starts only where /lib");
        assert_eq!(told, want, "{answer:?}");
    }
}

// ------------------------------------------------------------ what the system reads

#[test]
fn systemd_reads_the_units() {
    let test = "systemd_reads_the_units";
    let Some(analyze) = program(&["systemd-analyze"]) else {
        return skip(test, "no systemd-analyze (systemd) is installed");
    };
    for target in ["spin", "embedded"] {
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("bundle");
        make(target, "0.1.0", &Changes::default(), &made);
        let unit = dir.path().join("watchbell.service");
        let text = fs::read_to_string(made.join("watchbell.service")).unwrap();
        let mut print = Command::new(&*WATCHBELL);
        print
            .args(["bundle", "--unit", "--target", target, "-f"])
            .arg(&*REPOSITORY);
        assert_eq!(Answer::of(&mut print).text, text, "--unit prints the same");
        // The one thing that this machine does not have: what is installed in /opt.
        let there = |line: &str| match line.strip_prefix("ExecStart=") {
            Some(command) => {
                let (_, arguments) = command.split_once(' ').unwrap();
                format!("ExecStart=/bin/true {arguments}")
            }
            None => line.to_owned(),
        };
        let lines: Vec<String> = text.lines().map(there).collect();
        fs::write(&unit, lines.join("\n")).unwrap();
        let verified = Answer::of(
            Command::new(&analyze)
                .args(["verify", "--man=no"])
                .arg(&unit),
        );
        // It fails for what keeps a unit from being loaded, and tells of the rest.
        assert_eq!(verified.exit, 0, "{target}: {verified:?}");
        // Known from 254 on, and passed over before.
        let newer = ["RestartSteps", "RestartMaxDelaySec"];
        let told: Vec<&str> = verified
            .said
            .lines()
            .filter(|line| line.contains("watchbell.service"))
            .filter(|line| !newer.iter().any(|key| line.contains(key)))
            .collect();
        assert!(told.is_empty(), "{target}: {told:#?}");
        let mut security = Command::new(&analyze);
        security
            .args(["security", "--offline=yes", "--threshold=20", "--no-pager"])
            .arg(&unit);
        let security = Answer::of(&mut security);
        let score = security.text.lines().last().unwrap_or_default();
        assert_eq!(security.exit, 0, "{target}: {score}\n{}", security.text);
    }
}

#[test]
fn logrotate_reads_its_configuration_and_no_line_is_lost() {
    let test = "logrotate_reads_its_configuration_and_no_line_is_lost";
    let Some(logrotate) = program(&LOGROTATE) else {
        return skip(test, "no logrotate is installed");
    };
    let mut lab = Lab::new();
    let made = lab.make("embedded", "0.1.0");
    let state = lab.node.path("state");
    let text = fs::read_to_string(made.join("watchbell.logrotate")).unwrap();
    let me = |which| {
        Answer::of(Command::new("id").arg(which))
            .text
            .trim()
            .to_owned()
    };
    // As the user who runs the test: `watchbell` is made at the installation.
    let su = format!("su {} {}\n", me("-un"), me("-gn"));
    assert!(text.contains("su watchbell watchbell\n"), "{text}");
    let text = text
        .replace("/var/lib/watchbell", state.to_str().unwrap())
        .replace("su watchbell watchbell\n", &su);
    let config = lab.node.path("logrotate.conf");
    fs::write(&config, text).unwrap();
    lab.node.up(&made, Runs::Itself);
    lab.node.wait_for_status("health", "up");
    lab.headscale.state(State::DatabaseDown);
    lab.webhook.wait_for(1);
    let log = state.join("logs/alert_stderr.txt");
    let written = || fs::metadata(&log).map_or(0, |m| m.len());
    wait::until("a line in the log", || (written() > 0).then_some(()));
    let rotate = |arguments: &[&str]| {
        let mut command = Command::new(&logrotate);
        command
            .args(arguments)
            .arg("--state")
            .arg(lab.node.path("rotated"))
            .arg(&config);
        let answer = Answer::of(&mut command);
        assert_eq!(answer.exit, 0, "{answer:?}");
        assert!(!answer.said.contains("error"), "{answer:?}");
    };
    rotate(&["--debug"]);
    rotate(&["--force"]);
    let moved = state.join("logs/alert_stderr.txt.1");
    assert!(fs::metadata(&moved).unwrap().len() > 0);
    lab.headscale.state(State::Healthy);
    lab.webhook.wait_for(2);
    wait::until("a line in the new log", || (written() > 0).then_some(()));
    lab.node.stop();
}

// ------------------------------------------------------------ the lab

struct Lab {
    // First, so that it ends before what it talks to.
    node: Node,
    variables: Vec<(&'static str, String)>,
    headscale: Headscale,
    webhook: Webhook,
}

impl Lab {
    fn new() -> Self {
        let headscale = Headscale::start(Speaks::Http);
        let webhook = Webhook::start();
        let variables = vec![
            ("headscale_scheme", "http".to_owned()),
            ("headscale_host", "127.0.0.1".to_owned()),
            ("headscale_port", headscale.addr().port().to_string()),
            ("webhook_url", webhook.url()),
            ("webhook_secret", Webhook::secret()),
        ];
        Self {
            node: Node::new(variables.clone()),
            variables,
            headscale,
            webhook,
        }
    }

    /// A bundle in a directory of its version.
    fn make(&self, target: &str, version: &str) -> PathBuf {
        let output = self.node.path(version);
        make(target, version, &Changes::default(), &output);
        let sums = Command::new("sha256sum")
            .args(["--strict", "--quiet", "-c", "SHA256SUMS"])
            .current_dir(&output)
            .status();
        assert!(sums.unwrap().success());
        output
    }

    /// One from end to end: told once, over once.
    fn outage(&mut self) {
        for check in ["health", "key", "port", "control"] {
            self.node.wait_for_status(check, "up");
        }
        assert_eq!(self.node.request("/health").unwrap().status, 200);
        self.headscale.state(State::DatabaseDown);
        self.webhook.wait_for(1);
        self.headscale.state(State::Healthy);
        let told = self.webhook.wait_for(2);
        let kinds: Vec<&str> = told.iter().map(|d| d.kind.as_str()).collect();
        assert_eq!(kinds, ["alert.triggered", "alert.resolved"]);
    }

    fn wait_for_another_probe(&self) {
        let state = self.node.state();
        let before = state.last("health");
        wait::until("another probe", || {
            (state.last("health") != before).then_some(())
        });
    }

    /// When the record of the check began: another one for one that began anew.
    fn born(&self) -> Value {
        let monitor = self.node.state().monitor("health").unwrap();
        let born = monitor["born_at"].clone();
        assert!(!born.is_null(), "{monitor:#}");
        born
    }
}

fn assert_listed(dir: &Path, there: &[&str], absent: &[&str]) {
    let names = listing(dir);
    let common = [
        "INSTALL.md",
        "SHA256SUMS",
        "runtime-config.toml",
        "watchbell.env.example",
        "watchbell.logrotate",
        "watchbell.service",
    ];
    for name in there.iter().chain(&common) {
        assert!(names.contains(*name), "no {name} in {names:?}");
    }
    assert!(
        absent.iter().all(|name| !names.contains(*name)),
        "{names:?}"
    );
}

fn listing(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}
