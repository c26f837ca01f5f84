//! Bundles: the shipped manifest as it stands in one, and what lies beside it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use toml_edit::{DocumentMut, Item};
use watchbell_app::{LoadOptions, validate};
use watchbell_deploy::bundle::{
    Application, ENVIRONMENT_NAME, INSTALL_NAME, LOGROTATE_NAME, RUNTIME_CONFIG_NAME, Runtime,
    UNIT_NAME, files,
};

fn shipped() -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(repository.join("spin.toml")).unwrap()
}

/// By name.
fn texts(runtime: Runtime) -> BTreeMap<&'static str, String> {
    let application = Application::read(&shipped()).unwrap();
    let files = files(&application, runtime);
    files.into_iter().map(|f| (f.name, f.text)).collect()
}

#[test]
fn only_sources_and_builds_differ_from_the_hand_written_manifest() {
    let application = Application::read(&shipped()).unwrap();
    let mut want: DocumentMut = shipped().parse().unwrap();
    for (_, component) in want["component"].as_table_mut().unwrap().iter_mut() {
        let component = component.as_table_mut().unwrap();
        component.remove("build");
        let source = component["source"].as_str().unwrap();
        let name = source.rsplit('/').next().unwrap();
        component["source"] = toml_edit::value(format!("wasm/{name}"));
    }
    assert_eq!(application.manifest(), want.to_string());
    let has = application.manifest();
    let mut building = false;
    for line in shipped().lines() {
        if line.starts_with('[') {
            building = line.ends_with(".build]");
        }
        // What is said of a build goes with it.
        assert!(
            building || !line.starts_with('#') || has.contains(line),
            "{line}"
        );
    }
}

#[test]
fn each_wasm_file_is_there_once() {
    let application = Application::read(&shipped()).unwrap();
    let mut names: Vec<&str> = application.wasm.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names.len(), 8, "{names:?}");
    names.dedup();
    assert_eq!(names.len(), 8, "{names:?}");
    let health = &application.wasm[0];
    assert_eq!(health.component, "health");
    assert!(health.build[0].ends_with("-p http-check"), "{health:?}");
}

