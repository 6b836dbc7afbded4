//! The processes that descend from another: servers like nginx do their work in forked workers.

use std::fs;
use std::path::Path;

/// Where a kernel that keeps such lists names the children of the thread that asks.
const OWN_CHILDREN: &str = "/proc/thread-self/children";

/// The descendants that process `pid` has at this moment, each once.
pub(crate) fn descendants(pid: i32) -> Vec<i32> {
    if Path::new(OWN_CHILDREN).exists() {
        closure(pid, listed_children)
    } else {
        let processes = processes();
        closure(pid, |pid| children_among(&processes, pid))
    }
}

fn closure(pid: i32, children: impl Fn(i32) -> Vec<i32>) -> Vec<i32> {
    let mut family = vec![pid];
    let mut asked = 0;
    while let Some(&parent) = family.get(asked) {
        // One that lost its parent meanwhile may turn up a second time.
        for child in children(parent) {
            if !family.contains(&child) {
                family.push(child);
            }
        }
        asked += 1;
    }
    family.split_off(1)
}

/// The children that each thread of a process lists; none of a process that is gone.
fn listed_children(pid: i32) -> Vec<i32> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(list.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    children
}

/// Every process of the machine with its parent, for kernels that list no children.
fn processes() -> Vec<(i32, i32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

fn children_among(processes: &[(i32, i32)], wanted: i32) -> Vec<i32> {
    let children = processes.iter().filter(|(_, parent)| *parent == wanted);
    children.map(|(pid, _)| *pid).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 4 of proc(5); the name in brackets, field 2, may contain anything.
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A shell that starts a shell that starts `cat`, and the last one's pid. All end with the pipe.
    fn three_generations() -> (Child, i32) {
        let script = "sh -c 'cat <&3 & echo $!; wait' 3<&0; :";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (shell, line.trim().parse().unwrap())
    }

    #[test]
    fn descendants_are_found_in_both_ways() {
        let (mut shell, grandchild) = three_generations();
        let pid = shell.id() as i32;
        let processes = processes();
        let searched = closure(pid, |pid| children_among(&processes, pid));
        for descendants in [descendants(pid), searched] {
            assert_eq!((descendants.len(), descendants[1]), (2, grandchild));
        }
        assert!(descendants(std::process::id() as i32).contains(&grandchild));
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(descendants(pid).is_empty(), "a process that is gone has nobody");
    }

    #[test]
    fn nobody_is_counted_twice() {
        assert_eq!(closure(1, |pid| vec![2, 3, pid % 3 + 1]), [2, 3]);
    }
}
