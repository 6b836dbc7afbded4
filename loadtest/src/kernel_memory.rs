//! What a server's sockets cost the kernel: memory that no process is charged with, but a control
//! group is. So the server gets a group of its own for as long as it is measured.
//!
//! The kernel charges who asks: a TCP connection is the server's from its accept on, about 4 KB,
//! while the structure of a unix one is made in the client's connect and charged there.
//!
//! That takes the right to make groups and a kernel that counts. Where one of them is missing,
//! nothing is measured and nothing is changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::descendants::descendants;

/// Where version 1 has the groups of its memory controller.
const VERSION_1: &str = "/sys/fs/cgroup/memory";

/// Where version 2 has all groups.
const VERSION_2: &str = "/sys/fs/cgroup";

/// A process that was killed stays in its group for a moment.
const REMOVALS: u32 = 50;

/// A process and its descendants, in a group of their own.
#[derive(Debug)]
pub(crate) struct KernelMemory {
    group: PathBuf,
    /// Where they came from, and go back to if they outlive the measurement.
    home: PathBuf,
    bytes: fn(&Path) -> Option<u64>,
}

impl KernelMemory {
    /// Moves process `pid` into a group. What it has had the kernel allocate by then is not counted,
    /// so it should have started just now.
    pub(crate) fn of(pid: i32) -> Option<KernelMemory> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let name = format!("loadtest-{}-{pid}", std::process::id());
        let memory = if let Some(home) = group_in(&groups, "memory") {
            KernelMemory {
                group: Path::new(VERSION_1).join(name),
                home: below(VERSION_1, home),
                bytes: bytes_of_version_1,
            }
        } else {
            // A sibling, since a group that has processes of its own hands no controller on.
            let home = below(VERSION_2, group_in(&groups, "")?);
            let parent = if home == Path::new(VERSION_2) { &home } else { home.parent()? };
            KernelMemory { group: parent.join(name), home, bytes: bytes_of_version_2 }
        };
        fs::create_dir(&memory.group).ok()?;
        // From here on, giving up drops it, which undoes what was done.
        memory.bytes()?;
        // Version 1 counts TCP's sockets only where a limit was set, be it none. Version 2 has no
        // such file.
        let _ = fs::write(memory.group.join("memory.kmem.tcp.limit_in_bytes"), "-1");
        memory.take(pid).ok()?;
        Some(memory)
    }

    /// The bytes that the kernel holds for the group now.
    pub(crate) fn bytes(&self) -> Option<u64> {
        (self.bytes)(&self.group)
    }

    fn take(&self, pid: i32) -> io::Result<()> {
        enter(&self.group, pid)?;
        for descendant in descendants(pid) {
            // One that ended just now has nothing to count.
            let _ = enter(&self.group, descendant);
        }
        Ok(())
    }
}

impl Drop for KernelMemory {
    fn drop(&mut self) {
        let members = fs::read_to_string(self.group.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines().filter_map(|pid| pid.parse().ok()) {
            // One that ended just now needs no way back.
            let _ = enter(&self.home, pid);
        }
        for _ in 0..REMOVALS {
            match fs::remove_dir(&self.group) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => return,
            }
        }
    }
}

fn enter(group: &Path, pid: i32) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), pid.to_string())
}

/// The path of a process's group under a controller, in its `/proc/PID/cgroup`; version 2 has one
/// for all of them, and no name.
fn group_in<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

fn below(root: &str, path: &str) -> PathBuf {
    Path::new(root).join(path.trim_start_matches('/'))
}

/// TCP's buffers are a sum of their own here.
fn bytes_of_version_1(group: &Path) -> Option<u64> {
    let read = |file: &str| -> Option<u64> {
        fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()
    };
    Some(read("memory.kmem.usage_in_bytes")? + read("memory.kmem.tcp.usage_in_bytes")?)
}

fn bytes_of_version_2(group: &Path) -> Option<u64> {
    kernel_and_sock(&fs::read_to_string(group.join("memory.stat")).ok()?)
}

/// The kernel's own, and the sockets' buffers.
fn kernel_and_sock(stat: &str) -> Option<u64> {
    let value = |name| {
        let mut pairs = stat.lines().filter_map(|line| line.split_once(' '));
        pairs.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse::<u64>().ok())
    };
    Some(value("kernel")? + value("sock")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_finds_its_group() {
        let old = "9:name=systemd:/\n4:memory,pids:/a:b/c\n0::/d\n";
        assert_eq!((group_in(old, "memory"), group_in(old, "")), (Some("/a:b/c"), Some("/d")));
        assert_eq!(group_in("0::/user.slice\n", "memory"), None);
        assert_eq!(below(VERSION_2, "/"), Path::new(VERSION_2));
    }

    #[test]
    fn version_2_has_two_lines_for_it() {
        let stat = "anon 1\nkernel 4096\nkernel_stack 7\nsock 100\n";
        assert_eq!(kernel_and_sock(stat), Some(4196));
        assert_eq!(kernel_and_sock("anon 1\nkernel_stack 7\n"), None);
    }
}
