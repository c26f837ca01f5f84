//! What the judgement says of every kind of chain, at a fixed time.

mod lab;

use lab::verdict::{at, expect, roots, says, verdict, word};
use lab::{Authority, Leaf, NOW, chain, days, pem, pem_of, pem_text};
use rcgen::{ExtendedKeyUsagePurpose, IsCa};
use watchbell_tls::{CertificateDer, Roots};

#[test]
fn each_class_is_told_apart() {
    let root = Authority::root("Root");
    let other = Authority::root("Other Root");
    let intermediate = root.intermediate("Intermediate");
    let trusted = roots(&[&root]);
    let good = intermediate.leaf(&Leaf::new(["lab.test"]));
    let past = intermediate.leaf(&Leaf::new(["lab.test"]).valid(-30, -2));
    let future = intermediate.leaf(&Leaf::new(["lab.test"]).valid(2, 30));
    let foreign = other.leaf(&Leaf::new(["lab.test"]));
    let alone = Leaf::new(["lab.test"]).self_signed();
    for (law, chain, want) in [
        (
            "leaf and intermediate",
            chain([&good, &intermediate.der]),
            "valid",
        ),
        (
            "with the root",
            chain([&good, &intermediate.der, &root.der]),
            "valid",
        ),
        (
            "leaf of the root itself",
            chain([&root.leaf(&Leaf::new(["lab.test"]))]),
            "valid",
        ),
        ("expired", chain([&past, &intermediate.der]), "expired"),
        (
            "not yet valid",
            chain([&future, &intermediate.der]),
            "not-yet-valid",
        ),
        ("self-signed", chain([&alone]), "self-signed"),
        (
            "self-signed, with strays",
            chain([&alone, &root.der]),
            "self-signed",
        ),
        (
            "untrusted root, sent",
            chain([&foreign, &other.der]),
            "untrusted-root",
        ),
        ("no intermediate", chain([&good]), "incomplete-chain"),
        (
            "no intermediate, but the root",
            chain([&good, &root.der]),
            "incomplete-chain",
        ),
        ("nothing", vec![], "malformed"),
        (
            "no DER",
            vec![CertificateDer::from(vec![1, 2, 3])],
            "malformed",
        ),
    ] {
        expect(law, &verdict(&chain, "lab.test", &trusted), want);
    }
    expect(
        "another host",
        &verdict(&chain([&good, &intermediate.der]), "other.test", &trusted),
        "wrong-host",
    );
}

#[test]
fn a_root_that_is_not_sent_is_not_a_missing_intermediate() {
    let root = Authority::root("Private Root");
    let intermediate = root.intermediate("Private Intermediate");
    let good = intermediate.leaf(&Leaf::new(["lab.test"]));
    let got = verdict(&chain([&good, &intermediate.der]), "lab.test", &roots(&[]));
    expect(
        "leaf and intermediate, root unknown",
        &got,
        "untrusted-root",
    );
    says(&got, &["Private Root", "\"ca_certificates\""]);
    let other = Authority::root("Home CA").intermediate("Home Intermediate");
    let sent = chain([&other.leaf(&Leaf::new(["lab.test"])), &other.der]);
    let got = verdict(&sent, "lab.test", &roots(&[&root]));
    expect("nor is it so beside another root", &got, "untrusted-root");
}

