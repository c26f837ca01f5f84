//! `watchbell-simulator [--seed N] [--days MONITOR-DAYS] [--all]`: stories until so many
//! monitor-days are played, from that seed on, on every core. Ends at the first that breaks a
//! rule, and prints its seed: the lowest, however the threads run. With `--all` it goes on,
//! and prints in the end which rules were broken how often, and where first.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use watchbell_simulator::{Figures, Violation, play};

const PROGRESS_EVERY: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let first = number("--seed").unwrap_or(1);
    // One story, when a seed is given and no length.
    let days = number("--days").unwrap_or(u64::from(number("--seed").is_none()) * 10_000);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if days == 0 { 1 } else { threads };
    let next = AtomicU64::new(first);
    let stop = AtomicU64::new(u64::MAX);
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next, stop) = (send.clone(), &next, &stop);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(played) = std::panic::catch_unwind(|| play(seed)) else {
                        eprintln!("seed {seed}: the story broke off");
                        std::process::exit(101);
                    };
                    if send.send((seed, played)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let all = arguments.iter().any(|a| a == "--all");
        let code = gather(first, days as f64, all, &receive);
        stop.store(0, Ordering::SeqCst);
        code
    })
}

/// Takes the stories in the order of their seeds, so that the end is the same every time.
fn gather(
    first: u64,
    days: f64,
    all: bool,
    receive: &mpsc::Receiver<(u64, (Figures, Vec<Violation>))>,
) -> ExitCode {
    let began = Instant::now();
    let mut shown = began;
    let mut waiting = BTreeMap::new();
    let mut total = Figures::default();
    let mut seed = first;
    let mut rules: BTreeMap<String, (u64, u64, String)> = BTreeMap::new();
    loop {
        match receive.recv_timeout(PROGRESS_EVERY) {
            Ok((seed, played)) => drop(waiting.insert(seed, played)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return ExitCode::FAILURE,
        }
        while let Some((figures, violations)) = waiting.remove(&seed) {
            total.add(&figures);
            if all {
                let mut broken: BTreeMap<&str, String> = BTreeMap::new();
                for v in &violations {
                    broken.entry(&v.rule).or_insert_with(|| v.to_string());
                }
                for (rule, what) in broken {
                    let known = rules.entry(rule.to_owned());
                    known.or_insert((0, seed, what)).0 += 1;
                }
            } else if !violations.is_empty() {
                println!("seed {seed}: {figures}");
                for violation in violations {
                    println!("  {violation}");
                }
                return ExitCode::FAILURE;
            }
            if total.monitor_days >= days {
                println!("seeds {first} to {seed}: {total}");
                for (stories, at, what) in rules.values() {
                    println!("  in {stories} stories, first in {at}: {what}");
                }
                return if rules.is_empty() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                };
            }
            seed += 1;
        }
        if shown.elapsed() >= PROGRESS_EVERY {
            shown = Instant::now();
            let speed = total.monitor_days / began.elapsed().as_secs_f64();
            eprintln!(
                "seed {seed}: {:.0} of {days:.0} monitor-days, {speed:.0} a second",
                total.monitor_days
            );
        }
    }
}
