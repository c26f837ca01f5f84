//! Badges: what they say, in which colour, and that any text makes a well-formed one.
#![allow(clippy::unwrap_used)]

mod support;

use roxmltree::{Document, Node};
use support::*;
use watchbell_core::monitor::Health;
use watchbell_core::outcome::one_line;
use watchbell_status::badge::{self, Badge, Colour, Period, badge, svg};
use watchbell_status::view::{self, Detail, Sight};

/// Label, message and the message's colour, as drawn.
fn seen(svg: &str) -> (String, String, String) {
    let document = Document::parse(svg).unwrap_or_else(|e| panic!("{e}: {svg}"));
    let root = document.root_element();
    assert_eq!(
        root.tag_name().namespace(),
        Some("http://www.w3.org/2000/svg")
    );
    let texts: Vec<Node> = root
        .descendants()
        .filter(|n| n.has_tag_name("text"))
        .collect();
    let said: Vec<&str> = texts.iter().map(|n| n.text().unwrap_or_default()).collect();
    let [shadow, label, message_shadow, message] = said[..] else {
        panic!("not four texts: {svg}");
    };
    assert_eq!(
        (shadow, message_shadow),
        (label, message),
        "a shadow is of its text"
    );
    let title = root.children().find(|n| n.has_tag_name("title")).unwrap();
    let said = format!("{label}: {message}");
    assert_eq!(title.text(), Some(&*said));
    assert_eq!(root.attribute("role"), Some("img"));
    assert_eq!(root.attribute("aria-label"), Some(&*said));
    let rects: Vec<Node> = root
        .descendants()
        .filter(|n| n.has_tag_name("rect"))
        .collect();
    let number = |n: &Node, key: &str| n.attribute(key).unwrap().parse::<u32>().unwrap();
    let (left, right) = (&rects[1], &rects[2]);
    assert_eq!(number(left, "width"), number(right, "x"), "the halves meet");
    assert_eq!(
        number(left, "width") + number(right, "width"),
        number(&root, "width")
    );
    for (text, half, from) in [
        (texts[1], left, 0),
        (texts[3], right, number(left, "width")),
    ] {
        let wide = number(&text, "textLength");
        assert_eq!(
            wide + 100,
            number(half, "width") * 10,
            "a text has its padding: {svg}"
        );
        assert_eq!(
            number(&text, "x"),
            from * 10 + number(half, "width") * 5,
            "in the middle"
        );
    }
    (
        label.to_owned(),
        message.to_owned(),
        right.attribute("fill").unwrap().to_owned(),
    )
}

fn detail(check: &str) -> Detail {
    let records = records();
    view::detail(
        records
            .monitors
            .iter()
            .find(|m| m.definition.check == check)
            .unwrap(),
        &history(),
        NOW,
        Sight::Public,
    )
}

#[test]
fn a_badge_says_what_the_check_is() {
    let month = Badge::Uptime(Period::Month);
    for (kind, check, label, message, colour) in [
        (
            Badge::State,
            "health",
            "Headscale health",
            "up",
            Colour::BrightGreen,
        ),
        (
            Badge::State,
            "relay",
            "Headscale relay",
            "degraded",
            Colour::Yellow,
        ),
        (
            Badge::State,
            "control",
            "Headscale control",
            "down",
            Colour::Red,
        ),
        (
            Badge::State,
            "silent",
            "Headscale silent",
            "unknown",
            Colour::LightGrey,
        ),
        // Its state counts as up.
        (
            Badge::State,
            "stun",
            "Headscale stun",
            "off",
            Colour::LightGrey,
        ),
        (
            month,
            "health",
            "Headscale health uptime 30 d",
            "97.61%",
            Colour::Yellow,
        ),
        (
            Badge::Uptime(Period::Day),
            "health",
            "Headscale health uptime 24 h",
            "100%",
            Colour::BrightGreen,
        ),
        (
            Badge::Latency,
            "health",
            "Headscale health latency",
            "45 ms",
            Colour::Blue,
        ),
        (
            Badge::Certificate,
            "certificate",
            "Headscale certificate",
            "22 days",
            Colour::Yellow,
        ),
        (
            Badge::Certificate,
            "health",
            "Headscale health certificate",
            "unknown",
            Colour::LightGrey,
        ),
    ] {
        let drawn = badge(kind, &detail(check));
        let name = format!("{kind:?}").to_lowercase().replace(['(', ')'], "");
        golden(&format!("badge/{check}-{name}.svg"), &drawn);
        let got = seen(&drawn);
        assert_eq!(
            got,
            (label.into(), message.into(), colour.hex().into()),
            "{kind:?} {check}"
        );
    }
}

#[test]
fn a_certificate_is_coloured_by_its_own_thresholds() {
    let day_ms = 86_400_000;
    for (days, message, colour) in [
        (31, "31 days", Colour::BrightGreen),
        (30, "30 days", Colour::Yellow),
        (8, "8 days", Colour::Yellow),
        (7, "7 days", Colour::Orange),
        (1, "1 day", Colour::Orange),
        (0, "less than a day", Colour::Orange),
        (-1, "expired", Colour::Red),
    ] {
        // The fixture's ends in 22 days.
        let mut records = records();
        let now = watchbell_core::time::UnixMs((NOW.0 as i64 + (22 - days) * day_ms) as u64);
        let monitor = { records.monitors.iter_mut() }
            .find(|m| m.definition.check == "certificate")
            .unwrap();
        monitor.last.as_mut().unwrap().at = now;
        let detail = view::detail(monitor, &history(), now, Sight::Public);
        let (_, said, fill) = seen(&badge(Badge::Certificate, &detail));
        assert_eq!((&*said, &*fill), (message, colour.hex()), "{days}");
    }
    // One that has not been looked at lately may have been replaced.
    let mut records = records();
    let monitor = { records.monitors.iter_mut() }
        .find(|m| m.definition.check == "certificate")
        .unwrap();
    *monitor = probed(monitor.clone(), 7_200, Health::Up);
    let detail = view::detail(monitor, &history(), NOW, Sight::Public);
    let (_, said, fill) = seen(&badge(Badge::Certificate, &detail));
    assert_eq!((&*said, &*fill), ("22 days", Colour::LightGrey.hex()));
}

