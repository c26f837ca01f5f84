//! The pages as people meet them: in a true Chromium, by keyboard, on a phone, in the dark,
//! without scripts, and with hostile text in them.
//!
//! `WATCHBELL_SCREENSHOTS=<directory>` also writes the pictures of docs/status.md there.

#![allow(clippy::unwrap_used)]

#[path = "pages/past.rs"]
mod past;

use std::path::Path;
use std::time::{Duration, Instant};

use past::with_a_past;
use serde_json::Value;
use watchbell_lab::browser::{Browser, Look, Page};
use watchbell_lab::headscale::{Misroute, State};
use watchbell_lab::manifest::{CHECKS, PATIENT};
use watchbell_lab::receivers::Receivers;
use watchbell_lab::runtime::{CHECK_TOKEN, Host};
use watchbell_lab::scenario::{Lab, Setup};
use watchbell_lab::wire::Response;
use watchbell_lab::{skip, wait};

const TOKEN: &str = "who-bears-this-sees-all";
/// The script's own interval, and what a busy machine adds to it.
const REFRESHED_WITHIN: Duration = Duration::from_secs(20 + 40);
/// With style sheet and script, from an empty cache: a second on a slow phone.
const OVERVIEW_BYTES_MAX: u64 = 50_000;
/// More stops of the tabulator than any page has.
const STOPS_MAX: usize = 60;

/// Where in the window that stands which has the focus.
const READING_AT: &str = "document.activeElement.getBoundingClientRect().top";
/// By so much it may move when what is above it says more or less: three lines.
const MOVED_PX_MAX: f64 = 70.0;

const LOOKS: [Look; 4] = [
    Look::light(1280, 900),
    Look::dark(1280, 900),
    Look::light(320, 640),
    Look::dark(320, 640),
];

fn browser(test: &str) -> Option<Browser> {
    let started = Browser::start();
    started.map_err(|why| skip::skip(test, &why)).ok()
}

fn with_token() -> Setup {
    let mut setup = Setup {
        variables: vec![("status_token", TOKEN.to_owned())],
        ..Setup::default()
    };
    // A browser beside them keeps the checks waiting, which is no failure here.
    setup.changes.pace = PATIENT;
    setup
}

/// What the pages show does not depend on the host: status.rs runs on each.
fn well(setup: Setup) -> Lab {
    Lab::well(Host::Embedded, setup)
}

fn url(lab: &Lab, path: &str) -> String {
    format!("{}{path}", lab.runtime.url())
}

