//! A Kustomize base: the application on SpinKube, with what calls it, what it may reach and
//! what scrapes it.

use std::collections::BTreeSet;

use serde_json::json;
use url::Url;
use watchbell_app::{App, Kind};

use crate::fill::fill;
use crate::schedule::{Every, SCRIPT_NAME, Scheduler, call_script_with_token_file, cronjob};
use crate::{Entries, File, Origin, Refused};

/// A variable of the application's `[variables]`.
pub struct Variable<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
    pub secret: bool,
}

impl Variable<'_> {
    fn is_given(&self) -> bool {
        self.value.is_some_and(|value| !value.is_empty())
    }
}

/// What a base is made of.
pub struct Base<'a> {
    pub app: &'a App,
    /// In the order in which they are written.
    pub variables: &'a [Variable<'a>],
    /// A reference to the application in a registry.
    pub image: &'a str,
    pub namespace: &'a str,
}

pub const DEFAULT_NAMESPACE: &str = "watchbell";

/// Where the application is reached inside the cluster: the Service that the Spin operator
/// makes, by its name.
///
/// # Errors
/// When that is no name of a namespace.
pub fn origin(namespace: &str) -> Result<Origin, Refused> {
    let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = namespace.starts_with('-') || namespace.ends_with('-');
    if namespace.is_empty() || namespace.len() > 63 || ends || !namespace.chars().all(label) {
        return Err(Refused::one(format!(
            "namespace: got {namespace:?}, want at most 63 lower-case letters, digits and hyphens between them"
        )));
    }
    let origin = format!("http://watchbell.{namespace}.svc");
    origin.parse().map_err(Refused::one)
}

