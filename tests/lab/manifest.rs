//! The repository's `spin.toml`, hurried: the same components, permissions and
//! expectations, firing every second instead of every twenty.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, value};

use crate::wasm::{GUESTS_DIR, REPOSITORY};

/// The ids of the checks, in the manifest's order.
/// Without `stun`, which the lab switches off unless a test says where to ask.
pub const CHECKS: [&str; 7] = [
    "health",
    "derp",
    "key",
    "port",
    "certificate",
    "control",
    "relay",
];
const STUN: &str = "stun";

/// How fast a check runs in the lab.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub interval: &'static str,
    pub retry_interval: &'static str,
    pub firing_interval: &'static str,
    pub timeout: &'static str,
}

/// Two failures within two seconds.
pub const QUICK: Pace = Pace {
    interval: "1s",
    retry_interval: "1s",
    firing_interval: "1s",
    timeout: "900ms",
};

/// Where the timeout must hold several steps (a second resolver, a slow host's name lookup).
pub const ROOMY: Pace = Pace {
    interval: "2s",
    retry_interval: "2s",
    firing_interval: "1s",
    timeout: "1500ms",
};

/// Where an answer takes seconds, and must not become a timeout.
pub const PATIENT: Pace = Pace {
    interval: "4s",
    retry_interval: "4s",
    firing_interval: "1s",
    timeout: "3900ms",
};

/// The checks that open their own sockets.
const OVER_SOCKETS: [&str; 4] = ["port", "certificate", "control", "relay"];
const ALERT: &str = "alert";
const STATUS: &str = "status";
const EVERY_SECOND: &str = "* * * * * *";
/// Never, as far as a test is concerned: once a year.
pub const NEVER: &str = "0 0 0 1 1 *";

/// What differs from the shipped manifest.
#[derive(Clone, Debug)]
pub struct Changes {
    pub pace: Pace,
    /// (component, variable, value).
    pub variables: Vec<(&'static str, &'static str, String)>,
    /// Where the HTTP checks go instead of `headscale_host`: their host resolves names
    /// as the system does, which the lab's DNS server cannot play.
    pub http_host: Option<&'static str>,
    /// Switches the alert component's own trigger off.
    pub no_sweep: bool,
    /// The socket checks may ring, and reach nothing else.
    pub no_sockets: bool,
    /// Further checks: (which one it is a copy of, its own id). `variables` say what differs.
    pub copies: Vec<(&'static str, &'static str)>,
    /// What a component may reach beside what is shipped.
    pub permissions: Vec<(&'static str, String)>,
    /// Components whose own trigger never fires.
    pub never: Vec<&'static str>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            pace: QUICK,
            variables: Vec::new(),
            http_host: None,
            no_sweep: false,
            no_sockets: false,
            copies: Vec::new(),
            permissions: Vec::new(),
            never: Vec::new(),
        }
    }
}

/// Writes the derived manifest.
pub fn write(to: &Path, changes: &Changes) {
    let shipped = REPOSITORY.join("spin.toml");
    let text = std::fs::read_to_string(&shipped).unwrap();
    let mut manifest: DocumentMut = text.parse().unwrap();
    for (of, id) in &changes.copies {
        copy(&mut manifest, of, id);
    }
    hurry(&mut manifest, changes);
    let Item::Table(components) = &mut manifest["component"] else {
        panic!("reading {shipped:?}: no [component] tables");
    };
    for (id, component) in components.iter_mut() {
        let id = id.get().to_owned();
        let source = component["source"].as_str().unwrap();
        let file = Path::new(source).file_name().unwrap();
        component["source"] = value(GUESTS_DIR.join(file).to_str().unwrap());
        // Built already, and a build's working directory would not be this one.
        component.as_table_mut().unwrap().remove("build");
        let variables = &mut component["variables"];
        match id.as_str() {
            STATUS => {}
            ALERT => {
                variables["webhook_timeout"] = value("1s");
                variables["webhook_retry_interval"] = value("1s");
                variables["settling_time"] = value("10s");
            }
            _ => {
                variables["interval"] = value(changes.pace.interval);
                variables["retry_interval"] = value(changes.pace.retry_interval);
                variables["firing_interval"] = value(changes.pace.firing_interval);
                variables["timeout"] = value(changes.pace.timeout);
            }
        }
        if id == STUN {
            variables["presence"] = value("off");
        }
        for (_, host) in changes.permissions.iter().filter(|(c, _)| *c == id) {
            let hosts = component["allowed_outbound_hosts"].as_array_mut();
            hosts.unwrap().push(host);
        }
        if changes.no_sockets && OVER_SOCKETS.contains(&id.as_str()) {
            let ring = toml_edit::Array::from_iter(["{{ alert_url }}"]);
            component["allowed_outbound_hosts"] = value(ring);
        }
        let variables = &mut component["variables"];
        if let (Some(host), Some(_)) = (changes.http_host, variables.get("url")) {
            go_to(component, host);
        }
        let variables = &mut component["variables"];
        for (_, key, text) in changes.variables.iter().filter(|(c, ..)| *c == id) {
            variables[*key] = value(text);
        }
    }
    std::fs::write(to, manifest.to_string()).unwrap();
}

/// Replaces the host in the URL and in the permissions.
fn go_to(component: &mut Item, host: &str) {
    const TEMPLATE: &str = "{{ headscale_host }}";
    let url = &mut component["variables"]["url"];
    *url = value(url.as_str().unwrap().replace(TEMPLATE, host));
    let permissions = component["allowed_outbound_hosts"].as_array_mut().unwrap();
    for permission in permissions.iter_mut() {
        let text = permission.as_str().unwrap().replace(TEMPLATE, host);
        *permission = text.into();
    }
}

/// One more check, as an operator adds it: its three tables under another id.
fn copy(manifest: &mut DocumentMut, of: &str, id: &str) {
    let mut component = manifest["component"][of].clone();
    component["variables"]["check"] = value(id);
    manifest["component"][id] = component;
    for kind in ["cron", "http"] {
        let triggers = manifest["trigger"][kind].as_array_of_tables_mut().unwrap();
        let its = |t: &&Table| t["component"].as_str() == Some(of);
        let mut trigger = triggers.iter().find(its).unwrap().clone();
        trigger["component"] = value(id);
        if kind == "http" {
            trigger["route"] = value(format!("/run/{id}"));
        }
        triggers.push(trigger);
    }
}

fn hurry(manifest: &mut DocumentMut, changes: &Changes) {
    let triggers = manifest["trigger"]["cron"]
        .as_array_of_tables_mut()
        .unwrap();
    for trigger in triggers.iter_mut() {
        let id = trigger["component"].as_str().unwrap();
        let never = changes.never.contains(&id) || (id == ALERT && changes.no_sweep);
        let expression = if never { NEVER } else { EVERY_SECOND };
        trigger["cron_expression"] = value(expression);
    }
}