fn status(lab: &Lab) -> Value {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let answer = lab.runtime.request("/api/v1/status", &headers).unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

/// The first open incident, once there is one.
fn incident(lab: &Lab) -> Value {
    wait::until("an incident to open", || {
        status(lab).pointer("/incidents/0").cloned()
    })
}

/// Where that incident is shown.
fn page_of(incident: &Value) -> String {
    format!("/incident/{}", incident["incident"].as_str().unwrap())
}

/// Nothing that the browser, or an accessibility rule, has against it, in any look.
fn judge(lab: &Lab, page: &Page<'_>, path: &str, want: u64) {
    page.open(&url(lab, path));
    assert_eq!(page.status(), want, "{path}");
    page.is("document.querySelectorAll('details').forEach((d) => { d.open = true })");
    for look in LOOKS {
        page.look(look);
        let none: [String; 0] = [];
        assert_eq!(page.violations(), none, "{path}, {look:?}");
        assert_eq!(page.overflowing(), none, "{path}, {look:?}");
        assert_eq!(page.complaints(), none, "{path}, {look:?}");
    }
}

#[test]
fn every_page_keeps_the_rules_in_every_look() {
    let Some(browser) = browser("every_page_keeps_the_rules_in_every_look") else {
        return;
    };
    let lab = with_a_past();
    let (public, full) = (browser.page(true), browser.page(true));
    full.bears(TOKEN);
    let judge_all = |paths: &[(&str, u64)]| {
        for (path, want) in paths {
            judge(&lab, &public, path, *want);
            judge(&lab, &full, path, *want);
        }
    };
    judge_all(&[
        ("/", 200),
        ("/check/health", 200),
        ("/check/certificate", 200),
        ("/session", 200),
        ("/nothing", 404),
        ("/check/none", 404),
        ("/incident/none", 404),
    ]);
    picture(&lab, &full, "/", "status-up", Look::light(1280, 900));
    picture(&lab, &public, "/", "status-phone", Look::light(390, 844));

    lab.headscale.state(State::DatabaseDown);
    lab.runtime.run_check("health", Some(CHECK_TOKEN));
    let of_incident = page_of(&incident(&lab));
    judge_all(&[("/", 200), ("/check/health", 200), (&of_incident, 200)]);
    picture(&lab, &full, "/", "status-down", Look::dark(1280, 900));

    lab.headscale.state(State::Healthy);
    wait::until("the incident to be over", || {
        (status(&lab)["incidents"][0].is_null()).then_some(())
    });
    judge_all(&[("/", 200), (&of_incident, 200)]);
}

#[test]
fn a_state_is_told_by_its_word_and_its_reason_to_the_token_alone() {
    let Some(browser) = browser("a_state_is_told_by_its_word") else {
        return;
    };
    let lab = well(with_token());
    let (public, full) = (browser.page(true), browser.page(true));
    full.bears(TOKEN);
    let word = |page: &Page<'_>, of: &str| {
        page.text(&format!(
            "((word) => word.checkVisibility() ? word.innerText : 'not to be seen')\
               (document.querySelector('{of} .word'))"
        ))
    };
    for page in [&public, &full] {
        page.open(&url(&lab, "/"));
        assert_eq!(word(page, "h1"), "Up");
        for check in CHECKS {
            assert_eq!(word(page, &format!("#check-{check}")), "Up", "{check}");
        }
        assert!(page.text("document.title").starts_with("Up"));
    }

    lab.headscale.state(State::DatabaseDown);
    let incident = incident(&lab);
    let of_incident = page_of(&incident);
    let said = ["cause_text", "action"].map(|field| incident[field].as_str().unwrap());
    for page in [&public, &full] {
        page.open(&url(&lab, "/"));
        assert_eq!(word(page, "h1"), "Down");
        assert_eq!(word(page, "#check-health"), "Down");
        assert_eq!(word(page, "#check-port"), "Up");
        assert!(page.text("document.title").starts_with("Down"));
        page.open(&url(&lab, &of_incident));
        assert_eq!(word(page, "h1"), "Open");
        page.open(&url(&lab, "/check/health"));
        assert_eq!(word(page, "h1"), "Down");
    }
    for path in ["/", &of_incident] {
        public.open(&url(&lab, path));
        full.open(&url(&lab, path));
        let (less, all) = (public.shown(), full.shown());
        for text in said {
            assert!(all.contains(text), "want {text:?} on {path}:\n{all}");
            assert!(!less.contains(text), "want no {text:?} on {path}:\n{less}");
        }
    }
    for path in ["/", "/check/health", &of_incident] {
        public.open(&url(&lab, path));
        let source = public.text("document.documentElement.outerHTML");
        for secret in ["127.0.0.1", "status 500", "Delivery"] {
            assert!(!source.contains(secret), "{secret:?} on {path}:\n{source}");
        }
    }
    full.open(&url(&lab, "/"));
    let shown = full.shown();
    for told in ["status 500, want 200", "Delivery"] {
        assert!(shown.contains(told), "want {told:?}:\n{shown}");
    }
}

#[test]
fn every_check_has_a_chart_and_ninety_bars_with_names() {
    let Some(browser) = browser("every_check_has_a_chart_and_ninety_bars") else {
        return;
    };
    let lab = with_a_past();
    let page = browser.page(true);
    // The check that is switched off has bars, and nothing to draw a line from.
    let all = CHECKS.len();
    for (path, charts, checks) in [("/", all, all + 1), ("/check/health", 1, 1)] {
        page.open(&url(&lab, path));
        let names = page.pictures();
        let named = |start: &str| names.iter().filter(|n| n.starts_with(start)).count();
        assert_eq!(named("Latency over 24 hours"), charts, "{path}: {names:?}");
        assert_eq!(named("90 days, a bar each"), checks, "{path}: {names:?}");
        assert!(names.iter().all(|n| !n.is_empty()), "{path}: {names:?}");
        // Days that are alike are dashes of one line, each other day a line of its own.
        let bars = page.is("[...document.querySelectorAll('.bars svg')].map((svg) => {\
               const dashes = [...svg.querySelectorAll('.up-days, .unknown-days')].map((path) => {\
                 const dash = getComputedStyle(path).strokeDasharray.split(',');\
                 return path.getTotalLength() / dash.map(parseFloat).reduce((a, b) => a + b) });\
               const lines = [...svg.querySelectorAll('.failed, path.degraded')]\
                 .map((path) => path.getAttribute('d').split('M').length - 1);\
               return dashes.concat(lines).reduce((a, b) => a + b, 0) })");
        assert_eq!(bars, Value::from(vec![90; checks]), "{path}");
    }
}

