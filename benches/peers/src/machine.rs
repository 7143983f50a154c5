//! The machine and the versions, for the report.

use std::fs;

/// Describes processor, cores and memory, as far as the system reports them.
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).and_then(|line| line.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = kilobytes.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0);
    let gigabytes = kilobytes as f64 / (1024.0 * 1024.0);
    format!("{model}, {cores} cores, {gigabytes:.0} GB, {}", std::env::consts::OS)
}

/// Returns the load average of the last minute, or "unknown".
pub fn load() -> String {
    let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

/// Returns the version of a package that this program was built with.
pub fn version(package: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let wanted = format!("name = \"{package}\"\nversion = \"");
    let version = lock.split_once(&wanted).and_then(|(_, rest)| rest.split_once('"')).map(|(version, _)| version);
    format!("{package} {}", version.unwrap_or("of unknown version"))
}
