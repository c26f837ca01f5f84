//! `watchbell-simulator [--seed N] [--days MONITOR-DAYS]`: stories until so many monitor-days
//! are played, from that seed on. Ends at the first that breaks a rule, and prints its seed.

use std::process::ExitCode;

use watchbell_simulator::{Figures, play};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let first = number("--seed").unwrap_or(1);
    // One story, when a seed is given and no length.
    let days = number("--days").unwrap_or(u64::from(number("--seed").is_none()) * 10_000);
    let mut total = Figures::default();
    for seed in first.. {
        let (figures, violations) = play(seed);
        total.add(&figures);
        if !violations.is_empty() {
            println!("seed {seed}: {figures}");
            for violation in violations {
                println!("  {violation}");
            }
            return ExitCode::FAILURE;
        }
        if total.monitor_days >= days as f64 {
            println!("seeds {first} to {seed}: {total}");
            return ExitCode::SUCCESS;
        }
    }
    ExitCode::SUCCESS
}