#[test]
fn the_embedded_runtime_reads_what_is_written() {
    let application = Application::read(&shipped()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("spin.toml"), application.manifest()).unwrap();
    fs::create_dir(dir.path().join("wasm")).unwrap();
    for wasm in &application.wasm {
        fs::write(dir.path().join(&wasm.name), "").unwrap();
    }
    let text = &texts(Runtime::Spin)[RUNTIME_CONFIG_NAME];
    fs::write(dir.path().join("runtime-config.toml"), text).unwrap();
    let findings = validate(&LoadOptions {
        manifest: "spin.toml".into(),
        runtime_config_file: Some("runtime-config.toml".into()),
        variables: vec!["headscale_host=hs.example.com".to_owned()],
        cwd: dir.path().to_owned(),
        ..LoadOptions::default()
    });
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn what_a_node_cannot_have_is_refused_all_at_once() {
    let manifest = r#"
        [component.a]
        source = { url = "https://example.com/a.wasm", digest = "sha256:0" }
        [component.b]
        source = "b.wasm"
        files = ["assets/*"]
        [component.c]
        source = "c.wasm"
        dependencies = { "x:y/z" = { version = "1" } }
        [component.d]
        source = "d.wasm"
        files = []
    "#;
    let refused = Application::read(manifest).unwrap_err();
    let want = [
        "spin.toml: component.a.source: got no text, want the path of a wasm file: a node downloads nothing",
        "spin.toml: component.b.files: got some, want none: a bundle carries wasm files alone",
        "spin.toml: component.c.dependencies: got some, want none: a bundle carries wasm files alone",
    ];
    assert_eq!(refused.0, want);
    for (version, taken) in [("1.0.0-rc.1+2", true), ("../1", false), ("", false)] {
        let manifest = format!("[application]\nversion = {version:?}\n");
        assert_eq!(Application::read(&manifest).is_ok(), taken, "{version:?}");
    }
}

/// In what is written for another place, something else calls the checks.
#[test]
fn a_manifest_for_another_place_is_refused() {
    let written = |target: &str| {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/manifest");
        let text = fs::read_to_string(golden.join(format!("{target}.toml"))).unwrap();
        Application::read(&text)
    };
    for target in ["akamai", "fermyon-cloud", "spinkube"] {
        let want = format!(
            "spin.toml: got the manifest for --target {target}, in which cron runs nothing, want the hand-written one"
        );
        assert_eq!(written(target).unwrap_err().0, [want]);
    }
    assert!(written("spin").is_ok(), "cron is of Spin itself");
}

#[test]
fn files_of_one_name_stay_two() {
    let manifest = r#"
        [component.a]
        source = "a/check.wasm"
        [component.b]
        source = "b/check.wasm"
        [component.c]
        source = "a/check.wasm"
        [[trigger.http]]
        route = "/x"
        component = { source = "x/check.wasm" }
    "#;
    let application = Application::read(manifest).unwrap();
    let document: DocumentMut = application.manifest().parse().unwrap();
    let source = |item: &Item| item["source"].as_str().unwrap().to_owned();
    let sources = ["a", "b", "c"].map(|id| source(&document["component"][id]));
    assert_eq!(
        sources,
        ["wasm/check.wasm", "wasm/check-2.wasm", "wasm/check.wasm"]
    );
    let inline = document["trigger"]["http"].as_array_of_tables().unwrap();
    let inline = source(&inline.get(0).unwrap()["component"]);
    assert_eq!(inline, "wasm/check-3.wasm");
}

#[test]
fn the_environment_names_every_variable() {
    let text = &texts(Runtime::Embedded)[ENVIRONMENT_NAME];
    let manifest: DocumentMut = shipped().parse().unwrap();
    for (name, variable) in manifest["variables"].as_table().unwrap() {
        let name = format!("SPIN_VARIABLE_{}", name.to_uppercase());
        let line = match variable.get("default").and_then(Item::as_str) {
            Some(default) => format!("#{name}='{default}'"),
            None => format!("#{name}=''"),
        };
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    // What is said of a variable is said of it here.
    let host = "# The Headscale to watch: a name or an IP address.\n# Required.\n#SPIN_VARIABLE_HEADSCALE_HOST=''\n";
    assert!(text.contains(host), "{text}");
}

/// Root sources the file: nothing of a manifest is a command or a value in it.
#[test]
fn what_is_in_the_environment_is_commented_out_to_the_last_line() {
    let default = "first\ntouch made\rtouch made\n'$(touch made)' # \n";
    for manifest in [
        format!("[variables]\nbanner = {{ default = {default:?} }}\n"),
        format!("variables = {{ banner = {{ default = {default:?} }} }}\n"),
    ] {
        let application = Application::read(&manifest).unwrap();
        let files = files(&application, Runtime::Embedded);
        let text = &files
            .iter()
            .find(|f| f.name == ENVIRONMENT_NAME)
            .unwrap()
            .text;
        assert!(text.contains("\n#SPIN_VARIABLE_BANNER='first\n"), "{text}");
        let dir = tempfile::tempdir().unwrap();
        let source = |text: &str| {
            fs::write(dir.path().join("env"), text).unwrap();
            let output = Command::new("sh")
                .args([
                    "-ec",
                    ". ./env; printf %s \"${SPIN_VARIABLE_BANNER-unset}\"",
                ])
                .current_dir(dir.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            assert!(!dir.path().join("made").exists(), "{text}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(source(text), "unset", "{manifest}");
        let ends_a_line = |c| matches!(c, '\n' | '\r');
        let live = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let live: Vec<&str> = text.split(ends_a_line).filter(live).collect();
        assert_eq!(
            live,
            ["SPIN_HTTP_LISTEN_ADDR='127.0.0.1:3000'"],
            "to systemd"
        );
        // Without the comment signs it is the default.
        let (_, own) = text.split_once("\n#SPIN_VARIABLE_BANNER").unwrap();
        let own = format!("\n#SPIN_VARIABLE_BANNER{own}").replace("\n#", "\n");
        assert_eq!(source(&own), default.replace('\r', "\n"));
    }
}

#[test]
fn every_file_is_filled_in() {
    for runtime in [Runtime::Spin, Runtime::Embedded] {
        let texts = texts(runtime);
        for name in [
            UNIT_NAME,
            INSTALL_NAME,
            LOGROTATE_NAME,
            ENVIRONMENT_NAME,
            RUNTIME_CONFIG_NAME,
        ] {
            let text = &texts[name];
            let left = [
                "@config_dir@",
                "@install_dir@",
                "@state_dir@",
                "@version@",
                "@variables@",
                "@memory_max@",
            ];
            assert!(
                left.iter().all(|mark| !text.contains(mark)),
                "{name}: {text}"
            );
        }
        let install = &texts[INSTALL_NAME];
        for name in texts.keys().filter(|name| **name != INSTALL_NAME) {
            assert!(install.contains(name), "INSTALL.md says nothing of {name}");
        }
        // %d is of systemd 251 and later, the variable as old as the credentials.
        for name in [UNIT_NAME, INSTALL_NAME] {
            assert!(!texts[name].contains("%d/"), "{name}");
        }
        assert!(install.contains("systemd 247 or later"), "{runtime:?}");
        // Only by name: a value in it would be in the process list.
        assert!(!texts[UNIT_NAME].contains("--variable"), "{runtime:?}");
    }
}
