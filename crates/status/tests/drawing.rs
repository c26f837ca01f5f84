//! What pages draw: the chart of a day, the bars of 90 days, a certificate's scale, and whether
//! it all can be told from its ground.

#![allow(clippy::unwrap_used)]

#[path = "page/fixture.rs"]
mod fixture;

use fixture::{NOW, certificate, check, days, empty, monitor, sample, samples, site};
use watchbell_core::history::{DAY_S, HOUR_S, Samples, Span, State as Was};
use watchbell_status::page::{self, STYLE};
use watchbell_status::records::History;
use watchbell_status::view::{self, Sight, State};

use Sight::{Full, Public};
use State::{Unknown, Up};

/// What the path of that class draws, in the part of that id.
fn path<'a>(html: &'a str, part: &str, class: &str) -> &'a str {
    let part = html.split(&format!("id=\"{part}\"")).nth(1).unwrap();
    let part = part.split("</section>").next().unwrap();
    let path = part.split(&format!("<path class=\"{class}\" d=\"")).nth(1);
    path.map_or("", |p| p.split('"').next().unwrap())
}

/// A history of the last day, drawn: failures, what was degraded, gaps, medians.
#[track_caller]
fn drawing(samples: Samples) -> [String; 4] {
    let history = History { samples, ..empty() };
    let page = check(&monitor("a", "A", "tcp", Up), &history, Full);
    ["failed", "degraded", "gap", "median"].map(|c| path(&page, "latency", c).to_owned())
}

#[test]
fn the_chart_tells_well_from_failing_and_from_unknown() {
    // It is 14:03: the last quarter began three minutes ago, and is the 96th.
    let [failed, degraded, gap, median] = drawing(samples(1, |_| Some(Was::Up)));
    assert_eq!(
        (failed.as_str(), degraded.as_str(), gap.as_str()),
        ("", "", ""),
        "all up"
    );
    assert_eq!(median.matches('M').count(), 1, "one line: {median}");
    assert_eq!(median.matches('l').count(), 95, "{median}");

    let [failed, _, gap, median] = drawing(samples(1, |_| Some(Was::Down)));
    assert_eq!(failed, "M0 100h384", "all failing is one block");
    assert_eq!((gap.as_str(), median.as_str()), ("", ""));

    // The hour from 12:03 to 13:03 touches five quarters, 88 to 92.
    let [failed, _, gap, median] = drawing(samples(1, |ago_s| match ago_s {
        3_600..7_200 => Some(Was::Down),
        _ => Some(Was::Up),
    }));
    assert_eq!(failed, "M348 100h20");
    assert_eq!(gap, "");
    assert!(
        median.matches('M').count() > 1,
        "no line leads over a failure: {median}"
    );

    let [failed, degraded, gap, median] = drawing(samples(1, |ago_s| match ago_s {
        3_600..7_200 => None,
        _ => Some(Was::Up),
    }));
    assert_eq!((failed.as_str(), degraded.as_str()), ("", ""));
    assert_eq!(gap, "M352 105h12", "what is known reaches into it");
    assert_eq!(
        median.matches('M').count(),
        2,
        "no line leads over a gap: {median}"
    );

    let [failed, degraded, ..] = drawing(samples(1, |ago_s| match ago_s {
        ..60 => Some(Was::Degraded),
        _ => Some(Was::Up),
    }));
    assert_eq!((failed.as_str(), degraded.as_str()), ("", "M380 103h4"));

    let one: Samples = [sample(1_000, Was::Up, 30)].into_iter().collect();
    let [failed, _, gap, median] = drawing(one);
    assert_eq!(failed, "");
    assert_eq!(gap, "M0 105h376M380 105h4");
    assert_eq!(median, "M378 36h0", "a point: 30 of 50 ms");
}

#[test]
fn without_a_probe_there_is_no_chart() {
    let page = check(&monitor("a", "A", "tcp", Unknown), &empty(), Public);
    assert!(page.contains("No probe in the last 24 hours"));
    assert!(page.contains("No day is known yet"));
    let part = page.split("id=\"latency\"").nth(1).unwrap();
    assert!(!part.split("</section>").next().unwrap().contains("<svg"));
}

#[test]
fn a_bar_tells_how_much_of_its_day_was_down() {
    let bars = |history: &History| {
        let page = check(&monitor("a", "A", "tcp", Up), history, Full);
        ["up-days", "unknown-days", "rest", "degraded", "failed"]
            .map(|c| path(&page, "uptime", c).to_owned())
    };
    let today = || samples(1, |_| Some(Was::Up));

    // Ninety alike are one dashed line.
    let [up, unknown, rest, degraded, failed] = bars(&History {
        hours: Vec::new(),
        samples: today(),
        days: days(89, |_| 0),
    });
    assert_eq!(up, "M0 15h720");
    assert_eq!([unknown, rest, degraded, failed], ["", "", "", ""]);

    // The day before today, the 89th bar, was down for half of it.
    let half = |ago: u64| if ago == 1 { DAY_S as u32 / 2 } else { 0 };
    let [up, _, rest, _, failed] = bars(&History {
        hours: Vec::new(),
        samples: today(),
        days: days(89, half),
    });
    assert_eq!(
        (up.as_str(), failed.as_str()),
        ("M0 15h704M712 15h8", "M707 0V12")
    );
    assert_eq!(rest, "M707 13V25", "the other half");

    // A second is not overlooked, and a whole day is the whole bar.
    let second = |ago: u64| u32::from(ago == 1);
    let [.., failed] = bars(&History {
        hours: Vec::new(),
        samples: today(),
        days: days(89, second),
    });
    assert_eq!(failed, "M707 0V8");
    let whole = |ago: u64| if ago == 1 { DAY_S as u32 } else { 0 };
    let [_, _, rest, _, failed] = bars(&History {
        hours: Vec::new(),
        samples: today(),
        days: days(89, whole),
    });
    assert_eq!((rest.as_str(), failed.as_str()), ("", "M707 0V25"));

    // Today comes from the samples, and so does yesterday as long as it has no span.
    let now = samples(1, |ago_s| {
        Some(if ago_s < 3_600 { Was::Down } else { Was::Up })
    });
    let [up, unknown, _, _, failed] = bars(&History {
        hours: Vec::new(),
        samples: now,
        days: Vec::new(),
    });
    assert_eq!(unknown, "M0 23h704");
    assert_eq!((up.as_str(), failed.as_str()), ("M704 15h8", "M715 0V8"));

    // Degraded is no failure: another height, another shape.
    let now = samples(1, |_| Some(Was::Degraded));
    let [.., degraded, failed] = bars(&History {
        hours: Vec::new(),
        samples: now,
        days: days(89, |_| 0),
    });
    assert_eq!((degraded.as_str(), failed.as_str()), ("M715 5V25", ""));
}