impl Base<'_> {
    /// # Errors
    /// When something cannot be called, named or let in.
    pub fn files(&self) -> Result<Vec<File>, Refused> {
        let origin = origin(self.namespace)?;
        let entries = Entries::of(self.app)?;
        self.check()?;
        let every = Every::of(Scheduler::Kubernetes, Scheduler::Kubernetes.every());
        let cron = every.map_err(|want| Refused::one(want.to_owned()))?.cron();
        let file = |name, text| File { name, text };
        Ok(vec![
            file(
                "kustomization.yaml",
                fill(KUSTOMIZATION, &[("namespace", self.namespace)]),
            ),
            file("namereference.yaml", NAME_REFERENCE.to_owned()),
            file("spinapp.yaml", self.spinapp()),
            file(
                "cronjob.yaml",
                format!(
                    "# Calls Watchbell: written by `watchbell kustomize`.\n{}",
                    cronjob(&cron, VARIABLES_SECRET, CHECK_TOKEN)
                ),
            ),
            file(SCRIPT_NAME, call_script_with_token_file(&entries, &origin)),
            file(
                "networkpolicy.yaml",
                fill(NETWORK_POLICY, &[("ports", &self.ports())]),
            ),
            file("servicemonitor.yaml", self.service_monitor()),
            file("secrets.example.env", self.secrets()),
            file("runtime-config.example.toml", RUNTIME_CONFIG.to_owned()),
            file(".gitignore", GITIGNORE.to_owned()),
        ])
    }

    fn check(&self) -> Result<(), Refused> {
        let mut mistakes = Vec::new();
        let word = |c: char| c.is_ascii_alphanumeric();
        let plain = |c: char| word(c) || "._-/:@".contains(c);
        let ends = self.image.starts_with(word) && self.image.ends_with(word);
        if !ends || !self.image.chars().all(plain) {
            mistakes.push(format!(
                "image: got {:?}, want a reference such as \"registry.example.com/watchbell:1\"",
                self.image
            ));
        }
        if !self
            .variables
            .iter()
            .any(|v| v.name == CHECK_TOKEN && v.secret)
        {
            mistakes.push(format!(
                "variables: got no secret {CHECK_TOKEN}, want one: the CronJob is let in by it"
            ));
        }
        match mistakes.is_empty() {
            true => Ok(()),
            false => Err(Refused(mistakes)),
        }
    }

    fn spinapp(&self) -> String {
        let variables: Vec<String> = self.variables.iter().filter_map(variable).collect();
        // The style sheet is open to everybody and rests on no state: what serves it, serves.
        let answers = |kind| self.app.components.values().any(|c| c.kind == Some(kind));
        let probe = if answers(Kind::Status) {
            "/style.css"
        } else {
            "/"
        };
        fill(
            SPINAPP,
            &[
                ("image", &json!(self.image).to_string()),
                ("probe", probe),
                ("variables", &variables.join("\n")),
            ],
        )
    }

    /// Those that checks connect to, and 443.
    fn ports(&self) -> String {
        let mut ports = BTreeSet::from([("TCP", 443)]);
        for component in self.app.components.values() {
            let Some(kind) = component.kind.filter(|kind| kind.is_check()) else {
                continue;
            };
            let url = component
                .variables
                .get("url")
                .and_then(|u| Url::parse(u).ok());
            ports.extend(
                url.and_then(|u| u.port_or_known_default())
                    .map(|p| ("TCP", p)),
            );
            let protocol = if kind == Kind::StunCheck {
                "UDP"
            } else {
                "TCP"
            };
            let port = component.variables.get("port").and_then(|p| p.parse().ok());
            ports.extend(port.map(|p| (protocol, p)));
        }
        let lines = ports.into_iter();
        let lines =
            lines.map(|(protocol, port)| format!("- protocol: {protocol}\n  port: {port}\n"));
        lines.collect()
    }

    fn service_monitor(&self) -> String {
        let token = self.variables.iter().find(|v| v.name == STATUS_TOKEN);
        let authorization = match token.is_some_and(Variable::is_given) {
            true => AUTHORIZATION.to_owned(),
            // A Secret's key that is not there would take the whole endpoint out.
            false => AUTHORIZATION.lines().fold(
                "# With a status_token in secrets.env, /metrics shows more to who bears it:\n"
                    .to_owned(),
                |text, line| text + "# " + line + "\n",
            ),
        };
        fill(SERVICE_MONITOR, &[("authorization", &authorization)])
    }

    /// What the Secret must have: what lets the CronJob in, and what has a value here, which is
    /// not written down.
    pub fn secrets_wanted(&self) -> Vec<&str> {
        let secrets = self.variables.iter().filter(|v| v.secret);
        secrets
            .filter(|v| v.name == CHECK_TOKEN || v.is_given())
            .map(|v| v.name)
            .collect()
    }

    fn secrets(&self) -> String {
        let wanted = self.secrets_wanted();
        let secrets = self.variables.iter().filter(|v| v.secret);
        let names: Vec<String> = secrets
            .map(|v| match wanted.contains(&v.name) {
                true => format!("{}=", v.name),
                false => format!("# {}=", v.name),
            })
            .collect();
        fill(SECRETS, &[("names", &names.join("\n"))])
    }
}

/// A secret one from the Secret, where it has it; another by value, where it has one.
fn variable(variable: &Variable<'_>) -> Option<String> {
    let name = json!(variable.name);
    if variable.secret {
        return Some(format!(
            "- name: {name}\n  valueFrom:\n    secretKeyRef:\n      name: {VARIABLES_SECRET}\n      \
             key: {name}\n      optional: true"
        ));
    }
    let value = variable.value.filter(|value| !value.is_empty())?;
    // It becomes an environment variable, where $(NAME) names another and $$ is a dollar.
    let value = json!(value.replace('$', "$$"));
    Some(format!("- name: {name}\n  value: {value}"))
}

const CHECK_TOKEN: &str = "check_token";
const STATUS_TOKEN: &str = "status_token";
const VARIABLES_SECRET: &str = "watchbell-variables";

const AUTHORIZATION: &str = "\
authorization:
  credentials:
    name: watchbell-variables
    key: status_token
";

const KUSTOMIZATION: &str = include_str!("kustomize/kustomization.yaml");
const NAME_REFERENCE: &str = include_str!("kustomize/namereference.yaml");
const SPINAPP: &str = include_str!("kustomize/spinapp.yaml");
const NETWORK_POLICY: &str = include_str!("kustomize/networkpolicy.yaml");
const SERVICE_MONITOR: &str = include_str!("kustomize/servicemonitor.yaml");
const SECRETS: &str = include_str!("kustomize/secrets.example.env");
const RUNTIME_CONFIG: &str = include_str!("kustomize/runtime-config.example.toml");
const GITIGNORE: &str = include_str!("kustomize/gitignore");
