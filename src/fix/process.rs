//! The identity of this process, and whether another process of this machine still runs: the only reader of `/proc`.

/// The hostname of this machine; `this machine` if it is unknown.
#[must_use]
pub fn host() -> String {
    read("/proc/sys/kernel/hostname").unwrap_or_else(|| "this machine".to_owned())
}

/// An identity that no other process shares: the boot, the PID namespace, the PID, and the start time. None if the system
/// does not report them.
#[must_use]
pub fn this() -> Option<String> {
    of(std::process::id())
}

/// Whether the process with this identity is known to have ended. Never true for processes of other machines.
#[must_use]
pub fn is_gone(process: &str) -> bool {
    let Some(machine) = machine() else { return false };
    let Some(rest) = process.strip_prefix(&format!("{machine}/")) else { return false };
    let pid = rest.split('/').next().and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid| of(pid).as_deref() != Some(process))
}

fn of(pid: u32) -> Option<String> {
    let fields = read(&format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold anything; the start is the 20th field behind it.
    let start = fields.rsplit(')').next()?.split_whitespace().nth(19)?.to_owned();
    Some(format!("{}/{pid}/{start}", machine()?))
}

/// This boot of this machine, and this PID namespace: containers of one machine have several.
fn machine() -> Option<String> {
    let boot = read("/proc/sys/kernel/random/boot_id")?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{boot}/{}", space.display()))
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reused_pid_is_another_process() {
        let own = this().expect("this process is listed");
        assert!(!is_gone(&own));
        let other_start = format!("{own}1");
        assert!(is_gone(&other_start), "the number was given out again");
        assert!(!is_gone(&format!("another-boot/{own}")), "nothing is known of other machines");
        assert!(!is_gone(""));
    }
}
