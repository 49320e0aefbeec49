//! Where and when figures were made.

use std::fmt;
use std::fs;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// This machine, as far as it tells.
#[derive(Clone, Debug)]
pub struct Machine {
    date: String,
    cpu: String,
    cores: usize,
    avx512: bool,
    memory_gib: f64,
}

impl Machine {
    /// The one that this program runs on, today.
    pub fn here() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let of_cpu = |key: &str| {
            let line = cpus.lines().find(|line| line.starts_with(key))?;
            line.split_once(':')
                .map(|(_, value)| value.trim().to_owned())
        };
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = total.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            date: date(since.unwrap_or_default().as_secs() / 86_400),
            cpu: of_cpu("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: cores(),
            avx512: of_cpu("flags").is_some_and(|flags| flags.contains("avx512f")),
            memory_gib: kib.unwrap_or(0.0) / (1 << 20) as f64,
        }
    }

    /// The day on which figures are made.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// What figures depend on but the day.
    pub fn place(&self) -> String {
        let vectors = if self.avx512 { ", AVX-512" } else { "" };
        format!(
            "{} cores of {}{vectors}, {:.1} GiB",
            self.cores, self.cpu, self.memory_gib
        )
    }

    /// The same for a file.
    pub fn json(&self) -> Value {
        json!({
            "date": self.date,
            "cpu": self.cpu,
            "cores": self.cores,
            "avx512": self.avx512,
            "memory_gib": self.memory_gib,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.date, self.place())
    }
}

/// How many cores were busy during a second in which this program did nothing.
pub fn busy_cores() -> Option<f64> {
    // Ticks of all cores together: in all, and of these doing nothing.
    let ticks = || -> Option<(f64, f64)> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let fields = stat.lines().next()?.split_whitespace().skip(1);
        // Guests are counted in the first fields already.
        let ticks: Vec<f64> = fields
            .take(8)
            .filter_map(|field| field.parse().ok())
            .collect();
        Some((ticks.iter().sum(), ticks.get(3)? + ticks.get(4)?))
    };
    let (all, idle) = ticks()?;
    thread::sleep(Duration::from_secs(1));
    let (all_then, idle_then) = ticks()?;
    let share = 1.0 - (idle_then - idle) / (all_then - all).max(1.0);
    Some(share * cores() as f64)
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// User and system seconds of all programs that this one has started and waited for.
pub fn children_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |place: usize| fields.split_whitespace().nth(place)?.parse::<f64>().ok();
    Some((ticks(13)? + ticks(14)?) / 100.0)
}

/// The day that lies `days` after 1970-01-01, as `YYYY-MM-DD` (Hinnant, "chrono-compatible
/// low-level date algorithms", `civil_from_days`).
fn date(days: u64) -> String {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    // Years begin in March there.
    let (month, carry) = match month {
        0..=9 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + carry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (19_722, "2023-12-31"),
            (20_088, "2024-12-31"),
        ] {
            assert_eq!(date(days), expected);
        }
    }
}
