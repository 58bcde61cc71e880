//! `ls /sys/kernel/btf/vmlinux`: whether the kernel describes its types (BTF), which socket load balancing of newer releases
//! needs to start (cilium/cilium#48778).

/// Where a kernel with BTF has it.
pub const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Whether the kernel has BTF, by what the command prints and how it ended; none where neither says.
#[must_use]
pub fn read(exit_code: i32, stdout: &str, stderr: &str) -> Option<bool> {
    if exit_code == 0 {
        return stdout.lines().any(|line| line.trim() == BTF).then_some(true);
    }
    // Another error, a container without `ls` for one, says nothing about the kernel.
    let is_absent = stderr.contains(BTF) && stderr.contains("No such file");
    is_absent.then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_has_btf_has_none_or_was_not_asked() {
        assert_eq!(read(0, "/sys/kernel/btf/vmlinux\n", ""), Some(true));
        for words in [
            "ls: cannot access '/sys/kernel/btf/vmlinux': No such file or directory\n",
            "ls: /sys/kernel/btf/vmlinux: No such file or directory\n",
        ] {
            assert_eq!(read(2, "", words), Some(false), "{words}");
        }
        assert_eq!(read(0, "", ""), None);
        assert_eq!(read(2, "", "ls: cannot access '/sys/kernel/btf/vmlinux': Permission denied\n"), None);
        assert_eq!(read(127, "", "sh: ls: not found\n"), None);
    }
}