#[test]
fn without_scripts_a_page_is_whole() {
    let Some(browser) = browser("without_scripts_a_page_is_whole") else {
        return;
    };
    let lab = well(with_token());
    lab.headscale.state(State::DatabaseDown);
    let of_incident = page_of(&incident(&lab));
    let (with, without) = (browser.page(true), browser.page(false));
    // What it consists of, but for figures, which go on.
    let outline = "[...document.querySelectorAll('body *:not(.age)')].map((e) =>\
         e.tagName + ' ' + e.id + (e.matches('h1, h2, h3, dt, a, button') ? e.textContent : ''))\
         .filter((line) => !/^(PATH|STRONG|DIV) $/.test(line)).join('\\n')";
    for page in [&with, &without] {
        page.bears(TOKEN);
    }
    for path in ["/", "/check/health", &of_incident] {
        with.open(&url(&lab, path));
        without.open(&url(&lab, path));
        let ages = "document.querySelectorAll('.age').length > 0";
        assert_eq!(
            (with.is(ages), without.is(ages)),
            (true.into(), false.into())
        );
        assert_eq!(without.text(outline), with.text(outline), "{path}");
        assert_eq!(without.complaints(), [] as [String; 0], "{path}");
    }
}

#[test]
fn a_page_refreshes_itself_and_leaves_the_reader_in_place() {
    let Some(browser) = browser("a_page_refreshes_itself") else {
        return;
    };
    let lab = well(with_token());
    let page = browser.page(true);
    page.bears(TOKEN);
    page.look(Look::light(1000, 500));
    page.open(&url(&lab, "/check/health"));
    page.is("document.querySelector('#hours summary').click();\
         document.querySelector('#hours summary').focus();\
         scrollTo(0, 400);\
         window.kept = [...document.querySelectorAll('header, main, #session, footer')]; 0");
    let at = page.is(READING_AT).as_f64().unwrap();
    assert_ne!(page.is("scrollY"), 0, "want it scrolled");

    lab.headscale.state(State::DatabaseDown);
    incident(&lab);
    let told = Instant::now();
    page.until("the outage to be shown", &holds("#state .word", "Down"));
    let took = told.elapsed();
    assert!(took < REFRESHED_WITHIN, "shown after {took:?}");
    assert!(page.text("document.title").starts_with("Down"));
    assert_eq!(page.is("document.querySelector('#hours').open"), true);
    assert_eq!(
        page.text("document.activeElement.innerText"),
        "Hour by hour"
    );
    assert_in_place(&page, at);
    assert_eq!(page.is("kept.every((node) => node.isConnected)"), true);
    assert_eq!(page.complaints(), [] as [String; 0]);
}

#[test]
fn what_has_not_changed_is_not_touched() {
    let Some(browser) = browser("what_has_not_changed_is_not_touched") else {
        return;
    };
    let mut setup = with_token();
    // Not reached within this test: no incident opens, and no part of the page is new.
    setup.changes.variables = vec![("health", "failure_threshold", "100".to_owned())];
    let mut lab = well(setup);
    let page = browser.page(true);
    page.bears(TOKEN);
    page.look(Look::light(1000, 500));
    page.open(&url(&lab, "/"));
    page.is("document.querySelector('#check-port a').focus();\
         window.kept = ['header', 'session', 'main', 'past-list', 'delivery-list']\
           .map((id) => document.getElementById(id));\
         window.changes = document.getElementById('check-health'); 0");
    let at = page.is(READING_AT).as_f64().unwrap();
    let focused = "document.activeElement.getAttribute('href')";

    lab.headscale
        .except("/health", State::DatabaseDown, usize::MAX);
    let pending = holds("#check-health .word", "Pending");
    page.until("the failure to be shown", &pending);
    assert_eq!(page.is("changes.isConnected"), false);
    assert_eq!(
        page.is("kept.map((node) => node.isConnected)"),
        Value::from(vec![true; 5])
    );
    assert_eq!(page.text(focused), "/check/port");
    assert_in_place(&page, at);

    // An incident opens: the page has a part more, and is drawn anew.
    let key = State::KeyMisrouted(Misroute::NotFound);
    lab.headscale.state(key);
    page.until(
        "the incident to be shown",
        &holds("#check-key .word", "Down"),
    );
    assert_eq!(
        page.is("document.querySelectorAll('article.incident').length"),
        1
    );
    assert_eq!(page.text(focused), "/check/port");
    assert_eq!(page.complaints(), [] as [String; 0]);

    // What it shows is then old, and it says so.
    lab.runtime.kill();
    let look_again = "document.dispatchEvent(new Event('visibilitychange')); 0";
    page.is(look_again);
    let stale = "document.getElementById('stale').innerText.startsWith('Out of date')";
    page.until("it to say that it is out of date", stale);
    lab.runtime.run();
    lab.runtime.serving();
    page.is(look_again);
    page.until("it to be current again", &holds("#stale", ""));
}