#[test]
fn what_the_issuer_of_a_lone_leaf_is_the_leaf_tells() {
    let leaf = || Leaf::new(["lab.test"]);
    let home = Authority::root("Home CA");
    let rooted = Authority::root("Home Root CA");
    let below = rooted.intermediate("Issuer");
    let plain = home.leaf(&leaf());
    let fetched = |uri| home.leaf(&leaf().issuer_at(uri));
    let of = |organization| Authority::root_of(organization, "CA").leaf(&leaf());
    let lab = Authority::root_of("Lab", "Lab Root");
    let own = Authority::root_with("Own", |p| p.is_ca = IsCa::ExplicitNoCa);
    let (incomplete, untrusted) = ("incomplete-chain", "untrusted-root");
    for (law, leaf, given, want) in [
        ("a root forgotten", &plain, None, untrusted),
        (
            "an intermediate forgotten",
            &below.leaf(&leaf()),
            Some(&rooted),
            incomplete,
        ),
        (
            "another private root was given",
            &plain,
            Some(&lab),
            incomplete,
        ),
        (
            "and the issuer is called a root",
            &rooted.leaf(&leaf()),
            Some(&lab),
            untrusted,
        ),
        (
            "what was given vouches for itself alone",
            &plain,
            Some(&own),
            untrusted,
        ),
        (
            "a public authority's leaf",
            &fetched("http://ca.test/i.cer"),
            None,
            incomplete,
        ),
        (
            "Active Directory's leaf",
            &fetched("ldap:///CN=Home"),
            None,
            untrusted,
        ),
        (
            "a public organization",
            &of("DigiCert Inc"),
            None,
            incomplete,
        ),
        ("a part of its name", &of("DigiCert"), None, untrusted),
        ("a country's code", &of("US"), None, untrusted),
        ("an empty one", &of(""), None, untrusted),
        ("a private organization", &of("Lab"), Some(&lab), incomplete),
        (
            "it says that a root issued it",
            &pem("of-told-root"),
            None,
            untrusted,
        ),
        (
            "it says that an intermediate issued it",
            &pem("of-told-intermediate"),
            None,
            incomplete,
        ),
    ] {
        let trusted = roots(given.as_slice());
        let got = verdict(std::slice::from_ref(leaf), "lab.test", &trusted);
        expect(law, &got, want);
        says(&got, &["\"ca_certificates\"", "the server must send"]);
    }
    // What the leaf says of its issuer is proof, also against a known organization.
    let same = Roots::only(&pem_text("ec-root")).unwrap();
    let got = verdict(&[pem("of-told-root")], "lab.test", &same);
    expect("a second root of a known organization", &got, untrusted);
    let sent = ["of-told-intermediate", "told-intermediate"].map(pem);
    let told = Roots::only(&pem_text("told-root")).unwrap();
    expect("all there", &verdict(&sent, "lab.test", &told), "valid");
}

#[test]
fn an_intermediate_of_a_known_organization_is_missing_and_not_untrusted() {
    let root = Authority::root_of("Lab Trust Services", "Root");
    let upper = root.intermediate_of("Lab Trust Services", "Upper");
    let lower = upper.intermediate_of("Lab Trust Services", "Lower");
    let good = lower.leaf(&Leaf::new(["lab.test"]));
    let got = verdict(&chain([&good, &lower.der]), "lab.test", &roots(&[&root]));
    expect("upper intermediate missing", &got, "incomplete-chain");
    let full = chain([&good, &lower.der, &upper.der]);
    expect(
        "all there",
        &verdict(&full, "lab.test", &roots(&[&root])),
        "valid",
    );
}

#[test]
fn the_first_and_last_second_count_as_valid() {
    let root = Authority::root("Root");
    let leaf = root.leaf(&Leaf::new(["lab.test"]).valid(-10, 10));
    let (begin, end) = (NOW + days(-10), NOW + days(10));
    for (now, want) in [
        (begin - 1, "not-yet-valid"),
        (begin, "valid"),
        (end, "valid"),
        (end + 1, "expired"),
    ] {
        let got = at(&chain([&leaf]), "lab.test", &roots(&[&root]), now);
        expect("the bounds of validity", &got, want);
    }
}

#[test]
fn order_and_strays_do_not_matter() {
    let root = Authority::root("Root");
    let upper = root.intermediate("Upper");
    let lower = upper.intermediate("Lower");
    let stray = Authority::root("Stray").intermediate("Stray Intermediate");
    let leaf = lower.leaf(&Leaf::new(["lab.test"]));
    let junk = CertificateDer::from(vec![0x30, 3, 1, 1, 1]);
    for (law, chain) in [
        ("in order", chain([&leaf, &lower.der, &upper.der])),
        ("reversed", chain([&leaf, &upper.der, &lower.der])),
        (
            "root first",
            chain([&leaf, &root.der, &upper.der, &lower.der]),
        ),
        (
            "stray amid",
            chain([&leaf, &stray.der, &lower.der, &upper.der]),
        ),
        ("junk amid", chain([&leaf, &junk, &lower.der, &upper.der])),
        (
            "the leaf twice",
            chain([&leaf, &leaf, &lower.der, &upper.der]),
        ),
    ] {
        expect(law, &verdict(&chain, "lab.test", &roots(&[&root])), "valid");
    }
}

