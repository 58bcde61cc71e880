//! This process as others can find it again, and whether another of this machine still runs: the only reader of
//! `/proc`.

/// The name of this machine; where it is not known, words for it.
#[must_use]
pub fn host() -> String {
    read("/proc/sys/kernel/hostname").unwrap_or_else(|| "this machine".to_owned())
}

/// This process so that no other can be taken for it: the boot, the space of process ids, the id, and its start. None
/// where the system does not say.
#[must_use]
pub fn this() -> Option<String> {
    of(std::process::id())
}

/// Whether a process, written so, is known to be gone. Nothing is known of processes of other machines.
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

/// This boot of this machine, and this space of process ids: containers of one machine have several.
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
    fn a_process_is_known_by_more_than_its_number() {
        let own = this().expect("this process is listed");
        assert!(!is_gone(&own));
        let other_start = format!("{own}1");
        assert!(is_gone(&other_start), "the number was given out again");
        assert!(!is_gone(&format!("another-boot/{own}")), "nothing is known of other machines");
        assert!(!is_gone(""));
    }
}
