//! The pages, as a browser and its user get them.

#![allow(clippy::unwrap_used)]

#[path = "page/fixture.rs"]
mod fixture;

use std::collections::BTreeSet;

use fixture::{
    Drawn, NOW, ago, check, days, drawn, empty, eventful, headscale, monitor, open, over, overview,
    records, sample, site,
};
use watchbell_core::history::{DAY_S, State as Was};
use watchbell_core::monitor::Monitor;
use watchbell_status::page::{self, SCRIPT, STYLE, SignIn};
use watchbell_status::records::{History, Records};
use watchbell_status::view::{self, Sight, State};

use Sight::{Full, Public};
use State::{Degraded, Down, Pending, Unknown, Up};

const WRONG: SignIn<'_> = SignIn {
    wrong: true,
    to: "/",
};

const MIXED: [State; 8] = [Degraded, Up, Pending, Down, Up, Unknown, Up, Up];

/// One of each kind, by name.
fn pages(sight: Sight) -> Vec<(&'static str, String)> {
    let calm = records(headscale(&[Up; 8]), Vec::new(), 14);
    let trouble = records(headscale(&MIXED), vec![open()], 14);
    let many = records(peers(1_000, |n| State::ALL[n % 5]), Vec::new(), 0);
    let site = site(sight);
    vec![
        ("calm", overview(&calm, &drawn(&calm, sight), sight)),
        (
            "trouble",
            overview(&trouble, &drawn(&trouble, sight), sight),
        ),
        (
            "nothing",
            overview(&records(Vec::new(), Vec::new(), 0), &Drawn::new(), sight),
        ),
        ("many", overview(&many, &Drawn::new(), sight)),
        ("check", check(&trouble.monitors[3], &eventful(1), sight)),
        (
            "certificate",
            check(&trouble.monitors[0], &eventful(5), sight),
        ),
        (
            "new check",
            check(&monitor("new", "New", "tcp", Unknown), &empty(), sight),
        ),
        (
            "incident",
            page::incident(&site, &view::incidents(&trouble, sight)[0]),
        ),
        ("over", page::incident(&site, &view::past(&calm, sight)[0])),
        ("sign in", page::sign_in(&site, SignIn::to("/"))),
        ("wrong token", page::sign_in(&site, WRONG)),
        ("not found", page::not_found(&site, "a check \"x\"")),
    ]
}

fn peers(count: usize, state: impl Fn(usize) -> State) -> Vec<Monitor> {
    let peer = |n: usize| {
        let mut peer = monitor(&format!("peer-{n}"), &format!("Peer {n}"), "tcp", state(n));
        peer.definition.service = "peers".to_owned();
        peer
    };
    (0..count).map(peer).collect()
}

/// Every opening tag with its attributes, in order.
fn tags(html: &str) -> Vec<&str> {
    let parts = html.split('<').skip(1).filter(|t| !t.starts_with('/'));
    parts.map(|t| t.split('>').next().unwrap()).collect()
}

fn names(html: &str) -> Vec<&str> {
    tags(html)
        .iter()
        .map(|t| t.split(' ').next().unwrap())
        .collect()
}

/// Of an attribute, every value.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let opening = format!(" {attribute}=\"");
    html.split(opening.as_str())
        .skip(1)
        .map(|t| t.split('"').next().unwrap())
        .collect()
}

const PAGE_BYTES_MAX: usize = 50_000;

#[test]
fn a_page_is_small_however_much_it_tells() {
    for (count, sight) in [(8, Full), (8, Public), (12, Full)] {
        let states: Vec<State> = (0..count).map(|n| MIXED[n % 8]).collect();
        let records = records(headscale(&states), vec![open()], 20);
        let page = overview(&records, &drawn(&records, sight), sight);
        assert!(
            page.len() < PAGE_BYTES_MAX,
            "{count} drawn: {} bytes",
            page.len()
        );
    }
    // Nothing in a drawing is like what stands before it.
    let (noise, jumping) = noise();
    let page = overview(&noise, &jumping, Full);
    assert!(page.len() < PAGE_BYTES_MAX, "noise: {} bytes", page.len());
    for states in [&[Up][..], &[Down], &State::ALL] {
        let name = format!("{states:?}");
        let state = |n: usize| states[n % states.len()];
        let mut one = headscale(&MIXED);
        let drawn = drawn(&records(one.clone(), Vec::new(), 0), Full);
        one.extend(peers(992, state));
        let all = records(one, vec![open()], 20);
        let page = overview(&all, &drawn, Full);
        assert!(
            page.len() < PAGE_BYTES_MAX,
            "1,000 checks {name}: {} bytes",
            page.len()
        );

        let mut apart = peers(1_000, state);
        for (n, monitor) in apart.iter_mut().enumerate() {
            monitor.definition.service = format!("service-{n}");
        }
        let open = (0..1_000).map(|n| {
            let mut open = open();
            open.service = format!("service-{n}");
            open
        });
        let all = records(apart, open.collect(), 20);
        let page = overview(&all, &Drawn::new(), Full);
        assert!(
            page.len() < PAGE_BYTES_MAX,
            "1,000 services {name}: {} bytes",
            page.len()
        );
    }
}

