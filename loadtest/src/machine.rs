//! What machine a figure is from.

use std::fmt::{Display, Formatter};
use std::fs;

use indicatif::BinaryBytes;

/// As `/proc` describes it.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    kernel: String,
    processor: String,
    cores: usize,
    memory: Option<u64>,
}

impl Machine {
    /// The one that this runs on.
    pub(crate) fn this() -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        Machine {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: value(&processors, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: value(&memory, "MemTotal").and_then(bytes),
        }
    }
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let plural = if self.cores == 1 { "" } else { "s" };
        write!(f, "Linux {}, {} core{plural} ({})", self.kernel, self.cores, self.processor)?;
        self.memory.map_or(Ok(()), |bytes| write!(f, ", {} of memory", BinaryBytes(bytes)))
    }
}

/// What stands behind the first `name :` at the begin of a line.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

fn bytes(kilobytes: &str) -> Option<u64> {
    kilobytes.trim_end_matches("kB").trim().parse::<u64>().ok().map(|count| count * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_a_line() {
        let machine = Machine {
            kernel: "6.1.0".into(),
            processor: value("processor : 0\nmodel name\t: Fast CPU\n", "model name")
                .unwrap()
                .into(),
            cores: 1,
            memory: value("MemTotal:  2097152 kB\n", "MemTotal").and_then(bytes),
        };
        assert_eq!(machine.to_string(), "Linux 6.1.0, 1 core (Fast CPU), 2.00 GiB of memory");
        let this = Machine::this();
        assert!(!this.kernel.is_empty() && this.memory > Some(1 << 20));
    }
}
