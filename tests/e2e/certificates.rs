//! What is wrong with a certificate, and what is told about it. (That the tutorial's
//! "certificate expired" is here and not in `failures.rs` is for its company's sake.)

#![allow(clippy::unwrap_used)]

use watchbell_lab::chain::Chain;
use watchbell_lab::headscale::Speaks;
use watchbell_lab::scenario::{Alert, Lab, Setup, alert, on_each_host, over_host_http};

/// The HTTP checks say `tls`: their host tells no more. Those with a TLS of their own tell why.
fn outage_of_chain(test: &str, speaks: Speaks, certificate: Alert) {
    let [health, derp, key] = over_host_http("tls");
    let over_sockets = ["control", "relay"].map(|check| Alert {
        check,
        ..certificate
    });
    on_each_host(test, |host| {
        // Plain HTTP is no fault of a certificate's.
        let cause = match certificate.kind {
            "certificate" => "certificate",
            _ => "",
        };
        Lab::well(host, Setup::default()).outage(
            cause,
            &[&[health, derp, key, certificate], &over_sockets[..]].concat(),
            |lab| lab.headscale.speaks(speaks),
            |lab| lab.headscale.speaks(Speaks::Https(Chain::Valid)),
        );
    });
}

#[test]
fn certificate_expired() {
    let certificate = alert("certificate", "certificate").because("expired");
    outage_of_chain(
        "certificate_expired",
        Speaks::Https(Chain::Expired),
        certificate,
    );
}

#[test]
fn certificate_not_yet_valid() {
    let certificate = alert("certificate", "certificate").because("not-yet-valid");
    let speaks = Speaks::Https(Chain::NotYetValid);
    outage_of_chain("certificate_not_yet_valid", speaks, certificate);
}

#[test]
fn certificate_of_another_host() {
    let certificate = alert("certificate", "certificate").because("wrong-host");
    outage_of_chain(
        "certificate_of_another_host",
        Speaks::Https(Chain::WrongHost),
        certificate,
    );
}

#[test]
fn certificate_self_signed() {
    let certificate = alert("certificate", "certificate").because("self-signed");
    outage_of_chain(
        "certificate_self_signed",
        Speaks::Https(Chain::SelfSigned),
        certificate,
    );
}

#[test]
fn certificate_from_an_untrusted_root() {
    let certificate = alert("certificate", "certificate").because("untrusted-root");
    let speaks = Speaks::Https(Chain::UntrustedRoot);
    outage_of_chain("certificate_from_an_untrusted_root", speaks, certificate);
}

#[test]
fn certificate_without_its_intermediate() {
    let certificate = alert("certificate", "certificate").because("incomplete-chain");
    let speaks = Speaks::Https(Chain::MissingIntermediate);
    outage_of_chain("certificate_without_its_intermediate", speaks, certificate);
}

#[test]
fn plain_http_where_tls_is_expected() {
    outage_of_chain("plain_http", Speaks::Http, alert("certificate", "tls"));
}

/// Inside a threshold each is said once for a certificate, and that it has been replaced once
/// that is certain.
#[test]
fn certificate_expiring() {
    on_each_host("certificate_expiring", |host| {
        let mut lab = Lab::well(host, Setup::default());
        let mut said = 0;
        let mut warned = Vec::new();
        // Thresholds crossed at once are one warning, and another certificate has its own.
        for days in [29, 10] {
            lab.headscale.speaks(Speaks::Https(Chain::DaysLeft(days)));
            said += 1;
            let told = lab.webhook.wait_for(said);
            lab.wait_for_probes(3);
            let told_after = lab.webhook.messages();
            assert_eq!(told_after.len(), said, "{told_after:#?}");
            let last = told.last().unwrap();
            assert_eq!(last.kind, "certificate.expiring");
            assert_eq!(last.data("severity"), "warning");
            assert!(last.checks().contains("certificate"), "{last:#?}");
            warned.push(last.data("certificate")["sha256"].clone());
            lab.wait_for_status_of("certificate", "degraded");
        }
        lab.headscale.speaks(Speaks::Https(Chain::Valid));
        lab.wait_for_status("up");
        let told = lab.webhook.wait_for(said + 2);
        let renewed: Vec<_> = told[said..]
            .iter()
            .map(|m| {
                assert_eq!(m.kind, "certificate.renewed");
                m.data("certificate")["sha256"].clone()
            })
            .collect();
        assert_eq!(renewed, warned);
        lab.nothing_twice();
    });
}
