//! A bare Debian root: made once by debootstrap and kept outside of the clone; each test gets a layer
//! of its own above it, so that nothing has to be copied and nothing is left.
//!
//! Commands run in it by chroot, in mounts and processes of their own; the network is this host's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// What is in it beside Debian's smallest set: what `curl … | sh` needs, wget to do without curl, and
/// systemd as on any real host (in a chroot it does not run).
const INCLUDED: &str = "ca-certificates,curl,systemd-sysv,wget";
const SUITE: &str = "bookworm";

/// Mounts the layer, and runs a script in it.
const ENTER: &str = r#"
set -e
layer=$1 base=$2
mount -t overlay overlay -o "lowerdir=$base,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
mount -t proc proc "$layer/root/proc"
mount --rbind /dev "$layer/root/dev"
cd /
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot "$layer/root" /bin/sh -c "$3"
"#;

/// Mounts the layer and boots it; `timeout` so that a root that hangs does not hold the tests up.
const BOOT: &str = r#"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root" &&
exec timeout --kill-after=10 120 systemd-nspawn -q -D "$1/root" --register=no --keep-unit --console=pipe -b
"#;

/// Runs the script once all is up, and ends the root.
const LIFE_UNIT: &str = "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nEnvironment=HOME=/root\n\
    ExecStart=/bin/sh -c 'sh /life >/said 2>&1'\nExecStopPost=/bin/systemctl poweroff --force\n";

/// A root with a layer of its own.
pub(super) struct Root {
    layer: TempDir,
    base: &'static Path,
}

impl Root {
    /// A fresh one; `None`, said aloud, where this machine cannot have one.
    pub(super) fn new() -> Option<Self> {
        static BASE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let base = match BASE.get_or_init(base) {
            Ok(base) => base,
            Err(why) => {
                eprintln!("skipped: the installer on a bare Debian root; {why}");
                return None;
            }
        };
        let layer = tempfile::tempdir().expect("a folder");
        for folder in ["upper", "work", "root"] {
            std::fs::create_dir(layer.path().join(folder)).expect("a folder");
        }
        let root = Self { layer, base };
        let tried = root.run("true");
        if !tried.ok {
            eprintln!("skipped: the installer on a bare Debian root; no overlay or chroot here: {}", tried.text);
            return None;
        }
        Some(root)
    }

    /// Runs a script of sh.
    pub(super) fn run(&self, script: &str) -> Ran {
        self.run_in(&[], script)
    }

    /// The same without any network, not even loopback.
    pub(super) fn run_without_network(&self, script: &str) -> Ran {
        self.run_in(&["--net"], script)
    }

    fn run_in(&self, more: &[&str], script: &str) -> Ran {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]).args(more);
        command.args(["sh", "-c", ENTER, "sh"]).arg(self.layer.path()).arg(self.base).arg(script);
        let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().expect("unshare can be run");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (stdout, stderr) = (text(stdout), text(stderr));
        let last = stdout.lines().last().unwrap_or_default().to_owned();
        Ran { ok: status.success(), last, text: stdout + &stderr }
    }

    /// Boots the root with its systemd, runs `script` when all is up, and answers what it printed; the
    /// root is off again then. `None`, said aloud, where systemd does not come up here.
    pub(super) fn boot(&self, script: &str) -> Option<String> {
        if !Path::new("/usr/bin/systemd-nspawn").exists() {
            eprintln!("skipped: the agent under systemd; no systemd-nspawn (apt-get install systemd-container)");
            return None;
        }
        let upper = self.layer.path().join("upper");
        let units = upper.join("etc/systemd/system");
        let wants = units.join("multi-user.target.wants");
        std::fs::create_dir_all(&wants).expect("folders");
        std::fs::write(upper.join("life"), format!("{script}\n")).expect("the script is written");
        std::fs::write(units.join("life.service"), LIFE_UNIT).expect("the unit is written");
        std::os::unix::fs::symlink("../life.service", wants.join("life.service")).expect("it is wanted");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", BOOT, "sh"]);
        let output = command.arg(self.layer.path()).arg(self.base).stdin(Stdio::null()).output();
        let output = output.expect("unshare can be run");
        let said = std::fs::read_to_string(upper.join("said")).unwrap_or_default();
        if said.is_empty() {
            let why = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            eprintln!("skipped: the agent under systemd; systemd does not come up in a container here: {why}");
            return None;
        }
        Some(said)
    }

    /// Puts a file into it.
    pub(super) fn put(&self, from: &Path, name: &str) {
        std::fs::copy(from, self.layer.path().join("upper").join(name)).expect("a file is copied");
    }

    /// Every file with its kind, mode, owner, target and size; and the accounts. Left out are the
    /// copies that useradd and userdel keep of the accounts as they were one change ago.
    pub(super) fn files(&self) -> BTreeSet<String> {
        let listed = self.run(
            "find / -xdev -path /tmp -prune -o -path '/etc/*-' -prune -o -type f -printf '%p %m %U:%G %s\\n' -o -printf '%p %y %m %U:%G %l\\n'; \
             cat /etc/passwd /etc/group /etc/shadow /etc/gshadow",
        );
        assert!(listed.ok, "{}", listed.text);
        listed.text.lines().map(str::to_owned).collect()
    }

    /// Panics where the files are not as they were `before`, but for those that `changes` names.
    pub(super) fn assert_unchanged(&self, before: &BTreeSet<String>, changes: &str, what: &str) {
        let after = self.files();
        let differs: Vec<&String> = before
            .symmetric_difference(&after)
            .filter(|line| changes.is_empty() || !line.starts_with(changes))
            .collect();
        assert!(differs.is_empty(), "{what}: {differs:#?}");
    }
}

/// What a script did.
pub(super) struct Ran {
    /// Its status is 0.
    pub(super) ok: bool,
    /// The last line of its output.
    pub(super) last: String,
    /// All that it printed.
    pub(super) text: String,
}

/// The root below all layers, or why there is none.
fn base() -> Result<PathBuf, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can mount and chroot".to_owned());
    }
    let cache = cache_folder().ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    let base = cache.join(format!("debian-{SUITE}"));
    if base.is_dir() {
        return Ok(base);
    }
    let fresh = cache.join(format!("debian-{SUITE}.{}", std::process::id()));
    std::fs::create_dir_all(&cache).map_err(|error| error.to_string())?;
    let made = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={INCLUDED}"), SUITE])
        .arg(&fresh)
        .stdin(Stdio::null())
        .output();
    let made = made.map_err(|_| "debootstrap is not installed (apt-get install debootstrap)".to_owned())?;
    let remove = || drop(std::fs::remove_dir_all(&fresh));
    if !made.status.success() {
        remove();
        let said = String::from_utf8_lossy(&made.stdout);
        return Err(format!("debootstrap could not make one: {}", said.lines().last().unwrap_or_default()));
    }
    // Another test may have been faster.
    if std::fs::rename(&fresh, &base).is_err() {
        remove();
    }
    Ok(base)
}

#[expect(clippy::disallowed_methods, reason = "where caches are is said by the environment")]
fn cache_folder() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    Some(cache.join("daywatch"))
}