#[test]
fn bars_are_told_in_words_too() {
    let some = |ago: u64| if ago == 8 || ago == 30 { 1_200 } else { 0 };
    let history = History {
        hours: Vec::new(),
        samples: samples(1, |_| Some(Was::Up)),
        days: days(89, some),
    };
    let page = check(&monitor("a", "A", "tcp", Up), &history, Public);
    assert!(
        page.contains("Failures on 2 of 90 known days, last on 2026-11-20 (20m)"),
        "{page}"
    );
    assert!(page.contains("2026-10-29: down for 20m"));
}

#[test]
fn an_hour_is_told_by_its_span_and_else_by_its_samples() {
    let monitor = monitor("a", "A", "tcp", Up);
    let history = History {
        hours: Vec::new(),
        samples: samples(1, |_| Some(Was::Up)),
        days: Vec::new(),
    };
    let told = Span {
        // 12:00.
        start_s: NOW.0 / 1_000 - 2 * HOUR_S - 180,
        count: 77,
        up_s: 3_540,
        down_s: 60,
        ..Span::default()
    };
    let detail = view::detail(&monitor, &history, NOW, Public);
    let page = page::check(&site(Public), &detail, &history, &[told]);
    let row = |from: &str| {
        let start = format!("<th scope=\"row\">{from}</th>");
        let row = page.split(&start).nth(1).unwrap();
        row.split("</tr>").next().unwrap().to_owned()
    };
    assert_eq!(row("12:00"), "<td>77</td><td>1m</td><td>–</td><td>–</td>");
    assert!(
        row("11:00").starts_with("<td>120</td><td>–</td>"),
        "{}",
        row("11:00")
    );
    assert_eq!(
        page.matches("<th scope=\"row\">").count(),
        24 + 5,
        "hours and shares"
    );
}

#[test]
fn a_certificate_tells_its_days_and_its_thresholds() {
    let rows = [
        (
            26,
            "26 days left",
            "30 days (2026-11-24, passed), 7 days (2026-12-17), 1 day",
        ),
        (
            1,
            "1 day left",
            "7 days (2026-11-22, passed), 1 day (2026-11-28)",
        ),
        (-3, "ended 3 days ago", "1 day (2026-11-24, passed)"),
    ];
    for (days_left, left, thresholds) in rows {
        let mut monitor = monitor("certificate", "Certificate", "certificate", Up);
        monitor.measured.certificate = Some(certificate(days_left));
        let page = check(&monitor, &empty(), Public);
        assert!(page.contains(left), "{days_left}: {page}");
        assert!(page.contains(thresholds), "{days_left}: {page}");
    }
}

/// Relative luminance's ratio, as WCAG 2.2 has it.
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |colour: &str| {
        let hex = match colour.trim_start_matches('#') {
            short if short.len() == 3 => short.chars().flat_map(|c| [c, c]).collect(),
            long => long.to_owned(),
        };
        let part = |n: usize| {
            let part = f64::from(u8::from_str_radix(&hex[n..n + 2], 16).unwrap()) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_and_drawings_stand_out_in_both_schemes() {
    let mut schemes = STYLE.split("--back: ").skip(1);
    let (light, dark) = (schemes.next().unwrap(), schemes.next().unwrap());
    for scheme in [light, dark] {
        let scheme = format!("--back: {scheme}");
        let colour = |name: &str| {
            let after = scheme.split(&format!("--{name}: ")).nth(1).unwrap();
            after.split(';').next().unwrap().to_owned()
        };
        let texts = [
            "text", "soft", "link", "up", "unknown", "degraded", "pending", "down",
        ];
        for (name, on) in texts.iter().flat_map(|t| [(t, "card"), (t, "back")]) {
            let got = contrast(&colour(name), &colour(on));
            assert!(got >= 4.5, "{name} on {on}: {got:.2}");
        }
        let got = contrast(&colour("median"), &colour("card"));
        assert!(got >= 3.0, "median: {got:.2}");
    }
    for fill in STYLE
        .split("--fill: ")
        .skip(1)
        .map(|f| f.split(' ').next().unwrap())
    {
        let got = contrast(fill, "#fff");
        assert!(got >= 4.5, "a banner in {fill}: {got:.2}");
    }
}
