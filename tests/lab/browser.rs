//! A true Chromium, driven over its DevTools protocol, that reaches nothing but 127.0.0.1.
//!
//! Messages stay JSON: the crates that type them all drop the events of a browser that is
//! newer than they are, and a complaint that is dropped is a test that passes.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use crate::real::process::Process;
use crate::wait::{self, PATIENCE};
use crate::{real, skip};

/// It asks for updates, lists and suggestions unless it is told not to, and where it asks all
/// the same it finds nobody.
const ALONE: [&str; 9] = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    "--no-first-run",
    "--no-default-browser-check",
];
/// The same picture and the same width everywhere.
const EVEN: [&str; 6] = [
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--lang=en",
];
/// Where it says at which port it listens.
const PORT_FILE: &str = "DevToolsActivePort";
/// What the accessibility rules are grouped by: WCAG 2.2 AA and what is below it.
const RULES: [&str; 6] = [
    "wcag2a",
    "wcag2aa",
    "wcag21a",
    "wcag21aa",
    "wcag22aa",
    "best-practice",
];

pub struct Browser {
    connection: RefCell<Connection>,
    axe: String,
    _process: Process,
    _dir: TempDir,
}

impl Browser {
    /// Starts one. An error is a reason to skip.
    pub fn start() -> Result<Self, String> {
        let program = skip::program(&["chromium", "chromium-browser", "google-chrome"])
            .ok_or("no Chromium is installed")?;
        let axe = real::axe()?;
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command
            // It keeps its crash reports there.
            .env("HOME", dir.path())
            .env_remove("XDG_CONFIG_HOME")
            .arg(format!("--user-data-dir={}", dir.path().display()))
            .arg("--remote-debugging-port=0")
            .args(ALONE)
            .args(EVEN)
            .arg("about:blank");
        if rustix::process::geteuid().is_root() {
            // It will not run its sandbox as root.
            command.arg("--no-sandbox");
        }
        let mut process = Process::start(command, &dir.path().join("chromium.log"));
        let (port, path) = wait::until("Chromium to listen", || {
            process.must_run();
            let text = std::fs::read_to_string(dir.path().join(PORT_FILE)).ok()?;
            let (port, path) = text.split_once('\n')?;
            Some((port.parse::<u16>().ok()?, path.trim().to_owned()))
        });
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        Ok(Self {
            connection: RefCell::new(Connection {
                socket,
                calls: 0,
                events: Vec::new(),
            }),
            axe,
            _process: process,
            _dir: dir,
        })
    }

    /// A blank page with cookies of its own and no cache. `scripts`: whether those of pages run.
    pub fn page(&self, scripts: bool) -> Page<'_> {
        let call = |method: &str, params: Value| {
            let mut connection = self.connection.borrow_mut();
            connection.call(None, method, params).unwrap()
        };
        let context = call("Target.createBrowserContext", json!({}));
        let blank =
            json!({ "url": "about:blank", "browserContextId": context["browserContextId"] });
        let target = call("Target.createTarget", blank);
        let flat = json!({ "targetId": target["targetId"], "flatten": true });
        let session = call("Target.attachToTarget", flat);
        let page = Page {
            browser: self,
            session: session["sessionId"].as_str().unwrap().to_owned(),
            scripts,
            seen: Cell::new(0),
            status: Cell::new(0),
        };
        for domain in [
            "Page",
            "Runtime",
            "Log",
            "Audits",
            "Network",
            "Accessibility",
        ] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        // What is open to all may be kept for ten seconds: a test asks sooner again.
        page.call("Network.setCacheDisabled", json!({ "cacheDisabled": true }));
        // Without it a page in the background has no focus to look at.
        page.call(
            "Emulation.setFocusEmulationEnabled",
            json!({ "enabled": true }),
        );
        page.let_scripts_run(scripts);
        page
    }
}

/// What a page is looked at with.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub dark: bool,
    pub width: u32,
    pub height: u32,
}

impl Look {
    pub const fn light(width: u32, height: u32) -> Self {
        Self {
            dark: false,
            width,
            height,
        }
    }

    pub const fn dark(width: u32, height: u32) -> Self {
        Self {
            dark: true,
            ..Self::light(width, height)
        }
    }
}

pub struct Page<'a> {
    browser: &'a Browser,
    session: String,
    scripts: bool,
    /// So many of the browser's events have been judged.
    seen: Cell<usize>,
    /// What the document was answered with.
    status: Cell<u64>,
}