#[test]
fn of_several_faults_the_one_to_mend_first_is_the_reason() {
    let root = Authority::root("Root");
    let intermediate = root.intermediate("Intermediate");
    let trusted = roots(&[&root]);
    let past = Leaf::new(["lab.test"]).valid(-30, -2);
    let alone = past.clone().self_signed();
    let got = verdict(&chain([&alone]), "other.test", &trusted);
    expect("self-signed, expired, wrong host", &got, "self-signed");
    says(&got, &["self-signed", "expired on", "want \"other.test\""]);
    let lone = intermediate.leaf(&past);
    let got = verdict(&chain([&lone]), "lab.test", &trusted);
    expect("incomplete and expired", &got, "incomplete-chain");
    let got = verdict(&chain([&lone, &intermediate.der]), "other.test", &trusted);
    expect("wrong host and expired", &got, "wrong-host");
    let client = past.clone().purposes([ExtendedKeyUsagePurpose::ClientAuth]);
    let got = verdict(&chain([&root.leaf(&client)]), "lab.test", &trusted);
    expect("expired and not for servers", &got, "expired");
    says(&got, &["2 days ago", "extended key usage"]);
}

#[test]
fn an_issuer_out_of_its_time_is_named() {
    let root = Authority::root("Root");
    let old = root.intermediate_with("Old Intermediate", |p| {
        p.not_before = lab::time(-90);
        p.not_after = lab::time(-1);
    });
    let leaf = old.leaf(&Leaf::new(["lab.test"]));
    let got = verdict(&chain([&leaf, &old.der]), "lab.test", &roots(&[&root]));
    expect("expired intermediate", &got, "expired");
    says(&got, &["\"Old Intermediate\" expired"]);
    let new = root.intermediate_with("New Intermediate", |p| p.not_before = lab::time(1));
    let leaf = new.leaf(&Leaf::new(["lab.test"]));
    let got = verdict(&chain([&leaf, &new.der]), "lab.test", &roots(&[&root]));
    expect("intermediate of tomorrow", &got, "not-yet-valid");
}

#[test]
fn an_expired_private_root_counts_as_go_s_clients_count_it() {
    let old = Authority::root_with("Root", |p| p.not_after = lab::time(-1));
    let leaf = old.leaf(&Leaf::new(["lab.test"]));
    let got = verdict(&chain([&leaf]), "lab.test", &roots(&[&old]));
    expect("expired root", &got, "expired");
    says(&got, &["its root expired"]);
    let renewed = old.again(|p| p.not_after = lab::time(1000));
    let got = verdict(&chain([&leaf]), "lab.test", &roots(&[&old, &renewed]));
    expect("renewed with its key beside the old", &got, "valid");
}

#[test]
fn a_cross_signed_issuer_validates_over_the_root_that_is_trusted() {
    let known = Authority::root("Known Root");
    let unknown = Authority::root("Unknown Root");
    let ours = known.intermediate("Shared");
    let theirs = unknown.cross_sign(&ours);
    let leaf = ours.leaf(&Leaf::new(["lab.test"]));
    let trusted = roots(&[&known]);
    for (law, chain, want) in [
        ("both", chain([&leaf, &theirs, &ours.der]), "valid"),
        (
            "both, and their root",
            chain([&leaf, &theirs, &unknown.der, &ours.der]),
            "valid",
        ),
        (
            "the other only",
            chain([&leaf, &theirs, &unknown.der]),
            "untrusted-root",
        ),
    ] {
        expect(law, &verdict(&chain, "lab.test", &trusted), want);
    }
    let expired = known.cross_sign_with(&ours, |p| p.not_after = lab::time(-1));
    let got = verdict(&chain([&leaf, &expired, &ours.der]), "lab.test", &trusted);
    expect("an expired one beside a good one", &got, "valid");
}

#[test]
fn a_self_signed_certificate_given_as_trusted_is_trusted() {
    let own = [pem("self")];
    let trusted = Roots::read(&pem_text("self")).unwrap();
    expect("pinned", &verdict(&own, "lab.test", &trusted), "valid");
    expect(
        "pinned, another host",
        &verdict(&own, "x.test", &trusted),
        "wrong-host",
    );
    let late = at(&own, "lab.test", &trusted, NOW + days(9_000));
    expect("pinned, expired", &late, "expired");
    expect(
        "not pinned",
        &verdict(&own, "lab.test", &roots(&[])),
        "self-signed",
    );
}

#[test]
fn a_trusted_certificate_that_clients_cannot_read_is_not_good() {
    let strict = Leaf::new(["lab.test"]).strict();
    for (law, own, want, parts) in [
        ("of version 1", pem("v1"), "other", &["version 3"][..]),
        (
            "with a critical extension that is unknown",
            strict.clone().self_signed(),
            "other",
            &["critical extension"],
        ),
        (
            "and expired",
            strict.valid(-30, -2).self_signed(),
            "expired",
            &["expired", "critical extension"],
        ),
    ] {
        let trusted = Roots::read(&pem_of(&own)).unwrap();
        for host in ["lab.test", "anything.example"] {
            let got = verdict(std::slice::from_ref(&own), host, &trusted);
            expect(law, &got, want);
            says(&got, parts);
        }
    }
}