fn assert_in_place(page: &Page<'_>, before: f64) {
    let now = page.is(READING_AT).as_f64().unwrap();
    let moved = (now - before).abs();
    assert!(moved <= MOVED_PX_MAX, "moved from {before} to {now}");
}

/// Whether that element reads so.
fn holds(selector: &str, text: &str) -> String {
    format!("document.querySelector('{selector}').innerText === '{text}'")
}

#[test]
fn a_keyboard_is_enough_with_and_without_scripts() {
    let Some(browser) = browser("a_keyboard_is_enough") else {
        return;
    };
    let lab = well(with_token());
    for scripts in [true, false] {
        let page = browser.page(scripts);
        page.look(Look::light(1000, 600));
        page.open(&url(&lab, "/"));
        page.press("Tab");
        assert_eq!(page.text("document.activeElement.className"), "skip");
        assert_visible_focus(&page);
        page.press("Enter");
        page.until(
            "the content to have the focus",
            "document.activeElement.id === 'main'",
        );

        page.open(&url(&lab, "/"));
        tab_to(&page, "a[href=\"/session\"]");
        page.press("Enter");
        page.until(
            "the form",
            "location.pathname === '/session' && !!document.forms[0]",
        );
        tab_to(&page, "#token");
        page.write("not-the-token-at-all");
        page.press("Enter");
        page.until(
            "the answer to a wrong token",
            "!!document.getElementById('wrong')",
        );
        let described = "document.getElementById(\
             document.getElementById('token').getAttribute('aria-describedby')).innerText";
        assert_eq!(page.text(described), "That is not the token");
        assert_eq!(
            page.is("document.getElementById('token').ariaInvalid"),
            "true"
        );

        tab_to(&page, "#token");
        page.write(TOKEN);
        page.press("Enter");
        page.until(
            "what the token shows",
            "!!document.getElementById('delivery-list')",
        );
        assert_eq!(page.text("location.pathname"), "/");
        page.open(&url(&lab, "/check/health"));
        assert!(
            page.shown().contains("https://127.0.0.1"),
            "{}",
            page.shown()
        );

        tab_to(&page, "#session button");
        page.press("Enter");
        page.until(
            "the way in again",
            "!!document.querySelector('a[href=\"/session\"]')",
        );
        assert_eq!(
            page.is("document.getElementById('delivery-list')"),
            Value::Null
        );
        assert_eq!(page.complaints(), [] as [String; 0], "scripts: {scripts}");
    }
}

/// Tabs on until it is there; each stop on the way is seen.
fn tab_to(page: &Page<'_>, selector: &str) {
    for _ in 0..STOPS_MAX {
        page.press("Tab");
        assert_visible_focus(page);
        if page.is(&format!("document.activeElement.matches('{selector}')")) == true {
            return;
        }
    }
    panic!("tabbing to {selector:?}: not among {STOPS_MAX} stops");
}

fn assert_visible_focus(page: &Page<'_>) {
    let unseen = page.is("(() => {\
           const it = document.activeElement, style = getComputedStyle(it);\
           const { left, right, top, bottom } = it.getBoundingClientRect();\
           const inside = left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;\
           const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;\
           return inside && outlined ? null : it.outerHTML.slice(0, 200) })()");
    assert_eq!(unseen, Value::Null, "the focus is not to be seen");
}

/// Markup that does something, where text is expected; what turns text around or hides in it;
/// and no place to break it.
const ACTIVE: &str = "</h3></bdi><script>alert(1)</script><img src=/x onerror=alert(2)>";

fn hostile() -> String {
    let unbroken = "W".repeat(500);
    format!("\u{202e}\u{2066}\u{7}\u{1b}[31m{ACTIVE}'\"&lt;{unbroken}")
}

