//! What `watchbell kustomize` and `watchbell schedule --target kubernetes` write, rendered by
//! Kustomize and held against the schemas of Kubernetes, of SpinKube and of the Prometheus
//! operator.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jsonschema::Draft;
use serde_json::{Value, json};
use watchbell_lab::command::Answer;
use watchbell_lab::real::kubernetes;
use watchbell_lab::skip::{skip, skip_in_part};
use watchbell_lab::wasm::{REPOSITORY, WATCHBELL};

fn watchbell(command: &str) -> Command {
    let mut watchbell = Command::new(&*WATCHBELL);
    watchbell
        .args([command, "-f"])
        .arg(&*REPOSITORY)
        .args(["--variable", "headscale_host=hs.example.com"]);
    watchbell
}

/// The base in a directory, as an operator has made it ready.
fn base(dir: &Path) {
    let answer = Answer::of(
        watchbell("kustomize")
            .args([
                "--image",
                "registry.example.com/watchbell:1",
                "--namespace",
                "watch",
            ])
            .arg("--output")
            .arg(dir),
    );
    assert_eq!(answer.exit, 0, "{answer:?}");
    let secrets = fs::read_to_string(dir.join("secrets.example.env")).unwrap();
    let secrets = secrets.replace("check_token=", "check_token=hunter2");
    fs::write(dir.join("secrets.env"), secrets).unwrap();
    let (example, own) = ("runtime-config.example.toml", "runtime-config.toml");
    fs::copy(dir.join(example), dir.join(own)).unwrap();
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

// ---- schemas

/// By apiVersion and kind.
struct Schemas(BTreeMap<(String, String), jsonschema::Validator>);

impl Schemas {
    /// Kubernetes' own, and of the others those that are there.
    fn read(test: &str) -> Result<Self, String> {
        let mut schemas = BTreeMap::new();
        let definitions = kubernetes::schemas()?;
        for (name, definition) in definitions["$defs"].as_object().unwrap() {
            for kind in definition["x-kubernetes-group-version-kind"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let [group, version, kind] =
                    ["group", "version", "kind"].map(|k| kind[k].as_str().unwrap());
                let api = if group.is_empty() {
                    version.to_owned()
                } else {
                    format!("{group}/{version}")
                };
                if !["CronJob", "ConfigMap", "Secret", "NetworkPolicy"].contains(&kind) {
                    continue;
                }
                let schema =
                    json!({ "$ref": format!("#/$defs/{name}"), "$defs": definitions["$defs"] });
                schemas.insert((api, kind.to_owned()), validator(&schema));
            }
        }
        let custom = [spinapp(), kubernetes::service_monitor()];
        for definition in custom {
            match definition {
                Ok(text) => schemas.extend(defined(&text)),
                Err(why) => skip_in_part(test, &why),
            }
        }
        Ok(Self(schemas))
    }

    /// Checks each document that has a schema here; which those are.
    fn accept(&self, documents: &[Value]) -> BTreeSet<String> {
        let mistakes = self.mistakes(documents);
        assert!(mistakes.is_empty(), "{mistakes:#?} in {documents:#?}");
        let known = documents.iter().filter(|d| self.of(d).is_some());
        known.map(|d| text(d, "kind")).collect()
    }

    /// A line each.
    fn mistakes(&self, documents: &[Value]) -> Vec<String> {
        let of = |document| {
            let errors = self.of(document).map(|schema| schema.iter_errors(document));
            let errors = errors.into_iter().flatten();
            errors.map(|e| format!("{e} at {:?}", e.instance_path().to_string()))
        };
        documents.iter().flat_map(of).collect()
    }

    fn of(&self, document: &Value) -> Option<&jsonschema::Validator> {
        let [api, kind] = ["apiVersion", "kind"].map(|key| text(document, key));
        self.0.get(&(api, kind))
    }
}

fn text(document: &Value, key: &str) -> String {
    document[key].as_str().unwrap().to_owned()
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .build(schema)
        .unwrap()
}

/// The published definition: `WATCHBELL_SCHEMAS`, or `shared/schemas` above the repository.
fn spinapp() -> Result<String, String> {
    let given = std::env::var_os("WATCHBELL_SCHEMAS").map(PathBuf::from);
    let beside = REPOSITORY.ancestors().skip(1);
    let beside = beside.map(|dir| dir.join("shared/schemas"));
    let mut files = given
        .into_iter()
        .chain(beside)
        .map(|dir| dir.join("spinapp-crd.yaml"));
    let file = files.find(|file| file.is_file());
    let file = file.ok_or("no spinapp-crd.yaml (WATCHBELL_SCHEMAS)")?;
    fs::read_to_string(&file).map_err(|e| format!("reading {file:?}: {e}"))
}

/// What a CustomResourceDefinition defines, closed: a cluster drops a field that it does not
/// know without a word.
fn defined(text: &str) -> Vec<((String, String), jsonschema::Validator)> {
    let definition: Value = documents(text).remove(0);
    let group = definition["spec"]["group"].as_str().unwrap();
    let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
    let versions = definition["spec"]["versions"].as_array().unwrap();
    let schema = |version: &Value| {
        let mut schema = version["schema"]["openAPIV3Schema"].clone();
        close(&mut schema);
        // Kubernetes' own, which no definition repeats.
        schema["properties"]["metadata"] = json!({ "type": "object" });
        let api = format!("{group}/{}", version["name"].as_str().unwrap());
        ((api, kind.to_owned()), validator(&schema))
    };
    versions.iter().map(schema).collect()
}

/// Where fields are named, no others are.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(close);
            if map
                .get("properties")
                .is_some_and(|p| p.get("type").is_none_or(Value::is_object))
            {
                map.entry("additionalProperties").or_insert(false.into());
            }
        }
        Value::Array(all) => all.iter_mut().for_each(close),
        _ => {}
    }
}

