//! Expectations over HTTP answers, as the shipped stanzas state them.

use std::time::Duration;

use watchbell_core::monitor::Memory;
use watchbell_core::outcome::{Identity, Kind, Outcome};
use watchbell_core::response::{Response, judge};
use watchbell_core::settings::HttpSettings;

fn settings(extra: &[(&str, &str)]) -> HttpSettings {
    let get = |key: &str| {
        let given = extra
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, v)| (*v).to_owned());
        given.or_else(|| match key {
            "check" => Some("health".into()),
            "url" => Some("https://hs.example.com/health".into()),
            _ => None,
        })
    };
    HttpSettings::read(&get).unwrap_or_else(|m| panic!("{m:?}"))
}

fn answer(status: u16, body: &str) -> Response {
    Response {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.as_bytes().to_vec(),
        truncated: false,
        broken: None,
        elapsed: Duration::from_millis(12),
    }
}

/// `status kind reason`, `-` for none.
fn says(o: &Outcome) -> String {
    let kind = o.kind.map_or("-", |k| k.as_str());
    format!(
        "{} {kind} {}",
        o.status.as_str(),
        o.reason.as_deref().unwrap_or("-")
    )
}

#[test]
fn every_expectation_has_its_own_kind() {
    let json = ("expect_json", r#"/status = "pass" or /healthy = "ok""#);
    for (what, extra, response, want) in [
        (
            "pass",
            vec![json],
            answer(200, r#"{"status":"pass"}"#),
            "up - -",
        ),
        (
            "the old form",
            vec![json],
            answer(200, r#"{"healthy":"ok"}"#),
            "up - -",
        ),
        (
            "database down",
            vec![json],
            answer(500, r#"{"status":"fail"}"#),
            "failed status -",
        ),
        (
            "fail with 200",
            vec![json],
            answer(200, r#"{"status":"fail"}"#),
            "failed body -",
        ),
        (
            "v0.28's blank page",
            vec![json],
            answer(200, ""),
            "failed body -",
        ),
        (
            "not JSON",
            vec![json],
            answer(200, "<html>"),
            "failed body -",
        ),
        ("204 is in 200-299", vec![], answer(204, ""), "up - -"),
        ("300 is not", vec![], answer(300, ""), "failed status -"),
        (
            "a list",
            vec![("expect_status", "200,426")],
            answer(426, ""),
            "up - -",
        ),
        (
            "keyword",
            vec![("expect_keyword", "pass")],
            answer(200, "it passes"),
            "up - -",
        ),
        (
            "no keyword",
            vec![("expect_keyword", "pass")],
            answer(200, "no"),
            "failed body -",
        ),
        (
            "rejected",
            vec![("reject_keyword", "error")],
            answer(200, "an error"),
            "failed body -",
        ),
        (
            "regex",
            vec![("expect_regex", "^a+$")],
            answer(200, "aaa"),
            "up - -",
        ),
        (
            "no match",
            vec![("expect_regex", "^a+$")],
            answer(200, "aab"),
            "failed body -",
        ),
        (
            "header",
            vec![("expect_header", "content-type ~ json")],
            answer(200, ""),
            "up - -",
        ),
        (
            "other header",
            vec![("expect_header", "Content-Type = text/html")],
            answer(200, ""),
            "failed body -",
        ),
        (
            "no header",
            vec![("expect_header", "x-none")],
            answer(200, ""),
            "failed body -",
        ),
        (
            "at the bound",
            vec![("degraded_above", "12ms")],
            answer(200, ""),
            "up - -",
        ),
        (
            "slower",
            vec![("degraded_above", "11ms")],
            answer(200, ""),
            "degraded latency -",
        ),
    ] {
        assert_eq!(
            says(&judge(&settings(&extra), &Memory::default(), &response)),
            want,
            "{what}"
        );
    }
}

#[test]
fn a_body_that_goes_on_is_no_json_but_may_have_its_keyword() {
    let mut long = answer(200, r#"{"status":"pass"}"#);
    long.truncated = true;
    let keyword = settings(&[("expect_keyword", "pass")]);
    assert_eq!(says(&judge(&keyword, &Memory::default(), &long)), "up - -");
    for unknowable in [
        ("expect_json", r#"/status = "pass""#),
        // It may stand in what was not read.
        ("reject_keyword", "fail"),
    ] {
        assert_eq!(
            says(&judge(&settings(&[unknowable]), &Memory::default(), &long)),
            "failed body -",
            "{unknowable:?}"
        );
    }
}

#[test]
fn derp_is_not_missed_before_it_was_seen_and_missed_afterwards() {
    let stanza = |presence| {
        settings(&[
            ("expect_status", "426"),
            ("absent_status", "404"),
            ("presence", presence),
            ("hint", "look at derp"),
        ])
    };
    let (never, once) = (
        Memory::default(),
        Memory {
            present: true,
            ..Memory::default()
        },
    );
    for (presence, memory, status, want) in [
        ("auto", &never, 404, "up - -"),
        ("auto", &once, 404, "failed status -"),
        ("auto", &never, 502, "failed status -"),
        ("auto", &never, 200, "failed status -"),
        ("required", &never, 404, "failed status -"),
        ("auto", &never, 426, "up - -"),
    ] {
        let outcome = judge(&stanza(presence), memory, &answer(status, ""));
        assert_eq!(says(&outcome), want, "{presence} {status}");
        assert_eq!(outcome.present.is_some(), status == 426);
        assert_eq!(
            outcome.detail.contains("look at derp"),
            status != 426,
            "{:?}",
            outcome.detail
        );
    }
    assert!(
        judge(&stanza("auto"), &never, &answer(404, ""))
            .detail
            .starts_with("not offered")
    );
}

#[test]
fn a_public_key_must_be_one_and_stay_what_it_was() {
    let key = |c: char| format!("mkey:{}", c.to_string().repeat(64));
    let body = |k: &str| format!(r#"{{"legacyPublicKey":"{}","publicKey":"{k}"}}"#, key('0'));
    let stanza = |pinned: &str| {
        settings(&[
            ("expect_json", "/publicKey ~ ^mkey:[0-9a-f]{64}$"),
            ("remember", "/publicKey"),
            ("remember_reject", "^mkey:0{64}$"),
            ("remember_pinned", pinned),
            ("remember_hint", "set headscale_public_key"),
        ])
    };
    let at = |pointer: &str, value| Identity {
        pointer: pointer.into(),
        value,
    };
    let knowing = |pointer| Memory {
        identity: Some(at(pointer, key('a'))),
        ..Memory::default()
    };
    let (knows_a, knows_another_place) = (knowing("/publicKey"), knowing("/legacyPublicKey"));
    for (what, pinned, memory, got, want) in [
        (
            "first seen",
            String::new(),
            &Memory::default(),
            key('a'),
            "up - -",
        ),
        ("the same", String::new(), &knows_a, key('a'), "up - -"),
        (
            "another",
            String::new(),
            &knows_a,
            key('b'),
            "failed protocol key-changed",
        ),
        (
            "what stood in another place",
            String::new(),
            &knows_another_place,
            key('b'),
            "up - -",
        ),
        (
            "pinned to the new one",
            key('b'),
            &knows_a,
            key('b'),
            "up - -",
        ),
        (
            "pinned, still the old one",
            key('b'),
            &knows_a,
            key('a'),
            "failed protocol key-changed",
        ),
        (
            "zeros",
            String::new(),
            &Memory::default(),
            key('0'),
            "failed body -",
        ),
        (
            "upper case",
            String::new(),
            &Memory::default(),
            key('A'),
            "failed body -",
        ),
        (
            "too short",
            String::new(),
            &Memory::default(),
            "mkey:ab".into(),
            "failed body -",
        ),
    ] {
        let outcome = judge(&stanza(&pinned), memory, &answer(200, &body(&got)));
        assert_eq!(says(&outcome), want, "{what}: {}", outcome.detail);
        let changed = outcome.reason.is_some();
        assert_eq!(outcome.detail.contains("set headscale_public_key"), changed);
        if changed {
            assert!(outcome.detail.contains(&got), "to be copied from the alert");
        }
    }
    let accepted = judge(
        &stanza(""),
        &Memory::default(),
        &answer(200, &body(&key('a'))),
    );
    assert_eq!(accepted.identity, Some(at("/publicKey", key('a'))));
}

#[test]
fn a_body_that_breaks_off_is_a_failure_unless_the_status_is_one_already() {
    let mut broken = answer(502, "<ht");
    broken.broken = Some(Outcome::failed(Kind::Timeout, "waiting for the whole body"));
    let verdict = |r: &Response| says(&judge(&settings(&[]), &Memory::default(), r));
    assert_eq!(verdict(&broken), "failed status -");
    broken.status = 200;
    assert_eq!(verdict(&broken), "failed timeout -");
}

#[test]
fn a_header_that_is_wrong_is_named_and_not_told() {
    let stanza = settings(&[("expect_header", "x-token = s3cr3t")]);
    let mut response = answer(200, "");
    response.headers.push(("x-token".into(), "t0ken".into()));
    let detail = judge(&stanza, &Memory::default(), &response).detail;
    assert!(detail.contains("x-token"), "{detail}");
    assert!(
        !detail.contains("s3cr3t") && !detail.contains("t0ken"),
        "{detail}"
    );
}

#[test]
fn a_redirect_shows_where_to_without_its_query() {
    let mut redirect = answer(302, "");
    redirect.headers.push((
        "location".into(),
        "https://sso.example.com/login?token=s3cr3t".into(),
    ));
    let outcome = judge(&settings(&[]), &Memory::default(), &redirect);
    assert!(
        outcome.detail.contains("sso.example.com/login"),
        "{}",
        outcome.detail
    );
    assert!(!outcome.detail.contains("s3cr3t"));
}