/// Eight checks whose latency jumps and whose every other day has a failure.
fn noise() -> (Records, Drawn) {
    let records = records(headscale(&MIXED), vec![open()], 20);
    let mut drawn = Drawn::new();
    for monitor in &records.monitors {
        let one = |n: u64| match n % 90 {
            60..80 => sample(DAY_S - n * 30, Was::Down, 0),
            _ => sample(DAY_S - n * 30, Was::Up, (n * 7_919 % 5_003) as u32),
        };
        let history = History {
            hours: Vec::new(),
            samples: (1..DAY_S / 30).map(one).collect(),
            days: days(89, |ago| (ago % 2 * ago * 900) as u32),
        };
        let detail = view::detail(monitor, &history, NOW, Full);
        drawn.insert(monitor.definition.check.clone(), (detail, history));
    }
    (records, drawn)
}

#[test]
fn of_many_checks_the_gravest_are_listed_and_all_are_counted() {
    let mut all = peers(1_000, |n| if n % 100 == 7 { Down } else { Up });
    all[500].health = watchbell_core::monitor::Health::Degraded;
    let page = overview(&records(all, Vec::new(), 0), &Drawn::new(), Public);
    assert_eq!(
        values(&page, "href")
            .iter()
            .filter(|h| h.starts_with("/check/"))
            .count(),
        11
    );
    assert!(page.contains("/check/peer-907\"") && page.contains("/check/peer-500\""));
    assert!(page.contains("And 989 more checks: all up"), "{page}");

    let page = overview(
        &records(peers(1_000, |_| Down), Vec::new(), 0),
        &Drawn::new(),
        Public,
    );
    assert!(page.contains("And 960 more checks: all down"), "{page}");

    let page = overview(
        &records(peers(20, |_| Up), Vec::new(), 0),
        &Drawn::new(),
        Public,
    );
    assert_eq!(page.matches("href=\"/check/").count(), 20);
}

