//! Writes pages to a directory, to be looked at in a browser:
//! `cargo run -p watchbell-status --example page -- <directory>`.

#[path = "../tests/page/fixture.rs"]
mod fixture;

use std::path::Path;

use fixture::{
    Drawn, check, drawn, empty, eventful, headscale, monitor, open, overview, records, site,
};
use watchbell_status::page::{self, SCRIPT, STYLE};
use watchbell_status::view::{self, Sight, State};

use Sight::{Full, Public};
use State::{Degraded, Down, Pending, Unknown, Up};

fn main() -> std::io::Result<()> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let calm = records(headscale(&[Up; 8]), Vec::new(), 14);
    let states = [Degraded, Up, Pending, Down, Up, Unknown, Up, Up];
    let mut trouble = records(headscale(&states), vec![open()], 14);
    let trouble_drawn = drawn(&trouble, Full);
    let peer = |n: usize| {
        let mut peer = monitor(
            &format!("peer-{n}"),
            &format!("Peer {n}"),
            "tcp",
            State::ALL[n % 5],
        );
        peer.definition.service = "peers".to_owned();
        peer
    };
    trouble.monitors.extend((0..12).map(peer));
    let many = records((0..1_000).map(peer).collect(), Vec::new(), 0);
    let down = &trouble.monitors[3];
    let one = |records, sight| page::incident(&site(sight), &view::incidents(records, sight)[0]);
    let pages = [
        ("index.html", overview(&calm, &drawn(&calm, Public), Public)),
        ("trouble.html", overview(&trouble, &trouble_drawn, Full)),
        ("many.html", overview(&many, &Drawn::new(), Full)),
        ("check.html", check(down, &eventful(1), Full)),
        (
            "certificate.html",
            check(&trouble.monitors[0], &eventful(5), Full),
        ),
        (
            "new.html",
            check(&monitor("new", "New", "tcp", Unknown), &empty(), Public),
        ),
        ("incident.html", one(&trouble, Full)),
        (
            "over.html",
            page::incident(&site(Public), &view::past(&calm, Public)[0]),
        ),
        (
            "session.html",
            page::sign_in(&site(Public), page::SignIn::to("/")),
        ),
        (
            "wrong.html",
            page::sign_in(
                &site(Public),
                page::SignIn {
                    wrong: true,
                    to: "/",
                },
            ),
        ),
        (
            "missing.html",
            page::not_found(&site(Public), "a check \"headscale\""),
        ),
        ("style.css", STYLE.to_owned()),
        ("script.js", SCRIPT.to_owned()),
    ];
    for (name, text) in pages {
        println!("{:>7} {name}", text.len());
        std::fs::write(Path::new(&directory).join(name), text)?;
    }
    Ok(())
}