#[test]
fn a_service_and_all_of_it_are_as_the_status_says() {
    let status = view::status(&records(), Sight::Public);
    let headscale = status
        .services
        .iter()
        .find(|s| s.service == "headscale")
        .unwrap();
    let want = |label: &str| (label.into(), "down".into(), Colour::Red.hex().into());
    assert_eq!(seen(&badge::service(headscale)), want("headscale"));
    assert_eq!(
        seen(&badge::overall("Watchbell", &status)),
        want("Watchbell")
    );
}

#[test]
fn every_text_makes_a_well_formed_and_bounded_badge() {
    let long = "W".repeat(10_000);
    for text in [
        "",
        " ",
        HOSTILE,
        &long,
        "]]>",
        "<!--",
        "&#0;",
        "日本語のラベル",
        "\u{ffff}\u{0}\u{7f}\u{85}",
        "emoji 🛎",
    ] {
        for (label, message) in [(text, "up"), ("label", text)] {
            let drawn = svg(label, message, Colour::Green);
            let (got_label, got_message, _) = seen(&drawn);
            assert!(got_label.chars().count() <= 60 && got_message.chars().count() <= 40);
            assert!(drawn.len() < 3_000, "{} bytes of {text:?}", drawn.len());
            assert!(!drawn.contains("<script"), "{drawn}");
        }
    }
    // What the number is of stays, however long the label is.
    let mut detail = detail("health");
    detail.check.label = "a".repeat(500);
    let (label, _, _) = seen(&badge(Badge::Uptime(Period::Year), &detail));
    assert!(label.ends_with("… uptime 1 y"), "{label}");
    assert_eq!(label, one_line(&label, 60));
}

#[test]
fn a_wider_text_gets_a_wider_badge() {
    let width = |text: &str| {
        let svg = svg(text, "up", Colour::Green);
        let document = Document::parse(&svg).unwrap();
        document
            .root_element()
            .attribute("width")
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    // "up" is 14 px, each padding 5; Verdana's own widths at 11 px, as shields.io rounds them.
    for (text, wide) in [("build", 27), ("passing", 41), ("uptime 30d", 63)] {
        let got = width(text) - 34;
        assert!(got.abs_diff(wide) <= 2, "{text}: {got} px, want {wide}");
    }
    assert!(width("iiii") < width("nnnn") && width("nnnn") < width("WWWW"));
}

/// WCAG 2.2, 1.4.3: 4.5 to 1, under either end of the gradient that lies over it.
#[test]
fn every_text_can_be_read() {
    let rgb = |hex: &str| {
        let channel = |n: usize| f64::from(u8::from_str_radix(&hex[n..n + 2], 16).unwrap());
        [channel(1), channel(3), channel(5)]
    };
    let luminance = |rgb: [f64; 3]| {
        let [r, g, b] = rgb.map(|c| match c / 255.0 {
            c if c <= 0.04045 => c / 12.92,
            c => ((c + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let contrast = |a: [f64; 3], b: [f64; 3]| {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    };
    let under = |rgb: [f64; 3], over: f64| rgb.map(|c| c * 0.9 + over * 0.1);
    let backs = Colour::ALL.map(|c| (rgb(c.hex()), [0.0; 3]));
    let label = (rgb("#555555"), [255.0; 3]);
    for (back, text) in backs.into_iter().chain([label]) {
        for over in [f64::from(0xbb_u8), 0.0] {
            let got = contrast(under(back, over), text);
            assert!(got >= 4.5, "{back:?} under {over}: {got:.2}");
        }
    }
    let drawn = svg("label", "message", Colour::Red);
    let document = Document::parse(&drawn).unwrap();
    let fill = |said: &str| {
        let mut texts = document.descendants().filter(|n| n.has_tag_name("text"));
        let last = texts.rfind(|n| n.text() == Some(said)).unwrap();
        last.attribute("fill").unwrap().to_owned()
    };
    assert_eq!(
        (fill("label"), fill("message")),
        ("#fff".into(), "#000".into())
    );
}

#[test]
fn a_badge_has_a_name() {
    for (name, want) in [
        ("state", Some(Badge::State)),
        ("uptime", Some(Badge::Uptime(Period::Month))),
        ("uptime-day", Some(Badge::Uptime(Period::Day))),
        ("uptime-week", Some(Badge::Uptime(Period::Week))),
        ("uptime-month", Some(Badge::Uptime(Period::Month))),
        ("uptime-quarter", Some(Badge::Uptime(Period::Quarter))),
        ("uptime-year", Some(Badge::Uptime(Period::Year))),
        ("latency", Some(Badge::Latency)),
        ("certificate", Some(Badge::Certificate)),
        ("uptime-", None),
        ("day", None),
        ("", None),
    ] {
        assert_eq!(name.parse::<Badge>().ok(), want, "{name}");
    }
}