// ---- tests

#[test]
fn kustomize_renders_what_a_cluster_takes() {
    let test = "kustomize_renders_what_a_cluster_takes";
    let dir = tempfile::tempdir().unwrap();
    base(dir.path());
    let (rendered, schemas) = match (kubernetes::kustomize(dir.path()), Schemas::read(test)) {
        (Ok(rendered), Ok(schemas)) => (rendered.unwrap(), schemas),
        (Err(why), _) | (_, Err(why)) => return skip(test, &why),
    };
    let documents = documents(&rendered);
    let checked = schemas.accept(&documents);
    for kind in ["CronJob", "ConfigMap", "Secret", "NetworkPolicy"] {
        assert!(checked.contains(kind), "{kind}: {checked:?}");
    }
    for document in &documents {
        assert_eq!(document["metadata"]["namespace"], "watch", "{document:#}");
    }
    every_name_is_one_that_is_there(&documents);
}

/// What Kustomize renames, it renames wherever it is named.
fn every_name_is_one_that_is_there(documents: &[Value]) {
    let names = |kind: &str| -> BTreeSet<&str> {
        let of_kind = documents.iter().filter(|d| d["kind"] == kind);
        of_kind
            .map(|d| d["metadata"]["name"].as_str().unwrap())
            .collect()
    };
    let of = |kind: &str| documents.iter().find(|d| d["kind"] == kind).unwrap();
    let spec = &of("SpinApp")["spec"];
    let pod = &of("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let (secrets, maps) = (names("Secret"), names("ConfigMap"));
    assert!(secrets.contains(spec["runtimeConfig"]["loadFromSecret"].as_str().unwrap()));
    let variables = spec["variables"].as_array().unwrap();
    let from = |v: &Value| {
        v["valueFrom"]["secretKeyRef"]["name"]
            .as_str()
            .map(str::to_owned)
    };
    let from: Vec<String> = variables.iter().filter_map(from).collect();
    assert!(from.len() > 10, "{from:?}");
    assert!(
        from.iter().all(|name| secrets.contains(name.as_str())),
        "{from:?}"
    );
    for volume in pod["volumes"].as_array().unwrap() {
        let secret = volume["secret"]["secretName"].as_str();
        let map = volume["configMap"]["name"].as_str();
        assert!(
            secret.is_some_and(|s| secrets.contains(s)) || map.is_some_and(|m| maps.contains(m)),
            "{volume}"
        );
    }
}

#[test]
fn another_secret_is_another_pod() {
    let test = "another_secret_is_another_pod";
    let dir = tempfile::tempdir().unwrap();
    base(dir.path());
    let spinapp = || {
        let rendered = kubernetes::kustomize(dir.path())?.unwrap();
        let app = documents(&rendered)
            .into_iter()
            .find(|d| d["kind"] == "SpinApp");
        Ok::<Value, String>(app.unwrap()["spec"].clone())
    };
    let before = match spinapp() {
        Ok(before) => before,
        Err(why) => return skip(test, &why),
    };
    assert_eq!(spinapp().unwrap(), before);
    fs::write(dir.path().join("runtime-config.toml"), "# other").unwrap();
    let after = spinapp().unwrap();
    assert_ne!(after["runtimeConfig"], before["runtimeConfig"]);
    assert_eq!(after["variables"], before["variables"]);
}

#[test]
fn without_the_operators_secrets_nothing_is_rendered() {
    let test = "without_the_operators_secrets_nothing_is_rendered";
    for missing in ["secrets.env", "runtime-config.toml"] {
        let dir = tempfile::tempdir().unwrap();
        base(dir.path());
        fs::remove_file(dir.path().join(missing)).unwrap();
        match kubernetes::kustomize(dir.path()) {
            Ok(rendered) => assert!(rendered.unwrap_err().contains(missing)),
            Err(why) => return skip(test, &why),
        }
    }
}

#[test]
fn a_schedule_is_what_a_cluster_takes() {
    let test = "a_schedule_is_what_a_cluster_takes";
    let schemas = match Schemas::read(test) {
        Ok(schemas) => schemas,
        Err(why) => return skip(test, &why),
    };
    let answer = Answer::of(watchbell("schedule").args([
        "--target",
        "kubernetes",
        "--url",
        "http://watchbell.watch.svc",
        "--every",
        "2m",
    ]));
    assert_eq!((answer.exit, answer.said.as_str()), (0, ""), "{answer:?}");
    let checked = schemas.accept(&documents(&answer.text));
    assert_eq!(
        checked,
        BTreeSet::from(["ConfigMap", "CronJob"].map(str::to_owned))
    );
    // The schemas do refuse: otherwise the tests above are worth nothing.
    let wrong = answer
        .text
        .replace("concurrencyPolicy: Forbid", "concurrencyPolice: Forbid");
    let mistakes = schemas.mistakes(&documents(&wrong));
    assert!(
        mistakes.len() == 1 && mistakes[0].contains("concurrencyPolice"),
        "{mistakes:#?}"
    );
}

#[test]
fn what_a_scheduler_cannot_do_is_said() {
    for (arguments, want) in [
        (
            &[
                "--target",
                "crontab",
                "--url",
                "https://x.example",
                "--every",
                "20s",
            ][..],
            "--every: got 20s, want for crontab whole minutes",
        ),
        (
            &[
                "--target",
                "github-actions",
                "--url",
                "https://x.example",
                "--every",
                "1m",
            ],
            "--every: got 1m, want for github-actions minutes from 5m",
        ),
        (
            &["--target", "crontab"],
            "--url: got nothing, want the application's address",
        ),
        (
            &["--target", "crontab", "--url", "https://x.example/y"],
            "got a path, a query or a fragment",
        ),
        (
            &["--target", "fermyon-cloud"],
            "Fermyon Cloud has no scheduler, want another",
        ),
    ] {
        let answer = Answer::of(watchbell("schedule").args(arguments));
        assert_eq!(answer.exit, 2, "{answer:?}");
        assert!(answer.said.contains(want), "{answer:?}");
        assert_eq!(answer.text, "", "{arguments:?}");
    }
}