#[test]
fn hostile_text_is_shown_and_does_nothing() {
    let Some(browser) = browser("hostile_text_is_shown_and_does_nothing") else {
        return;
    };
    let receivers = Receivers::start();
    let text = Response::new(500, "text/html", hostile());
    receivers.answer("text", Some(text));
    let json = serde_json::json!({ "status": hostile() }).to_string();
    receivers.answer("json", Some(Response::new(200, "application/json", json)));
    let mut setup = with_token();
    let title = "</title></a><script>alert(3)</script><b onclick=alert(4)>";
    setup.variables.push(("status_title", title.to_owned()));
    setup.changes.copies = vec![("health", "json")];
    for (check, path) in [("health", "/text"), ("json", "/json")] {
        let permission = receivers.url("");
        setup.changes.permissions.push((check, permission));
        setup.changes.variables.extend([
            (check, "url", receivers.url(path)),
            (check, "label", format!("\u{202e}{ACTIVE}")),
            (
                check,
                "runbook",
                hostile()
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(400)
                    .collect(),
            ),
            (check, "runbook_url", "javascript:alert(5)".to_owned()),
        ]);
    }
    let lab = Lab::open(Host::Embedded, setup);
    let incident = wait::until("both to be down", || {
        let answer = lab.runtime.request("/api/v1/status", &[]).ok()?;
        let shown: Value = serde_json::from_slice(&answer.body).ok()?;
        let checks = shown["services"][0]["checks"].as_array()?.clone();
        let down = |id: &str| {
            checks
                .iter()
                .any(|c| c["check"] == id && c["state"] == "down")
        };
        let both = down("health") && down("json");
        shown.pointer("/incidents/0").filter(|_| both).cloned()
    });
    let missing = format!(
        "/check/{}",
        "%3Cscript%3Ealert(6)%3C%2Fscript%3E%3Cimg%20src=x%3E"
    );
    let paths = [
        ("/", 200),
        ("/check/health", 200),
        ("/check/json", 200),
        (&page_of(&incident), 200),
        (&missing, 404),
    ];
    for scripts in [true, false] {
        let page = browser.page(scripts);
        page.bears(TOKEN);
        for (path, want) in paths {
            page.open(&url(&lab, path));
            if scripts && want == 200 {
                // What the script puts in is as harmless.
                page.is(
                    "window.first = document.querySelector('[data-part]:not(#session)');\
                     window.parts = [...document.querySelectorAll('[data-part]')];\
                     document.dispatchEvent(new Event('visibilitychange')); 0",
                );
            }
            assert_harmless(&page, path);
            if want == 200 {
                let shown = page.shown();
                assert!(
                    shown.contains("<script>alert(1)</script>"),
                    "{path}:\n{shown}"
                );
            }
            judge(&lab, &page, path, want);
            assert_harmless(&page, path);
        }
    }
}

fn assert_harmless(page: &Page<'_>, path: &str) {
    let active = page.is("[...document.querySelectorAll('*')].filter((e) =>\
           e.matches('script:not([src=\"/script.js\"]), img, iframe, object, b, [style]')\
           || [...e.attributes].some((a) => /^on/.test(a.name) || /^javascript:/i.test(a.value)))\
           .map((e) => e.outerHTML.slice(0, 200))");
    assert_eq!(active, Value::Array(Vec::new()), "{path}");
    let turned = page.is("document.documentElement.outerHTML.match(\
         /[\\u0000-\\u0008\\u000b-\\u001f\\u007f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f]/)");
    assert_eq!(turned, Value::Null, "{path}");
    let asked: Vec<String> = page.requests();
    let known = |asked: &String| !asked.ends_with("/x");
    assert!(asked.iter().all(known), "{path}: {asked:?}");
}

#[test]
fn the_overview_is_light() {
    let Some(browser) = browser("the_overview_is_light") else {
        return;
    };
    let lab = with_a_past();
    lab.headscale.state(State::DatabaseDown);
    lab.runtime.run_check("health", Some(CHECK_TOKEN));
    incident(&lab);
    let page = browser.page(true);
    page.bears(TOKEN);
    page.open(&url(&lab, "/"));
    let bytes = page.bytes();
    assert!(
        (5_000..OVERVIEW_BYTES_MAX).contains(&bytes),
        "{bytes} bytes"
    );
}

/// Where pictures are asked for.
fn picture(lab: &Lab, page: &Page<'_>, path: &str, name: &str, look: Look) {
    let Some(dir) = std::env::var_os("WATCHBELL_SCREENSHOTS") else {
        return;
    };
    page.look(look);
    page.open(&url(lab, path));
    page.picture(&Path::new(&dir).join(format!("{name}.png")));
}
