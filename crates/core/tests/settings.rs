//! A stanza's variables: what is accepted at the boundaries, and every mistake at once.

use std::time::Duration;

use watchbell_core::settings::{
    AlertSettings, CertificateSettings, ControlSettings, DerpSettings, Family, Host, HttpSettings,
    Mistake, StatusSet, TcpSettings, Threshold, parse_duration, parse_host, parse_resolvers,
};

fn get<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |key| {
        pairs
            .iter()
            .rev()
            .find(|(k, _)| *k == key)
            .map(|(_, v)| (*v).to_owned())
    }
}

fn tcp(extra: &[(&str, &str)]) -> Result<TcpSettings, Vec<Mistake>> {
    let base = [("check", "port"), ("host", "192.0.2.1"), ("port", "443")];
    TcpSettings::read(&get(&[&base[..], extra].concat()))
}

fn keys(mistakes: &[Mistake]) -> Vec<&str> {
    mistakes.iter().map(|m| m.key.as_str()).collect()
}

#[test]
fn durations_have_a_number_and_a_unit() {
    for (text, want_ms) in [
        ("1ms", Some(1)),
        ("10s", Some(10_000)),
        ("5m", Some(300_000)),
        ("4h", Some(14_400_000)),
        ("30d", Some(2_592_000_000)),
        ("0s", None),
        ("60", None),
        ("s", None),
        ("", None),
        ("-1s", None),
        ("1.5s", None),
        ("1 s", None),
        ("99999999999999999999s", None),
        ("18446744073709551615d", None),
        ("4000d", None),
    ] {
        assert_eq!(
            parse_duration(text),
            want_ms.map(Duration::from_millis),
            "{text:?}"
        );
    }
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let s = tcp(&[]).unwrap().common;
    assert_eq!(
        (
            s.pace.interval,
            s.pace.retry_interval,
            s.pace.firing_interval
        ),
        (
            Duration::from_secs(60),
            Duration::from_secs(20),
            Duration::from_secs(20)
        )
    );
    assert_eq!(
        (s.timeout, s.failure_threshold, s.success_threshold),
        (Duration::from_secs(10), 2, 1)
    );
    assert_eq!(
        (s.label.as_str(), s.service.as_str(), s.severity.as_str()),
        ("port", "headscale", "critical")
    );
}

#[test]
fn intervals_fit_into_each_other() {
    for (extra, want) in [
        (vec![("interval", "20s"), ("retry_interval", "20s")], vec![]),
        (
            vec![("interval", "10s"), ("retry_interval", "20s")],
            vec!["retry_interval"],
        ),
        (vec![("timeout", "19s")], vec![]),
        (vec![("timeout", "20s")], vec!["timeout"]),
        // Above it no run would live to save its outcome.
        (vec![("timeout", "25s"), ("retry_interval", "40s")], vec![]),
        (
            vec![("timeout", "25001ms"), ("retry_interval", "40s")],
            vec!["timeout"],
        ),
        (vec![("firing_interval", "21s")], vec!["firing_interval"]),
        (vec![("failure_threshold", "0")], vec!["failure_threshold"]),
        (vec![("failure_threshold", "100")], vec![]),
        (
            vec![("failure_threshold", "101")],
            vec!["failure_threshold"],
        ),
    ] {
        let mistakes = tcp(&extra).err().unwrap_or_default();
        assert_eq!(keys(&mistakes), want, "{extra:?}");
    }
}

#[test]
fn every_mistake_is_told_at_once_and_says_what_would_be_accepted() {
    let mistakes = tcp(&[
        ("check", "Not An Id"),
        ("interval", "sixty"),
        ("severity", "loud"),
        ("host", "999.1.2.3"),
        ("port", "0"),
        ("family", "ipv5"),
        ("expect", r"\q"),
    ])
    .unwrap_err();
    assert_eq!(
        keys(&mistakes),
        [
            "check", "interval", "severity", "host", "port", "family", "expect"
        ]
    );
    assert_eq!(
        mistakes[1].to_string(),
        r#"reading variable "interval": got "sixty", want a duration such as 500ms, 10s, 5m, 4h or 30d, above zero"#
    );
}

#[test]
fn an_empty_variable_is_none() {
    let s = tcp(&[("family", ""), ("send", " "), ("label", "  ")]).unwrap();
    assert_eq!(
        (s.family, s.send.len(), s.common.label.as_str()),
        (Family::Any, 0, "port")
    );
}