#[test]
fn nothing_on_a_page_needs_what_its_content_security_policy_forbids() {
    for (name, page) in [pages(Full), pages(Public)].concat() {
        for tag in tags(&page) {
            let mut attributes = tag.split(' ').skip(1);
            assert!(
                !attributes.any(|a| a.starts_with("style=") || a.starts_with("on")),
                "{name}: {tag}"
            );
            assert!(
                !tag.starts_with("style") && !tag.starts_with("base"),
                "{name}: {tag}"
            );
        }
        for script in page.split("<script").skip(1) {
            assert!(
                script.starts_with(" src=\"/script.js\" defer></script>"),
                "{name}: {script}"
            );
        }
        for src in values(&page, "src") {
            assert_eq!(src, "/script.js", "{name}");
        }
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    assert!(SCRIPT.len() <= 3_000, "{} bytes", SCRIPT.len());
}

#[test]
fn a_page_is_whole_for_a_screen_reader() {
    for (name, page) in [pages(Full), pages(Public)].concat() {
        assert!(
            page.starts_with("<!DOCTYPE html><html lang=\"en\">"),
            "{name}"
        );
        for landmark in ["header", "main", "footer", "h1", "title"] {
            assert_eq!(
                names(&page).iter().filter(|n| **n == landmark).count(),
                1,
                "{name}: {landmark}"
            );
        }
        let ids = values(&page, "id");
        assert_eq!(
            ids.iter().collect::<BTreeSet<_>>().len(),
            ids.len(),
            "{name}: {ids:?}"
        );
        for tag in tags(&page) {
            let of = |start: &str| tag == start || tag.starts_with(&format!("{start} "));
            let has = |attribute: &str| tag.contains(&format!(" {attribute}"));
            assert!(!of("th") || has("scope="), "{name}: {tag}");
            assert!(
                !of("svg") || has("role=\"img\" aria-label=") || has("aria-hidden="),
                "{name}: {tag}"
            );
            // The script finds them by it.
            assert!(!has("data-part") || has("id="), "{name}: {tag}");
            assert!(!of("details") || has("id="), "{name}: {tag}");
        }
        let headings = names(&page).into_iter().filter_map(|n| match n {
            "h1" => Some(1),
            "h2" => Some(2),
            "h3" => Some(3),
            _ => None,
        });
        let mut before = 0;
        for level in headings {
            assert!(level <= before + 1, "{name}: h{level} after h{before}");
            before = level;
        }
        for id in values(&page, "aria-labelledby")
            .iter()
            .chain(&values(&page, "aria-describedby"))
        {
            assert!(ids.contains(id), "{name}: nothing has the id {id}");
        }
    }
}

#[test]
fn a_title_begins_with_the_state() {
    let want = [
        ("calm", "Up – Watchbell"),
        ("trouble", "Down – Watchbell"),
        ("nothing", "Unknown – Watchbell"),
        ("check", "Down: Headscale health – Watchbell"),
        ("new check", "Unknown: New – Watchbell"),
        ("incident", "Open: incident of headscale – Watchbell"),
        ("over", "Resolved: incident of headscale – Watchbell"),
        ("sign in", "Sign in – Watchbell"),
        ("wrong token", "Wrong token – Watchbell"),
        ("not found", "Not found – Watchbell"),
    ];
    let pages = pages(Public);
    for (name, want) in want {
        let (_, page) = pages.iter().find(|(n, _)| *n == name).unwrap();
        assert!(page.contains(&format!("<title>{want}</title>")), "{name}");
    }
}

#[test]
fn the_public_sees_no_target_no_error_and_no_cause() {
    // The certificate's two names are all that a label names, too.
    let private = [
        "https://hs.example.com",
        "derp.example.com",
        "status 502",
        "612 ms",
        "TLSv1.3",
        "Let's Encrypt",
        "9f86d081",
        "proxy",
        "wiki.example.com",
        "pager",
    ];
    for (name, page) in pages(Public) {
        for text in private {
            assert!(!page.contains(text), "{name}: {text}");
        }
    }
    let full: String = pages(Full).into_iter().map(|(_, page)| page).collect();
    for text in private {
        assert!(
            full.contains(text),
            "{text}: nobody sees it, so nothing is shown by its absence"
        );
    }
}

#[test]
fn hostile_text_changes_no_element() {
    const HOSTILE: &str =
        "\"'><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}\u{200f}\0\n&amp;";
    let made = |text: &str| {
        let text = text.to_owned();
        let mut monitors = headscale(&MIXED);
        for m in &mut monitors {
            let d = &mut m.definition;
            (d.label, d.target, d.probe) = (text.clone(), text.clone(), text.clone());
            (d.runbook, d.service) = (text.clone(), text.clone());
            m.last.as_mut().unwrap().detail = text.clone();
            m.measured.tls_version = Some(text.clone());
            m.measured.phases_ms = [(text.clone(), 1)].into();
            if let Some(c) = &mut m.measured.certificate {
                (c.subject, c.issuer, c.sha256) = (text.clone(), text.clone(), text.clone());
                c.names = vec![text.clone()];
            }
        }
        let mut one = open();
        one.service = text.clone();
        for affected in one.checks.values_mut() {
            affected.detail = text.clone();
            affected.definition.label = text.clone();
            affected.definition.target = text.clone();
        }
        let mut records = records(monitors, vec![one], 0);
        for channel in records.ledger.outbox.channels.values_mut() {
            channel.last_error = Some(text.clone());
        }
        let mut past = over(1);
        past.service = text.clone();
        past.checks
            .values_mut()
            .for_each(|p| p.detail = text.clone());
        records.past.incidents = vec![past];
        let mut site = site(Full);
        site.title = &text;
        let drawn = drawn(&records, Full);
        let mut status = view::status(&records, Full);
        let letter = view::DeadLetter {
            id: text.clone(),
            channel: text.clone(),
            at: status.at,
            error: text.clone(),
            summary: text.clone(),
        };
        status.delivery.as_mut().unwrap().dead_letters = vec![letter; 7];
        let (detail, history) = &drawn["certificate"];
        [
            page::overview(&site, &status, &drawn, &view::past(&records, Full)),
            page::overview(&site, &status, &Drawn::new(), &[]),
            page::check(&site, detail, history, &[]),
            page::incident(&site, &status.incidents[0]),
            page::incident(&site, &view::past(&records, Full)[0]),
            page::sign_in(&site, WRONG),
            page::not_found(&site, &text),
        ]
    };
    for (benign, hostile) in made("text").iter().zip(made(HOSTILE)) {
        assert_eq!(names(benign), names(&hostile));
        let odd = |c: char| {
            c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        };
        assert!(!hostile.contains(odd), "{:?}", hostile.find(odd));
    }
    let long = "long ".repeat(20_000);
    for page in made(&long) {
        assert!(page.len() < 2 * PAGE_BYTES_MAX, "{} bytes", page.len());
    }
}

#[test]
fn a_check_id_stays_in_its_address() {
    let odd = monitor("a/../b?c#d\"e ü", "Odd", "tcp", Down);
    let page = overview(&records(vec![odd], Vec::new(), 0), &Drawn::new(), Public);
    assert!(
        page.contains("href=\"/check/a%2F..%2Fb%3Fc%23d%22e%20%C3%BC\""),
        "{page}"
    );
}

#[test]
fn a_runbook_is_a_link_only_where_it_is_a_web_page() {
    let rows = [
        (
            "https://wiki.example.com/a?b=1&c",
            Some("https://wiki.example.com/a?b=1&amp;c"),
        ),
        ("HTTP://wiki.example.com", Some("HTTP://wiki.example.com")),
        ("javascript:alert(1)", None),
        ("javascript://x%0aalert(1)", None),
        (" https://wiki.example.com", None),
        ("data:text/html,x", None),
        ("//wiki.example.com", None),
        ("", None),
    ];
    for (url, want) in rows {
        let mut monitor = monitor("a", "A", "tcp", Up);
        monitor.definition.runbook_url = url.to_owned();
        let page = check(&monitor, &empty(), Full);
        let mut links = tags(&page).into_iter().filter(|t| t.contains("noreferrer"));
        let got = links.next().map(|t| values(t, "href")[0]);
        assert_eq!(got, want, "{url:?}");
    }
}

#[test]
fn the_way_in_and_out_is_there_where_a_token_is() {
    let of = |sight, closable| {
        let site = page::Site {
            closable,
            ..site(sight)
        };
        page::not_found(&site, "x")
    };
    assert!(of(Public, true).contains("<a href=\"/session\">Sign in</a>"));
    assert!(of(Full, true).contains("<form method=\"post\" action=\"/session/end\">"));
    assert!(!of(Public, false).contains("/session"));
    let wrong = page::sign_in(&site(Public), WRONG);
    let input = tags(&wrong)
        .into_iter()
        .find(|t| t.starts_with("input"))
        .unwrap();
    for attribute in [
        "type=\"password\"",
        "name=\"token\"",
        "autocomplete=\"current-password\"",
        "aria-invalid=\"true\"",
        "aria-describedby=\"wrong\"",
    ] {
        assert!(input.contains(attribute), "{input}");
    }
    assert!(!page::sign_in(&site(Public), SignIn::to("/")).contains("aria-describedby"));
}

#[test]
fn a_check_that_is_switched_off_does_not_look_up() {
    let mut off = monitor("a", "A", "tcp", Up);
    off.last.as_mut().unwrap().off = true;
    let page = check(&off, &empty(), Public);
    assert!(page.contains("<title>Off: A – Watchbell</title>"));
    assert!(page.contains("switched off"));
    assert!(!page.contains("class=\"banner up\""));
}

#[test]
fn an_incident_is_told_whole_to_who_may_know() {
    let mut records = records(headscale(&MIXED), vec![open()], 0);
    let by = watchbell_core::operator::Acknowledgement {
        by: "ada".to_owned(),
        at: ago(60),
        comment: String::new(),
    };
    records.operator.acknowledgements.insert(open().id, by);
    let page = overview(&records, &Drawn::new(), Full);
    for text in [
        "acknowledged by <bdi>ada</bdi>",
        "Evidence",
        "What to do",
        "for 46m",
        "Cause",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert_eq!(records.now, NOW);
    let page = overview(&records, &Drawn::new(), Public);
    assert!(
        page.contains("acknowledged") && !page.contains("ada"),
        "{page}"
    );
}