#[test]
fn a_root_made_anew_under_the_same_name_is_another_root() {
    let mine = Authority::root("Root");
    let theirs = Authority::root("Root");
    let leaf = theirs.leaf(&Leaf::new(["lab.test"]));
    let got = verdict(&chain([&leaf]), "lab.test", &roots(&[&mine]));
    expect("root of the same name", &got, "untrusted-root");
    says(&got, &["another of that name"]);
    let root = Authority::root("Top");
    let old = root.intermediate("Intermediate");
    let new = root.intermediate("Intermediate");
    let leaf = new.leaf(&Leaf::new(["lab.test"]));
    let got = verdict(&chain([&leaf, &old.der]), "lab.test", &roots(&[&root]));
    expect("intermediate of the same name", &got, "incomplete-chain");
    says(&got, &["has not signed it"]);
}

#[test]
fn a_derper_s_key_certificate_is_left_out() {
    let root = Authority::root("Root");
    let leaf = root.leaf(&Leaf::new(["lab.test"]));
    let name = format!("derpkey{}", "0a".repeat(32));
    let key = Leaf::new([]).called(&name).valid(-90, -30).self_signed();
    let got = verdict(&chain([&leaf, &key]), "lab.test", &roots(&[&root]));
    expect("expired derpkey beside a good leaf", &got, "valid");
    let lone = root.intermediate("I").leaf(&Leaf::new(["lab.test"]));
    let got = verdict(&chain([&lone, &key]), "lab.test", &roots(&[&root]));
    expect("derpkey is no end of a chain", &got, "incomplete-chain");
    let negotiated = watchbell_tls::Negotiated {
        chain: chain([&leaf, &key]),
        ..Default::default()
    };
    let facts = watchbell_tls::facts(&negotiated, NOW);
    assert_eq!(facts["chain"].as_array().unwrap().len(), 1);
}

#[test]
fn weak_is_a_warning_and_unknown_is_not_invalid() {
    let all = ["rsa-root", "ec-root", "p384-root", "p521-root"].map(pem_text);
    let trusted = Roots::read(&all.concat()).unwrap();
    for (name, want, part) in [
        ("rsa-2048", "valid", ""),
        ("rsa-8192", "valid", ""),
        ("pss", "valid", ""),
        ("rsa-1024", "valid, warned", "1024 bits"),
        ("sha1", "valid, warned", "SHA-1"),
        ("sha1-ecdsa", "valid, warned", "SHA-1"),
        ("sha1-p384", "valid, warned", "SHA-1"),
        ("md5", "unsupported", "1.2.840.113549.1.1.4"),
        ("under-p521", "unsupported", "P-521"),
        ("v1", "other", "version 3"),
    ] {
        let got = verdict(&[pem(name)], "lab.test", &trusted);
        expect(name, &got, want);
        says(&got, &[part]);
    }
    let got = at(
        &[pem("under-p521")],
        "lab.test",
        &trusted,
        NOW + days(9_000),
    );
    expect("expired is certain, whoever signed", &got, "expired");
    let got = verdict(&[pem("under-p521")], "x.test", &trusted);
    expect("and so is another name", &got, "wrong-host");
}

#[test]
fn what_is_weak_above_the_leaf_is_a_warning_too() {
    let sent = ["under-weak", "weak-intermediate"].map(pem);
    let trusted = Roots::read(&pem_text("weak-root")).unwrap();
    let got = verdict(&sent, "lab.test", &trusted);
    expect("RSA-1024 and SHA-1 above", &got, "valid, warned");
    says(
        &got,
        &[
            "weak-intermediate\"'s RSA key has 1024 bits",
            "weak-intermediate\"'s signature uses SHA-1",
            "its root's RSA key has 1024 bits",
        ],
    );
}

#[test]
fn a_way_that_may_be_good_is_told_before_one_that_is_bad() {
    let known = Authority::root("Known Root");
    // Of the name alone: what a P-521 key has signed is not verified.
    let p521 = Authority::root_of("Watchbell Lab", "Lab Root p521-root");
    let shared = known.intermediate("Shared");
    let expired = known.cross_sign_with(&shared, |p| p.not_after = lab::time(-1));
    let unverified = p521.cross_sign(&shared);
    let leaf = shared.leaf(&Leaf::new(["lab.test"]));
    let trusted = Roots::only(&(known.pem() + &pem_text("p521-root"))).unwrap();
    for (law, chain, want) in [
        ("expired", chain([&leaf, &expired]), "expired"),
        ("unverified", chain([&leaf, &unverified]), "unsupported"),
        ("both", chain([&leaf, &expired, &unverified]), "unsupported"),
    ] {
        expect(law, &verdict(&chain, "lab.test", &trusted), want);
    }
}