#[test]
fn hosts_are_names_or_addresses_with_or_without_brackets() {
    let name = |n: &str| Some(Host::Name(n.into()));
    let ip = |t: &str| Some(Host::Ip(t.parse().unwrap()));
    for (text, want) in [
        ("hs.example.com", name("hs.example.com")),
        ("HS.Example.COM.", name("hs.example.com")),
        ("xn--bcher-kva.example", name("xn--bcher-kva.example")),
        ("localhost", name("localhost")),
        ("192.0.2.1", ip("192.0.2.1")),
        ("2001:db8::1", ip("2001:db8::1")),
        ("[2001:db8::1]", ip("2001:db8::1")),
        ("[192.0.2.1]", None),
        ("[::1", None),
        ("256.1.1.1", None),
        ("1.2.3", None),
        ("-a.example", None),
        ("a..b", None),
        ("a b", None),
        ("hs.example.com:443", None),
        ("https://hs.example.com", None),
        ("bücher.example", None),
        ("", None),
    ] {
        assert_eq!(parse_host(text), want, "{text:?}");
    }
    assert_eq!(parse_host(&"a".repeat(64)), None);
    assert!(parse_host(&"a".repeat(63)).is_some());
}

#[test]
fn resolvers_are_addresses_in_their_order() {
    let list = |text: &str| {
        parse_resolvers(text).map(|l| {
            l.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    for (text, want) in [
        ("9.9.9.9", Some("9.9.9.9:53")),
        ("9.9.9.9,1.1.1.1", Some("9.9.9.9:53 1.1.1.1:53")),
        (
            "127.0.0.1:5353, ::1 [::1]:54",
            Some("127.0.0.1:5353 [::1]:53 [::1]:54"),
        ),
        ("dns.example.com", None),
        ("127.0.0.1:0", None),
        (",", None),
    ] {
        assert_eq!(list(text).as_deref(), want, "{text:?}");
    }
    assert_eq!(list(&["1.1.1.1"; 9].join(",")), None);
}

#[test]
fn a_name_needs_a_resolver_and_an_address_does_not() {
    assert_eq!(
        keys(&tcp(&[("host", "hs.example.com")]).unwrap_err()),
        ["dns_resolver"]
    );
    assert!(tcp(&[("host", "hs.example.com"), ("dns_resolver", "9.9.9.9")]).is_ok());
    assert!(tcp(&[("host", "localhost")]).is_ok());
    assert_eq!(keys(&tcp(&[("family", "both")]).unwrap_err()), ["family"]);
    assert_eq!(keys(&tcp(&[("family", "ipv6")]).unwrap_err()), ["family"]);
}

#[test]
fn what_is_sent_understands_escapes() {
    let s = tcp(&[("send", r"PING\r\n\x00\\")]).unwrap();
    assert_eq!(s.send, b"PING\r\n\0\\");
    for bad in [r"\", r"\x0", r"\xgg", r"\é"] {
        assert!(tcp(&[("send", bad)]).is_err(), "{bad:?}");
    }
}

#[test]
fn statuses_are_codes_and_ranges() {
    let s = StatusSet::parse("200,300-302").unwrap();
    for (code, within) in [
        (199, false),
        (200, true),
        (201, false),
        (299, false),
        (300, true),
        (302, true),
        (303, false),
    ] {
        assert_eq!(s.contains(code), within, "{code}");
    }
    for bad in ["", "99", "600", "302-300", "2xx", "200,", "200-"] {
        assert!(StatusSet::parse(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn a_header_or_a_url_with_a_secret_is_not_repeated() {
    let base = [
        ("check", "health"),
        ("url", "https://user:hunter2@h/"),
        ("headers", "authorization Bearer hunter2"),
    ];
    let mistakes = HttpSettings::read(&get(&base)).unwrap_err();
    assert_eq!(keys(&mistakes), ["url", "headers"]);
    assert!(!format!("{mistakes:?}").contains("hunter2"));
    let alert = [
        ("webhook_url", "ftp://hunter2"),
        ("webhook_secret", "whsec_hunter2"),
    ];
    let mistakes = AlertSettings::read(&get(&alert)).mistakes;
    assert_eq!(keys(&mistakes), ["webhook_url", "webhook_secret"]);
    assert!(!format!("{mistakes:?}").contains("hunter2"));
}

#[test]
fn the_host_sets_its_own_headers() {
    for header in [
        "Host: x",
        "Connection: close",
        "Upgrade: DERP",
        "Proxy-Authorization: Basic eDp5",
        // The shell sends one of its own, and two of them are a bad request.
        "Content-Length: 1",
    ] {
        let pairs = [
            ("check", "health"),
            ("url", "https://h/"),
            ("headers", header),
        ];
        assert_eq!(
            keys(&HttpSettings::read(&get(&pairs)).unwrap_err()),
            ["headers"],
            "{header}"
        );
    }
}

#[test]
fn thresholds_are_days_or_shares_of_the_lifetime_widest_first() {
    let read = |text: &str| {
        let pairs = [
            ("check", "certificate"),
            ("host", "192.0.2.1"),
            ("port", "443"),
            ("expiry_thresholds", text),
        ];
        CertificateSettings::read(&get(&pairs)).map(|s| s.thresholds)
    };
    use Threshold::{Days, LifetimePercent};
    assert_eq!(read("").unwrap(), [30, 14, 7, 3, 1].map(Days));
    assert_eq!(read("1d, 14d,14d").unwrap(), [Days(14), Days(1)]);
    assert_eq!(
        read("10%,33%").unwrap(),
        [LifetimePercent(33), LifetimePercent(10)]
    );
    for bad in [
        "30",
        "0d",
        "100%",
        "0%",
        "30d,10%",
        "x",
        "1d,2d,3d,4d,5d,6d,7d,8d,9d,10d,11d",
    ] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_scheme_is_with_tls_or_without() {
    for (scheme, tls) in [("", true), ("https", true), ("http", false)] {
        let pairs = [
            ("check", "certificate"),
            ("host", "192.0.2.1"),
            ("port", "443"),
            ("scheme", scheme),
        ];
        let settings = CertificateSettings::read(&get(&pairs)).unwrap();
        assert_eq!(settings.endpoint.tls, tls);
    }
}

#[test]
fn an_authority_has_the_port_that_is_not_its_schemes() {
    for (scheme, host, port, name, want) in [
        ("https", "hs.example.com", "443", "", "hs.example.com"),
        ("https", "hs.example.com", "8443", "", "hs.example.com:8443"),
        ("http", "hs.example.com", "80", "", "hs.example.com"),
        ("http", "hs.example.com", "443", "", "hs.example.com:443"),
        ("https", "2001:db8::7", "443", "", "[2001:db8::7]"),
        (
            "https",
            "192.0.2.1",
            "8443",
            "hs.example.com",
            "hs.example.com:8443",
        ),
    ] {
        let pairs = [
            ("check", "relay"),
            ("scheme", scheme),
            ("host", host),
            ("port", port),
            ("dns_resolver", "192.0.2.53"),
            ("server_name", name),
        ];
        let settings = DerpSettings::read(&get(&pairs)).unwrap();
        assert_eq!(settings.endpoint.authority(), want);
    }
}

#[test]
fn a_control_check_passes_for_a_client_that_there_can_be() {
    let read = |key, value| {
        let pairs = [
            ("check", "control"),
            ("host", "192.0.2.1"),
            ("port", "443"),
            (key, value),
        ];
        ControlSettings::read(&get(&pairs))
    };
    let key = format!("mkey:{}", "0a".repeat(32));
    assert_eq!(read("", "").unwrap().capability_version, 133);
    assert_eq!(read("public_key", &key).unwrap().pinned, Some(key.clone()));
    for version in ["39", "65534"] {
        let read = read("capability_version", version).unwrap();
        assert_eq!(read.capability_version.to_string(), version);
    }
    for (name, bad) in [
        ("capability_version", "38"),
        ("capability_version", "65535"),
        ("capability_version", "v133"),
        ("public_key", "mkey:00"),
        ("public_key", &key.to_uppercase()),
        ("public_key", &format!("mkey:{}", "0".repeat(64))),
    ] {
        assert_eq!(keys(&read(name, bad).unwrap_err()), [name], "{bad}");
    }
}

#[test]
fn a_webhook_secret_holds_24_to_64_bytes() {
    use base64::Engine as _;
    for (bytes, accepted) in [(23, false), (24, true), (64, true), (65, false)] {
        let text = format!(
            "whsec_{}",
            base64::engine::general_purpose::STANDARD.encode(vec![7; bytes])
        );
        assert_eq!(
            AlertSettings::read(&get(&[("webhook_secret", &text)]))
                .mistakes
                .is_empty(),
            accepted,
            "{bytes} bytes"
        );
        let bare = text.trim_start_matches("whsec_").to_owned();
        assert!(
            !AlertSettings::read(&get(&[("webhook_secret", &bare)]))
                .mistakes
                .is_empty(),
            "without its prefix"
        );
    }
}

#[test]
fn a_delivery_is_bounded_by_what_a_run_may_last() {
    for (key, at_most, beyond) in [
        ("webhook_timeout", "20s", "21s"),
        ("webhook_retry_interval", "5m", "6m"),
    ] {
        assert!(
            AlertSettings::read(&get(&[(key, at_most)]))
                .mistakes
                .is_empty()
        );
        let mistakes = AlertSettings::read(&get(&[(key, beyond)])).mistakes;
        assert_eq!(keys(&mistakes), [key]);
    }
}