impl Page<'_> {
    /// # Panics
    /// When the browser refuses.
    fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params)
            .unwrap_or_else(|why| panic!("calling {method}: {why}"))
    }

    fn try_call(&self, method: &str, params: Value) -> Result<Value, String> {
        let mut connection = self.browser.connection.borrow_mut();
        connection.call(Some(&self.session), method, params)
    }

    fn let_scripts_run(&self, run: bool) {
        let off = json!({ "value": !run });
        self.call("Emulation.setScriptExecutionDisabled", off);
    }

    /// Sends the token with every request, as who has signed in does.
    pub fn bears(&self, token: &str) {
        let headers = json!({ "headers": { "Authorization": format!("Bearer {token}") } });
        self.call("Network.setExtraHTTPHeaders", headers);
    }

    pub fn look(&self, look: Look) {
        let size = json!({
            "width": look.width, "height": look.height,
            "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
    }

    /// Opens the address, and waits until it has loaded with everything it names.
    pub fn open(&self, url: &str) {
        let from = self.browser.connection.borrow().events.len();
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert_eq!(answer.get("errorText"), None, "opening {url:?}");
        wait::until(&format!("{url:?} to load"), || {
            // What has come in the meantime is read with the answer.
            self.call("Runtime.evaluate", json!({ "expression": "0" }));
            let loaded = |e: &Value| e["method"] == "Page.loadEventFired";
            self.events(from).iter().any(loaded).then_some(())
        });
        let document = |e: &Value| {
            let ours = e["method"] == "Network.responseReceived"
                && e["params"]["loaderId"] == answer["loaderId"]
                && e["params"]["type"] == "Document";
            ours.then(|| e["params"]["response"]["status"].as_u64())?
        };
        let status = self.events(from).iter().find_map(document);
        self.status.set(status.unwrap_or_default());
    }

    /// The status that the document was opened with.
    pub fn status(&self) -> u64 {
        self.status.get()
    }

    /// What the expression is, a promise's value included.
    ///
    /// # Panics
    /// When it throws.
    pub fn is(&self, expression: &str) -> Value {
        self.evaluate(expression)
            .unwrap_or_else(|why| panic!("evaluating {expression:?}: {why}"))
    }

    /// The same as text.
    pub fn text(&self, expression: &str) -> String {
        let value = self.is(expression);
        let text = value.as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("want text of {expression:?}, got {value}"))
    }

    /// Everything that it shows.
    pub fn shown(&self) -> String {
        self.text("document.body.innerText")
    }

    /// Waits until the expression holds on a page that has loaded. It may change, or be left
    /// for another.
    pub fn until(&self, what: &str, expression: &str) {
        let held = wait::within(PATIENCE, || {
            let loaded = format!("document.readyState === 'complete' && ({expression})");
            let value = self.evaluate(&loaded).ok()?;
            (value == true).then_some(())
        });
        if held.is_none() {
            panic!("waiting for {what}: the page shows\n{}", self.shown());
        }
    }

    fn evaluate(&self, expression: &str) -> Result<Value, String> {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
        });
        let mut answer = self.try_call("Runtime.evaluate", params)?;
        match answer.get("exceptionDetails") {
            Some(why) => Err(why.to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// One key, as from a keyboard: `Tab`, `Enter`.
    pub fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            _ => panic!("pressing {key:?}: want Tab or Enter"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code,
            });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Where the focus is, after the tabulator.
    pub fn write(&self, text: &str) {
        for c in text.chars() {
            let event = json!({ "type": "char", "text": c });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// The names of its pictures, as they are told to who does not see them.
    pub fn pictures(&self) -> Vec<String> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().into_iter().flatten();
        let pictures = nodes.filter(|n| n["ignored"] == false && n["role"]["value"] == "image");
        let name = |n: &Value| n["name"]["value"].as_str().unwrap_or_default().to_owned();
        pictures.map(name).collect()
    }

    /// What it is answered and draws in all, in bytes over the wire, since it exists.
    pub fn bytes(&self) -> u64 {
        let finished = |e: &Value| {
            let ours = e["method"] == "Network.loadingFinished";
            ours.then(|| e["params"]["encodedDataLength"].as_f64())?
        };
        self.events(0).iter().filter_map(finished).sum::<f64>() as u64
    }

    /// The addresses that it has asked for, since it exists.
    pub fn requests(&self) -> Vec<String> {
        let asked = |e: &Value| {
            let ours = e["method"] == "Network.requestWillBeSent";
            ours.then(|| e["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        self.events(0).iter().filter_map(asked).collect()
    }

    /// The accessibility rules that it breaks, and where.
    pub fn violations(&self) -> Vec<String> {
        // Without scripts no promise is ever kept. Those of the page have had their time.
        self.let_scripts_run(true);
        if self.is("typeof axe") != "object" {
            self.is(&format!("{};0", self.browser.axe));
        }
        let found = self.is(&format!(
            "axe.run(document, {{ runOnly: {} }}).then((result) => ({{\
               passes: result.passes.length,\
               violations: result.violations.map((v) => \
                 `${{v.id}}: ${{v.nodes[0].html.slice(0, 200)}}: ${{v.nodes[0].failureSummary}}`) }}))",
            json!(RULES)
        ));
        self.let_scripts_run(self.scripts);
        // Whether it has looked at anything at all.
        assert!(found["passes"].as_u64() > Some(10), "{found}");
        let violations = found["violations"].as_array().into_iter().flatten();
        violations.map(Value::to_string).collect()
    }

    /// What reaches beyond the window to the right.
    pub fn overflowing(&self) -> Vec<String> {
        let found = self.is("[...document.body.querySelectorAll('*')]\
               .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)\
               .map((e) => e.outerHTML.slice(0, 120))\
               .concat(document.documentElement.scrollWidth > innerWidth ? ['the page'] : [])");
        let found = found.as_array().into_iter().flatten();
        found.map(Value::to_string).collect()
    }

    /// What the browser has held against it since this was asked last: errors, blocked
    /// content, dialogs, requests to others. An address that was opened and answered with an
    /// error is none, though Chromium says so.
    pub fn complaints(&self) -> Vec<String> {
        self.is("0");
        let origin = self.text("location.origin");
        let events = self.events(self.seen.get());
        self.seen.set(self.browser.connection.borrow().events.len());
        events
            .iter()
            .filter_map(|event| complaint(event, &origin))
            .collect()
    }

    /// Writes what is in the window to a file, as PNG.
    pub fn picture(&self, file: &Path) {
        let png = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = STANDARD.decode(png["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// Its events, without the browser's first so many.
    fn events(&self, from: usize) -> Vec<Value> {
        let connection = self.browser.connection.borrow();
        let events = connection.events.iter().skip(from);
        { events.filter(|e| e["sessionId"] == self.session.as_str()) }
            .cloned()
            .collect()
    }
}

fn complaint(event: &Value, origin: &str) -> Option<String> {
    let params = &event["params"];
    let method = event["method"].as_str()?;
    match method {
        "Runtime.consoleAPICalled"
        | "Runtime.exceptionThrown"
        | "Audits.issueAdded"
        | "Page.javascriptDialogOpening" => {}
        "Log.entryAdded" => {
            let entry = &params["entry"];
            if entry["level"] == "verbose" {
                // Advice, such as to put a user's name beside every token.
                return None;
            }
            let refused = entry["source"] == "network"
                && entry["text"]
                    .as_str()?
                    .starts_with("Failed to load resource: the server");
            let opened = entry["url"].as_str().unwrap_or_default();
            // A part of the page has a name with a dot.
            let document = !opened.rsplit('/').next().unwrap_or_default().contains('.');
            if refused && document && opened.starts_with(origin) {
                return None;
            }
        }
        "Network.requestWillBeSent" => {
            let url = params["request"]["url"].as_str()?;
            let ours = url.strip_prefix(origin).is_some_and(|p| p.starts_with('/'));
            if ours || url.starts_with("data:") {
                return None;
            }
        }
        _ => return None,
    }
    Some(format!("{method}: {params}"))
}

struct Connection {
    socket: WebSocket<TcpStream>,
    calls: u64,
    /// Everything that was not asked for, in order.
    events: Vec<Value>,
}

impl Connection {
    fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let id = self.send(session, method, params);
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else {
                continue;
            };
            let mut message: Value = serde_json::from_str(&text).unwrap();
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => Err(error.to_string()),
                    None => Ok(message["result"].take()),
                };
            }
            if message["method"] == "Page.javascriptDialogOpening" {
                // It would hold everything; that it came is kept.
                let session = message["sessionId"].as_str();
                let dismiss = json!({ "accept": false });
                self.send(session, "Page.handleJavaScriptDialog", dismiss);
            }
            if message.get("method").is_some() {
                self.events.push(message);
            }
        }
    }

    fn send(&mut self, session: Option<&str>, method: &str, params: Value) -> u64 {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let text = Message::text(message.to_string());
        self.socket.send(text).unwrap();
        self.calls
    }
}