#[test]
fn damage_is_malformed_and_never_a_panic() {
    let root = Authority::root("Root");
    let leaf = root.leaf(&Leaf::new(["lab.test"]));
    let trusted = roots(&[&root]);
    let mut longer = leaf.to_vec();
    longer.push(0);
    let got = verdict(&[CertificateDer::from(longer)], "lab.test", &trusted);
    expect("trailing byte", &got, "malformed");
    for cut in 0..leaf.len() {
        let got = verdict(&[CertificateDer::from(&leaf[..cut])], "lab.test", &trusted);
        expect("cut short", &got, "malformed");
    }
    for at in 0..leaf.len() {
        for bit in [1, 0x80] {
            let mut bytes = leaf.to_vec();
            bytes[at] ^= bit;
            let damaged = [CertificateDer::from(bytes)];
            let got = verdict(&damaged, "lab.test", &trusted);
            assert!(
                !word(&got).starts_with("valid"),
                "bit {bit} of byte {at}: {got:?}"
            );
        }
    }
}

#[test]
fn a_swarm_of_look_alikes_is_told_as_what_it_is() {
    // That it costs no more than a chain does, src/path.rs counts.
    let root = Authority::root("Root");
    let leaf = root.intermediate("Same").leaf(&Leaf::new(["lab.test"]));
    let fakes: Vec<_> = (0..100).map(|_| root.intermediate("Same").der).collect();
    let mut sent = vec![leaf];
    sent.extend(fakes);
    let got = verdict(&sent, "lab.test", &roots(&[&root]));
    expect("none of them signed it", &got, "incomplete-chain");
    says(&got, &["has not signed it"]);
}

#[test]
fn facts_are_those_of_the_certificate() {
    let root = Authority::root_of("Lab", "Root");
    let leaf = root.leaf(&Leaf::new(["lab.test", "127.0.0.1", "::1"]).valid(-10, 20));
    let negotiated = watchbell_tls::Negotiated {
        chain: chain([&leaf, &root.der]),
        version: Some("TLS 1.3"),
        cipher: Some("TLS_AES_128_GCM_SHA256"),
        protocol: None,
    };
    let facts = watchbell_tls::facts(&negotiated, NOW);
    let keys: Vec<&String> = facts.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 11, "{keys:?}");
    assert_eq!(
        facts["names"],
        serde_json::json!(["lab.test", "127.0.0.1", "::1"])
    );
    assert_eq!(facts["issuer"], "O=Lab, CN=Root");
    assert_eq!(facts["days_left"], 20);
    assert_eq!(facts["not_before_unix_s"], NOW + days(-10));
    assert_eq!(facts["not_after_unix_s"], NOW + days(20));
    assert_eq!(facts["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(facts["chain"][1]["subject"], "O=Lab, CN=Root");
    assert_eq!(facts["chain"][0]["sha256"], facts["sha256"]);
    assert_eq!(facts["tls_version"], "TLS 1.3");
    let nothing = watchbell_tls::facts(&Default::default(), NOW);
    assert_eq!(nothing, serde_json::json!({}));
}

#[test]
fn private_roots_are_read_from_pem_with_every_mistake_named() {
    let root = Authority::root("Root");
    let two = root.pem() + &Authority::root("Other").pem();
    for (law, text, want) in [
        ("none", String::new(), Ok(())),
        ("blank", " \n".to_owned(), Ok(())),
        ("one", root.pem(), Ok(())),
        ("two, words before", format!("# ours\n{two}"), Ok(())),
        ("no PEM", "hello".to_owned(), Err("got no certificate")),
        ("cut", root.pem()[..100].to_owned(), Err("")),
        ("many", root.pem().repeat(65), Err("more than 64")),
        (
            "junk in PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            Err("certificate 1"),
        ),
    ] {
        match (Roots::read(&text), want) {
            (Ok(_), Ok(())) => {}
            (Err(got), Err(part)) => assert!(got.contains(part), "{law}: {got}"),
            (got, want) => panic!("{law}: got {:?}, want {want:?}", got.err()),
        }
    }
}
