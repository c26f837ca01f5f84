//! A guest that does what no component of ours would, as it is told: over HTTP by the
//! last part of the path and the query (`/act/tcp?192.0.2.1:443`), in a firing by the
//! variable `on_cron`, a list of the same (`sleep?500 http?http://a/`).

mod acts;
mod network;

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use spin_sdk::key_value::{Error, Store};
use wasi::clocks::monotonic_clock::subscribe_duration;
use wasi::filesystem::preopens::get_directories;
use wasi::http::types::{IncomingRequest, ResponseOutparam};
use watchbell_guest::{entry, variables};

use acts::Act;

const ACTS: [Act; 26] = [
    Act::Http,
    Act::Fetch,
    Act::Flood,
    Act::Leave,
    Act::Cycle,
    Act::Tcp,
    Act::Listen,
    Act::Udp,
    Act::Lookup,
    Act::Store,
    Act::KeyValue,
    Act::Variable,
    Act::Environment,
    Act::File,
    Act::Headers,
    Act::Count,
    Act::Print,
    Act::Sleep,
    Act::Afterwards,
    Act::Fail,
    Act::Panic,
    Act::Exit,
    Act::Recurse,
    Act::Allocate,
    Act::Loop,
    Act::Silent,
];
/// What is allocated at once.
const PIECE_BYTES: usize = 1 << 20;

watchbell_guest::export!(cron = fire, http = |request, out| serve(&request, out));

fn fire() -> Result<(), String> {
    let list = variables::get("on_cron").unwrap_or_default();
    for one in list.split_whitespace() {
        let (word, argument) = one.split_once('?').unwrap_or((one, ""));
        match named(word) {
            Some(Act::Fail) => return Err(argument.to_owned()),
            Some(act) => println!("{word}: {}", play(act, argument)),
            None => return Err(format!("no act {word:?}")),
        }
    }
    Ok(())
}

fn serve(request: &IncomingRequest, out: ResponseOutparam) {
    let path = request.path_with_query().unwrap_or_default();
    let (path, argument) = path.split_once('?').unwrap_or((&path, ""));
    let word = path.rsplit('/').next().unwrap_or_default();
    let said = match named(word) {
        Some(Act::Silent) => return,
        Some(Act::Headers) => headers(request, argument),
        Some(Act::Afterwards) => {
            entry::answer(out, 202, "{}");
            play(Act::Sleep, argument);
            return;
        }
        Some(act) => play(act, argument),
        None => format!("no act {word:?}"),
    };
    entry::answer(out, 200, &serde_json::json!({ "said": said }).to_string());
}

fn named(word: &str) -> Option<Act> {
    ACTS.into_iter().find(|act| act.word() == word)
}

fn play(act: Act, argument: &str) -> String {
    match act {
        Act::Http => network::http(argument),
        Act::Fetch => network::fetch(argument),
        Act::Flood => network::flood(argument),
        Act::Leave => network::leave(argument),
        Act::Cycle => network::fetch(&format!(
            "http://{argument}.spin.internal/{}?{argument}",
            act.word()
        )),
        Act::Tcp => network::tcp(argument),
        Act::Listen => network::listen(),
        Act::Udp => network::udp(argument),
        Act::Lookup => network::lookup(argument),
        Act::Store => match Store::open(argument) {
            Ok(_) => "open".to_owned(),
            Err(e) => format!("{e:?}"),
        },
        Act::KeyValue => key_value(argument),
        Act::Variable => match spin_sdk::variables::get(argument) {
            Ok(value) => value,
            Err(spin_sdk::variables::Error::Undefined(_)) => "undefined".to_owned(),
            Err(e) => format!("{e:?}"),
        },
        Act::Environment => {
            let given = std::env::vars().map(|(name, value)| format!("{name}={value}"));
            let mut all: Vec<String> = given.chain(std::env::args()).collect();
            all.sort();
            all.join(" ")
        }
        Act::File if argument.is_empty() => get_directories().len().to_string(),
        Act::File => match std::fs::read(argument) {
            Ok(bytes) => format!("{} bytes", bytes.len()),
            Err(_) => "cannot".to_owned(),
        },
        Act::Count => {
            static CALLS: AtomicU32 = AtomicU32::new(0);
            (CALLS.fetch_add(1, Ordering::Relaxed) + 1).to_string()
        }
        Act::Print => {
            println!("out {argument}");
            eprintln!("err {argument}");
            "printed".to_owned()
        }
        Act::Sleep => {
            println!("begin");
            let ms: u64 = argument.parse().unwrap_or_default();
            subscribe_duration(ms * 1_000_000).block();
            println!("end");
            "slept".to_owned()
        }
        Act::Panic => panic!("on purpose"),
        Act::Exit => std::process::exit(7),
        Act::Recurse => deeper(0).to_string(),
        Act::Allocate => {
            let mut pieces = Vec::new();
            loop {
                // Written to, so that it is truly taken.
                pieces.push(black_box(vec![1_u8; PIECE_BYTES]));
            }
        }
        Act::Loop => {
            let mut n = 0_u64;
            loop {
                n = black_box(n.wrapping_add(1));
            }
        }
        // The entry's own, or nothing to play.
        Act::Headers | Act::Afterwards | Act::Fail | Act::Silent => String::new(),
    }
}

fn key_value(argument: &str) -> String {
    let mut words = argument.splitn(3, ':');
    let (what, key) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let number: usize = words
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or_default();
    let used = Store::open_default().and_then(|store| match what {
        "set" => store.set(key, &vec![0; number]).map(|()| "set".to_owned()),
        "get" => store.get(key).map(|value| match value {
            Some(value) => format!("{} bytes", value.len()),
            None => "nothing".to_owned(),
        }),
        "delete" => store.delete(key).map(|()| "deleted".to_owned()),
        "exists" => store.exists(key).map(|exists| exists.to_string()),
        "keys" => store.get_keys().map(|keys| keys.len().to_string()),
        _ => {
            let taken = (0..number).take_while(|n| store.set(&format!("filled-{n}"), b"").is_ok());
            Ok(taken.count().to_string())
        }
    });
    match used {
        Ok(said) => said,
        Err(Error::Other(words)) => words,
        Err(e) => format!("{e:?}"),
    }
}

fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(true) {
        deeper(depth + 1) + frame[0]
    } else {
        depth
    }
}

fn headers(request: &IncomingRequest, prefix: &str) -> String {
    let mut lines: Vec<String> = request
        .headers()
        .entries()
        .into_iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value)))
        .collect();
    lines.sort();
    lines.join("\n")
}
