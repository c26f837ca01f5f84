//! Names, name constraints, key usage and basic constraints.

mod lab;

use lab::verdict::{expect, roots, says, verdict};
use lab::{Authority, Leaf, chain};
use rcgen::{
    BasicConstraints, CidrSubnet, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyUsagePurpose, NameConstraints,
};

#[test]
fn names_match_as_in_browsers() {
    let root = Authority::root("Root");
    let trusted = roots(&[&root]);
    for (names, host, want) in [
        (&["lab.test"][..], "lab.test", "valid"),
        (&["LAB.Test"], "lab.test", "valid"),
        (&["lab.test"], "LAB.TEST.", "valid"),
        (&["lab.test"], "www.lab.test", "wrong-host"),
        (&["www.lab.test"], "lab.test", "wrong-host"),
        (&["other.test", "lab.test"], "lab.test", "valid"),
        (&["*.lab.test"], "a.lab.test", "valid"),
        (&["*.lab.test"], "lab.test", "wrong-host"),
        (&["*.lab.test"], "a.b.lab.test", "wrong-host"),
        (&["*.lab.test"], "xn--bcher-kva.lab.test", "valid"),
        (&["xn--*.lab.test"], "xn--bcher-kva.lab.test", "wrong-host"),
        (&["XN--BCHER-KVA.test"], "xn--bcher-kva.test", "valid"),
        (&["a*.lab.test"], "ab.lab.test", "wrong-host"),
        (&["*b.lab.test"], "ab.lab.test", "wrong-host"),
        (&["a.*.test"], "a.lab.test", "wrong-host"),
        (&["*.*.test"], "a.lab.test", "wrong-host"),
        (&["*"], "lab", "wrong-host"),
        (&["*.test"], "lab.test", "wrong-host"),
        (&["xn--bcher-kva.test"], "xn--bcher-kva.test", "valid"),
        (&["127.0.0.1"], "127.0.0.1", "valid"),
        (&["127.0.0.1"], "127.0.0.2", "wrong-host"),
        (&["::1"], "::1", "valid"),
        (&["2001:db8::1"], "[2001:db8:0:0:0:0:0:1]", "valid"),
        (&["lab.test"], "127.0.0.1", "wrong-host"),
        (&["127.0.0.1"], "lab.test", "wrong-host"),
        (&["under_score.lab.test"], "under_score.lab.test", "valid"),
    ] {
        let leaf = root.leaf(&Leaf::new(names.iter().copied()));
        let got = verdict(&chain([&leaf]), host, &trusted);
        expect(&format!("{names:?} for {host:?}"), &got, want);
    }
}

#[test]
fn the_common_name_is_no_host_name() {
    let root = Authority::root("Root");
    let leaf = root.leaf(&Leaf::new([]).called("lab.test"));
    let got = verdict(&chain([&leaf]), "lab.test", &roots(&[&root]));
    expect("no subjectAltName", &got, "wrong-host");
    says(&got, &["no alternative names"]);
    let address = root.leaf(&Leaf::new(["dns.test"]).called("127.0.0.1"));
    let got = verdict(&chain([&address]), "127.0.0.1", &roots(&[&root]));
    expect("an address as common name", &got, "wrong-host");
}

#[test]
fn a_wrong_host_is_told_with_the_names_there_are() {
    let root = Authority::root("Root");
    let leaf = root.leaf(&Leaf::new([
        "a.test", "b.test", "c.test", "d.test", "e.test",
    ]));
    let got = verdict(&chain([&leaf]), "lab.test", &roots(&[&root]));
    says(
        &got,
        &["\"a.test\"", "\"c.test\" and 2 more", "want \"lab.test\""],
    );
}

