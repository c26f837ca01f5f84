//! What the runtime gets: values in Spin's precedence, paths made absolute, secrets unseen.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use watchbell_app::{App, Kind, LoadOptions, Store};

/// A folder that is gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path =
            std::env::temp_dir().join(format!("watchbell-app-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }

    fn options(&self) -> LoadOptions {
        LoadOptions {
            manifest: "spin.toml".into(),
            cwd: self.0.clone(),
            ..LoadOptions::default()
        }
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind lies in the system's temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MANIFEST: &str = r#"
spin_manifest_version = 2

[application]
name = "a"
version = "0.2.0"
authors = ["someone"]

[application.tool.lint]
level = "high"

[variables]
v = { default = "default" }
secret = { default = "hunter2", secret = true }

[[trigger.cron]]
component = "one"
cron_expression = "*/20 * * * * *"

[[trigger.http]]
id = "two"
route = "/two"
component = { source = "two.wasm", build = { command = "make", workdir = "two" } }

[component.one]
source = "x/http_check.wasm"
environment = { LEVEL = "info" }
key_value_stores = ["default", "cache"]
allowed_outbound_hosts = ["https://{{ v }}.example.com"]

[component.one.variables]
check = "one"
url = "https://{{ v }}.example.com/"
body = "{{ secret }}"

[component.one.build]
command = ["make one", "make two"]
watch = ["src/**/*.rs"]
"#;

const RUNTIME_CONFIG: &str = r#"
state_dir = "state"
max_instance_memory = 1048576

[key_value_store.cache]
type = "redis"
url = "redis://user:hunter2@localhost"

[outbound_http]
max_concurrent_requests = 4

[outbound_networking]
block_networks = ["192.0.2.0/24"]

[[variables_provider]]
type = "static"
values = { v = "static" }

[[variables_provider]]
type = "env"
prefix = "OTHER"
dotenv_path = "other.env"

[[client_tls]]
component_ids = ["one"]
hosts = ["default.example.com"]
ca_roots_file = "ca.pem"

[[client_tls]]
component_ids = ["one"]
hosts = ["default.example.com", "b.example.com"]
"#;

/// A certificate and its key, in PEM.
fn certificate() -> (String, String) {
    let names = vec!["default.example.com".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn a_value_comes_from_the_first_source_that_has_it() {
    // From the last in precedence to the first: each overrides those above it.
    let manifest = MANIFEST.replace(", \"cache\"", "");
    let folder = Folder::new("precedence", &[("spin.toml", manifest.as_str())]);
    let value = |options: &LoadOptions| {
        let app = App::load(options).unwrap();
        app.components["one"]
            .variables
            .get("url")
            .unwrap()
            .to_owned()
    };
    let mut options = folder.options();
    let law = |name: &str, options: &LoadOptions| {
        assert_eq!(value(options), format!("https://{name}.example.com/"));
    };
    law("default", &options);

    options.fill.insert("v".into(), "filled".into());
    law("filled", &options);

    fs::write(
        folder.path().join(".env"),
        "SPIN_VARIABLE_V=first\nSPIN_VARIABLE_V=dotenv\n",
    )
    .unwrap();
    law("dotenv", &options);

    options.env.insert("SPIN_VARIABLE_V".into(), "env".into());
    options.env.insert("V".into(), "nobody".into());
    law("env", &options);

    let config = folder.path().join("rc.toml");
    let env =
        "[[variables_provider]]\ntype = \"env\"\nprefix = \"OTHER\"\ndotenv_path = \"other.env\"\n";
    fs::write(&config, env).unwrap();
    fs::write(folder.path().join("other.env"), "OTHER_V=other-dotenv\n").unwrap();
    options.runtime_config_file = Some("rc.toml".into());
    law("other-dotenv", &options);

    options.env.insert("OTHER_V".into(), "other".into());
    law("other", &options);

    // Providers count in their order, and the old name of the table is known.
    let two =
        format!("[[variables_provider]]\ntype = \"static\"\nvalues = {{ v = \"static\" }}\n{env}");
    fs::write(
        &config,
        two.replace("variables_provider", "config_provider"),
    )
    .unwrap();
    law("static", &options);

    options.variables = vec!["v=earlier".into(), "v=option".into()];
    law("option", &options);

    fs::write(folder.path().join("v.txt"), "file").unwrap();
    options.variables.push("v=@v.txt".into());
    law("file", &options);

    fs::write(folder.path().join("v.toml"), "v = \"toml\"").unwrap();
    options.variables.push("@v.toml".into());
    law("toml", &options);

    fs::write(folder.path().join("v.json"), r#"{"v": "json"}"#).unwrap();
    options.variables.push("@v.json".into());
    law("json", &options);
}

/// Where `spin up -f app/spin.toml` looks for it.
#[test]
fn dotenv_lies_in_the_working_directory() {
    let manifest = MANIFEST.replace(", \"cache\"", "");
    let folder = Folder::new("dotenv", &[(".env", "SPIN_VARIABLE_V=here\n")]);
    let app = folder.path().join("app");
    fs::create_dir(&app).unwrap();
    fs::write(app.join("spin.toml"), &manifest).unwrap();
    fs::write(app.join(".env"), "SPIN_VARIABLE_V=beside-the-manifest\n").unwrap();
    let options = LoadOptions {
        manifest: "app/spin.toml".into(),
        ..folder.options()
    };
    let app = App::load(&options).unwrap();
    let url = app.components["one"].variables.get("url");
    assert_eq!(url, Some("https://here.example.com/"));
}

#[test]
fn an_ipv6_address_is_bracketed_wherever_it_comes_from() {
    let manifest = MANIFEST
        .replace(", \"cache\"", "")
        .replace("{{ v }}.example.com", "{{ v }}:8443");
    for (given, want) in [
        ("2001:db8::1", "https://[2001:db8::1]:8443/"),
        ("[2001:db8::1]", "https://[2001:db8::1]:8443/"),
        ("192.0.2.1", "https://192.0.2.1:8443/"),
    ] {
        let static_provider =
            format!("[[variables_provider]]\ntype = \"static\"\nvalues = {{ v = {given:?} }}\n");
        let folder = Folder::new(
            "ipv6",
            &[
                ("spin.toml", manifest.as_str()),
                ("rc.toml", static_provider.as_str()),
            ],
        );
        let mut options = folder.options();
        let law = |options: &LoadOptions, from: &str| {
            let app = App::load(options).unwrap();
            let one = &app.components["one"];
            assert_eq!(one.variables.get("url"), Some(want), "{from}");
            let allowed = one.allowed_outbound_hosts.as_ref().unwrap();
            assert!(allowed.allows_url(want, "https"), "{from}");
        };
        options.runtime_config_file = Some("rc.toml".into());
        law(&options, "a provider");
        options.runtime_config_file = None;
        fs::write(
            folder.path().join(".env"),
            format!("SPIN_VARIABLE_V={given}\n"),
        )
        .unwrap();
        law(&options, ".env");
        options.env.insert("SPIN_VARIABLE_V".into(), given.into());
        law(&options, "the environment");
        options.variables = vec![format!("v={given}")];
        law(&options, "--variable");
    }
}

#[test]
fn the_runtime_gets_what_was_written() {
    let folder = Folder::new(
        "written",
        &[
            ("spin.toml", MANIFEST),
            ("rc.toml", RUNTIME_CONFIG),
            ("ca.pem", certificate().0.as_str()),
        ],
    );
    let mut options = folder.options();
    options.runtime_config_file = Some("rc.toml".into());
    options.variables = vec!["v=default".into()];
    let app = App::load(&options).unwrap();
    let dir = folder.path();

    assert_eq!((app.name.as_str(), app.version.as_str()), ("a", "0.2.0"));
    assert_eq!(
        (&app.manifest, app.dir.as_path()),
        (&dir.join("spin.toml"), dir)
    );
    let one = &app.components["one"];
    assert_eq!(one.kind, Some(Kind::HttpCheck));
    assert_eq!(one.source, dir.join("x/http_check.wasm"));
    assert_eq!(one.environment["LEVEL"], "info");
    assert_eq!(one.key_value_stores, ["default", "cache"]);
    let build = one.build.as_ref().unwrap();
    assert_eq!(build.command, ["make one", "make two"]);
    assert_eq!(build.workdir, dir);
    let hosts = one.allowed_outbound_hosts.as_ref().unwrap();
    assert!(hosts.allows_url("https://default.example.com/x", "https"));
    assert!(!hosts.allows_url("https://other.example.com/x", "https"));

    // Written out in its trigger, and named after it.
    let two = &app.components["two-component"];
    assert_eq!(two.kind, None);
    assert_eq!(two.build.as_ref().unwrap().workdir, dir.join("two"));
    assert_eq!(app.http[0].component, "two-component");
    assert_eq!(app.cron[0].expression, "*/20 * * * * *");
    assert_eq!(app.cron[0].schedule.next_after(0), Some(20));

    assert_eq!(app.state_dir.as_deref(), Some(dir.join("state").as_path()));
    assert_eq!(app.log_dir, Some(dir.join("state/logs")));
    assert_eq!(app.max_instance_memory_bytes, Some(1_048_576));
    assert_eq!(
        app.key_value_stores["default"],
        Store::Sqlite {
            path: Some(dir.join("state/sqlite_key_value.db"))
        }
    );
    assert!(
        matches!(&app.key_value_stores["cache"], Store::Redis { url } if url.ends_with("localhost"))
    );
    // A table without the key turns pooling off, as on Spin.
    assert!(!app.outbound_http.connection_pooling);
    assert_eq!(app.outbound_http.max_concurrent_requests, Some(4));
    assert!(
        app.blocked_networks
            .is_blocked("192.0.2.1".parse().unwrap())
    );

    // The first entry wins, and with a file of roots the public ones are left out.
    let tls = app
        .client_tls
        .for_host("one", "default.example.com")
        .unwrap();
    assert_eq!((tls.ca_roots.len(), tls.use_webpki_roots), (1, false));
    let tls = app.client_tls.for_host("one", "b.example.com").unwrap();
    assert_eq!((tls.ca_roots.len(), tls.use_webpki_roots), (0, true));
    assert!(
        app.client_tls
            .for_host("two-component", "b.example.com")
            .is_none()
    );
}

#[test]
fn the_state_directory_is_the_options_then_the_configs_then_beside_the_manifest() {
    let folder = Folder::new(
        "state",
        &[("spin.toml", MANIFEST.replace(", \"cache\"", "").as_str())],
    );
    let config = folder.path().join("rc.toml");
    for (option, configured, want) in [
        (None, None, Some(".spin")),
        (None, Some("b"), Some("b")),
        (None, Some(""), None),
        (Some("a"), Some("b"), Some("a")),
        (Some(""), Some("b"), None),
    ] {
        let mut options = folder.options();
        if let Some(configured) = configured {
            fs::write(&config, format!("state_dir = {configured:?}\n")).unwrap();
            options.runtime_config_file = Some("rc.toml".into());
        }
        options.state_dir = option.map(PathBuf::from);
        let app = App::load(&options).unwrap();
        let want = want.map(|name| folder.path().join(name));
        assert_eq!(app.state_dir, want, "{option:?} {configured:?}");
        assert_eq!(
            app.key_value_stores["default"],
            Store::Sqlite {
                path: want.map(|d| d.join("sqlite_key_value.db"))
            }
        );
    }
}

#[test]
fn a_secret_is_seen_by_its_component_and_by_no_message() {
    let folder = Folder::new(
        "secret",
        &[
            ("spin.toml", MANIFEST),
            ("rc.toml", RUNTIME_CONFIG),
            ("ca.pem", certificate().0.as_str()),
        ],
    );
    let mut options = folder.options();
    options.runtime_config_file = Some("rc.toml".into());
    let app = App::load(&options).unwrap();
    assert_eq!(app.components["one"].variables.get("body"), Some("hunter2"));
    assert_eq!(app.components["two-component"].variables.get("body"), None);
    let shown = format!("{app:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_client_certificate_comes_with_its_own_key() {
    let config = r#"
[[client_tls]]
component_ids = ["one"]
hosts = ["default.example.com"]
client_cert_file = "client.pem"
client_private_key_file = "client.key"
"#;
    let (chain, key) = certificate();
    let (_, other) = certificate();
    let manifest = MANIFEST.replace(", \"cache\"", "");
    for (key, want) in [
        (key.as_str(), None),
        (other.as_str(), Some("client-certificate")),
    ] {
        let folder = Folder::new(
            "client-certificate",
            &[
                ("spin.toml", manifest.as_str()),
                ("rc.toml", config),
                ("client.pem", chain.as_str()),
                ("client.key", key),
            ],
        );
        let mut options = folder.options();
        options.runtime_config_file = Some("rc.toml".into());
        let stops = App::load(&options).err().unwrap_or_default();
        let id = stops.iter().find(|f| f.stops_start).map(|f| f.id);
        assert_eq!(id, want, "{stops:?}");
    }
}

#[test]
fn a_manifest_that_is_not_there_is_one_finding() {
    let folder = Folder::new("absent", &[]);
    let findings = App::load(&folder.options()).unwrap_err();
    let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["spin.toml: got a file that cannot be read (entity not found), want a text file"]
    );
}

#[test]
fn a_finding_has_its_shape_in_json() {
    let folder = Folder::new("json", &[("spin.toml", "spin_manifest_version = 1\n")]);
    let findings = watchbell_app::validate(&folder.options());
    let version = findings
        .iter()
        .find(|f| f.id == "manifest-version")
        .unwrap();
    assert_eq!(
        serde_json::to_value(version).unwrap(),
        serde_json::json!({
            "file": "spin.toml",
            "line": 1,
            "key": "spin_manifest_version",
            "id": "manifest-version",
            "level": "error",
            "got": "1",
            "want": "2",
            "stops_start": true,
        })
    );
}

/// Whatever stands in the files, reading ends with findings, not with a panic.
#[test]
fn no_text_makes_it_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spin.toml");
    let text = fs::read_to_string(corpus).unwrap();
    let folder = Folder::new("hostile", &[]);
    let mut options = folder.options();
    options.runtime_config_file = Some("rc.toml".into());
    let nested = format!("a = {}", "[".repeat(10_000));
    let mut texts = vec![String::new(), "\u{feff}".into(), "= =".into(), nested];
    // The shipped manifest, cut at every hundredth byte, and with a byte changed there.
    for at in (0..text.len())
        .step_by(101)
        .filter(|at| text.is_char_boundary(*at))
    {
        texts.push(text[..at].to_owned());
        for change in ["\"", "[", "}}", "\0"] {
            texts.push(format!("{}{change}{}", &text[..at], &text[at..]));
        }
    }
    for text in texts {
        fs::write(folder.path().join("spin.toml"), &text).unwrap();
        fs::write(folder.path().join("rc.toml"), &text).unwrap();
        watchbell_app::validate(&options);
    }
}
