//! Processor time, from the scheduler: nanoseconds, where `stat` has ticks of 10 ms.

/// On-CPU time of every thread of a process, in seconds.
pub fn cpu_s(pid: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("/proc");
    let tasks = tasks.map(|task| task.expect("a thread").path());
    tasks
        .map(|task| on_cpu_s(&task.join("schedstat")))
        .sum::<f64>()
}

/// That of one thread, by its `schedstat`. A thread that has just ended is gone; what it used
/// is lost to us.
pub fn on_cpu_s(schedstat: &std::path::Path) -> f64 {
    let text = std::fs::read_to_string(schedstat).unwrap_or_default();
    let ns = text.split(' ').next().and_then(|t| t.parse::<f64>().ok());
    ns.unwrap_or(0.0) / 1e9
}
