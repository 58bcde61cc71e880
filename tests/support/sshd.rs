//! What a real sshd needs: keys that live as long as a test, and a configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// Where it is on every distribution.
pub(crate) const SSHD: &str = "/usr/sbin/sshd";

/// Whether a program is there; where it is not the test is skipped, but never in CI.
pub(crate) fn is_here(program: &str) -> bool {
    let here = Path::new(program).exists();
    if !here {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{program} is missing in CI");
        println!("skipped: there is no {program}");
    }
    here
}

/// A directory with the keys `host`, `user` (which may log in) and `stranger`, these fake programs in `bin`, and a
/// `config` that begins with these lines. Commands find the fakes before the machine's own programs, or instead of
/// them.
pub(crate) fn directory(fakes: &[(&str, &str)], own_programs: bool, lines: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::create_dir(path.join("bin")).unwrap();
    // Every node has this one.
    std::os::unix::fs::symlink("/usr/bin/env", path.join("bin/env")).unwrap();
    for (name, script) in fakes {
        put_program(&path.join("bin").join(name), script);
    }
    for key in ["host", "user", "stranger"] {
        make_key(&path.join(key));
    }
    std::fs::copy(path.join("user.pub"), path.join("authorized")).unwrap();
    let own = if own_programs { ":/usr/bin:/bin" } else { "" };
    let p = path.display();
    let config = format!(
        "{lines}HostKey {p}/host\nPidFile none\nAuthorizedKeysFile {p}/authorized\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nSetEnv PATH={p}/bin{own}\n"
    );
    std::fs::write(path.join("config"), config).unwrap();
    // Where sshd runs as root it wants this directory, which the package makes at boot only.
    let _ = std::fs::create_dir_all("/run/sshd");
    directory
}

/// Writes a script that can be run.
pub(crate) fn put_program(file: &Path, script: &str) {
    std::fs::write(file, script).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn make_key(file: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file).status().unwrap();
    assert!(made.success());
}
