//! What `watchbell kustomize` writes. That Kustomize and Kubernetes take it is for
//! `tests/e2e/deploy_kubernetes.rs`.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::{app, assert_filled, golden};
use watchbell_deploy::File;
use watchbell_deploy::kustomize::{Base, Variable, origin};

const SECRET: &str = "hunter2";

fn variables() -> Vec<Variable<'static>> {
    let variable = |name, value, secret| Variable {
        name,
        value: Some(value),
        secret,
    };
    vec![
        variable("alert_url", "http://watchbell.watch.svc", false),
        variable("check_token", SECRET, true),
        variable("host", "hs.example.com", false),
        variable("nothing", "", false),
        variable("note", "a \"quote\": $(PATH) and \\ and $$\n# more", false),
        variable("status_token", "", true),
        variable("webhook_url", SECRET, true),
    ]
}

fn files(variables: &[Variable<'_>], image: &str) -> Result<Vec<File>, String> {
    let app = app(&[]);
    let base = Base {
        app: &app,
        variables,
        image,
        namespace: "watch",
    };
    base.files().map_err(|refused| refused.to_string())
}

fn yaml(files: &[File], name: &str) -> Vec<Value> {
    let file = files.iter().find(|f| f.name == name).unwrap();
    serde_saphyr::from_multiple(&file.text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

const IMAGE: &str = "registry.example.com/watch:1";

#[test]
fn a_base_has_its_files_and_no_secret() {
    for file in files(&variables(), IMAGE).unwrap() {
        assert_filled(file.name, &file.text);
        assert!(!file.text.contains(SECRET), "{}", file.name);
        let name = file.name.trim_start_matches('.');
        golden(&format!("kustomize/{name}"), &file.text);
    }
}

#[test]
fn a_value_is_what_the_application_reads() {
    let files = files(&variables(), IMAGE).unwrap();
    let spinapp = yaml(&files, "spinapp.yaml").remove(0);
    let given = spinapp["spec"]["variables"].as_array().unwrap();
    let value = |name: &str| {
        given
            .iter()
            .find(|v| v["name"] == name)
            .map(|v| &v["value"])
    };
    assert_eq!(value("host").unwrap(), "hs.example.com");
    assert_eq!(value("nothing"), None, "its default serves");
    // As Kubernetes expands it: $$ is a dollar.
    let note = value("note").unwrap().as_str().unwrap().replace("$$", "$");
    assert_eq!(note, "a \"quote\": $(PATH) and \\ and $$\n# more");
    assert_eq!(value("check_token").unwrap(), &Value::Null);
}

#[test]
fn metrics_are_asked_for_with_a_token_where_there_is_one() {
    let bears = |token| {
        let mut variables = variables();
        let status = variables.iter_mut().find(|v| v.name == "status_token");
        status.unwrap().value = token;
        let files = files(&variables, IMAGE).unwrap();
        let monitor = yaml(&files, "servicemonitor.yaml").remove(0);
        let bears = monitor["spec"]["endpoints"][0]["authorization"].is_object();
        let secrets = files
            .iter()
            .find(|f| f.name == "secrets.example.env")
            .unwrap();
        let asked = secrets.text.lines().any(|line| line == "status_token=");
        assert_eq!(
            bears, asked,
            "a Secret's key that is not there takes the endpoint out"
        );
        bears
    };
    assert!(bears(Some("x")));
    assert!(!bears(Some("")));
    assert!(!bears(None));
}

#[test]
fn what_cannot_be_written_is_said_at_once() {
    let variables: Vec<Variable<'_>> = variables()
        .into_iter()
        .filter(|v| v.name != "check_token")
        .collect();
    assert_eq!(
        files(&variables, "a b").unwrap_err(),
        "image: got \"a b\", want a reference such as \"registry.example.com/watchbell:1\"\n\
         variables: got no secret check_token, want one: the CronJob is let in by it"
    );
    for image in ["", "foo:", "@x", "-", "/a"] {
        let error = files(&self::variables(), image).unwrap_err();
        assert!(error.starts_with("image: got "), "{error}");
    }
    let spinapp =
        |image| yaml(&files(&self::variables(), image).unwrap(), "spinapp.yaml").remove(0);
    assert_eq!(
        spinapp("1.5")["spec"]["image"],
        "1.5",
        "a text, not a number"
    );
    for namespace in ["", "A", "-a", "a-", "a.b", &"a".repeat(64)] {
        let error = origin(namespace).unwrap_err().to_string();
        assert!(error.starts_with("namespace: got "), "{error}");
    }
    assert_eq!(
        origin("watch-2").unwrap().as_str(),
        "http://watchbell.watch-2.svc"
    );
}