#[test]
fn only_a_ca_may_issue() {
    let root = Authority::root("Root");
    let trusted = roots(&[&root]);
    let table: [(&str, Authority, &str); 6] = [
        (
            "CA:FALSE",
            root.intermediate_with("Plain", |p| p.is_ca = IsCa::ExplicitNoCa),
            "is not a CA",
        ),
        (
            "no basic constraints",
            root.intermediate_with("Bare", |p| p.is_ca = IsCa::NoCa),
            "is not a CA",
        ),
        (
            "no keyCertSign",
            root.intermediate_with("Useless", |p| {
                p.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
            }),
            "key usage",
        ),
        (
            "extended key usage of clients",
            root.intermediate_with("Clients", |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
            "may not issue for servers",
        ),
        (
            "path length",
            root.intermediate_with("Short", |p| {
                p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))
            })
            .intermediate("Below"),
            "allows 0 CAs",
        ),
        (
            "below a CA:FALSE",
            root.intermediate_with("Plain", |p| p.is_ca = IsCa::ExplicitNoCa)
                .intermediate("Below"),
            "is not a CA",
        ),
    ];
    for (law, issuer, text) in table {
        let leaf = issuer.leaf(&Leaf::new(["lab.test"]));
        let mut sent = chain([&leaf, &issuer.der]);
        sent.extend(issuer.above.iter().cloned());
        let got = verdict(&sent, "lab.test", &trusted);
        expect(law, &got, "other");
        says(&got, &[text]);
    }
    let fine = root.intermediate_with("Fine", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        p.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let leaf = fine.leaf(&Leaf::new(["lab.test"]));
    let got = verdict(&chain([&leaf, &fine.der]), "lab.test", &trusted);
    expect("a CA with all of it", &got, "valid");
}

#[test]
fn a_leaf_is_for_servers() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyEncipherment};
    let root = Authority::root("Root");
    let plain = || Leaf::new(["lab.test"]);
    for (law, leaf, want) in [
        ("serverAuth", plain().purposes([ServerAuth]), "valid"),
        ("both", plain().purposes([ClientAuth, ServerAuth]), "valid"),
        ("any", plain().purposes([Any]), "valid"),
        ("clientAuth", plain().purposes([ClientAuth]), "other"),
        ("signatures", plain().usages([DigitalSignature]), "valid"),
        (
            "both usages",
            plain().usages([DigitalSignature, KeyEncipherment]),
            "valid",
        ),
        (
            "encipherment only",
            plain().usages([KeyEncipherment]),
            "valid, warned",
        ),
        ("lists only", plain().usages([CrlSign]), "other"),
        ("a CA", plain().ca(), "other"),
    ] {
        let got = verdict(&chain([&root.leaf(&leaf)]), "lab.test", &roots(&[&root]));
        expect(law, &got, want);
    }
}

#[test]
fn name_constraints_are_obeyed() {
    let dns = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    let net = GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([10, 0, 0, 0], 8));
    let root = Authority::root("Root");
    let permitted = root.constrained("Permitted", vec![dns("lab.test"), net], vec![]);
    let excluded = root.constrained("Excluded", vec![], vec![dns("bad.lab.test")]);
    for (law, issuer, name, want) in [
        ("inside", &permitted, "a.lab.test", "valid"),
        ("itself", &permitted, "lab.test", "valid"),
        ("outside", &permitted, "lab.example", "other"),
        ("a look-alike", &permitted, "notlab.test", "other"),
        ("address inside", &permitted, "10.1.2.3", "valid"),
        ("address outside", &permitted, "11.1.2.3", "other"),
        ("not excluded", &excluded, "lab.test", "valid"),
        ("excluded", &excluded, "a.bad.lab.test", "other"),
    ] {
        let leaf = issuer.leaf(&Leaf::new([name]));
        let got = verdict(&chain([&leaf, &issuer.der]), name, &roots(&[&root]));
        expect(law, &got, want);
        if want == "other" {
            says(&got, &["name constraints"]);
        }
    }
    let private = Authority::root_with("Constrained Root", |p| {
        p.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![dns("lab.test")],
            excluded_subtrees: vec![],
        });
    });
    let leaf = private.leaf(&Leaf::new(["lab.example"]));
    let got = verdict(&chain([&leaf]), "lab.example", &roots(&[&private]));
    expect("of the root", &got, "other");
}

#[test]
fn a_critical_extension_that_is_unknown_is_refused() {
    let root = Authority::root("Root");
    let extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    let lenient = Leaf::new(["lab.test"]).extension(extension);
    let strict = Leaf::new(["lab.test"]).strict();
    let trusted = roots(&[&root]);
    let got = verdict(&chain([&root.leaf(&lenient)]), "lab.test", &trusted);
    expect("not critical", &got, "valid");
    let got = verdict(&chain([&root.leaf(&strict)]), "lab.test", &trusted);
    expect("critical", &got, "other");
    says(&got, &["critical extension"]);
}
