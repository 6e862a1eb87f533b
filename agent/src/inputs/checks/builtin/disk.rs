//! `disk`: space and inodes in use, percent, as `df` computes them.

use std::path::Path;

use formats::nagios::State;

use super::{Bounds, Finding, readable_bytes, rounded, word};
use crate::inputs::host::filesystem::{Filesystems, Space};
use crate::inputs::host::mounts::{FILES, Mount, mounts};

/// Mount points named in the text; the others are in the performance data.
const NAMED_MAX: usize = 5;

/// The room on `path`, or on every filesystem that can be written to. In a container, whose own
/// root is left out of the host's filesystems, on the root.
pub(super) fn spaces(root: &Path, path: Option<&str>, filesystems: &mut Filesystems) -> Vec<(String, Option<Space>)> {
    let text = FILES.iter().find_map(|file| std::fs::read(root.join(file)).ok()).unwrap_or_default();
    let mut all = mounts(&String::from_utf8_lossy(&text));
    let plain = |mountpoint: &str| Mount {
        device: String::new(),
        mountpoint: mountpoint.to_owned(),
        fstype: String::new(),
        read_only: false,
    };
    match path {
        Some(path) => {
            all.retain(|mount| mount.mountpoint == path);
            if all.is_empty() {
                all.push(plain(path));
            }
        }
        None => {
            all.retain(|mount| !mount.read_only);
            if all.is_empty() {
                all.push(plain("/"));
            }
        }
    }
    all.into_iter().map(|mount| (mount.mountpoint.clone(), filesystems.space(&mount))).collect()
}

pub(super) fn disk(spaces: &[(String, Option<Space>)], bounds: &Bounds) -> Result<Finding, String> {
    let mut worst = State::Ok;
    let mut named: Vec<(State, f64, String)> = Vec::new();
    let mut perfdata = Vec::new();
    for (mountpoint, space) in spaces {
        let Some(space) = space else {
            worst = worst.max(State::Critical);
            named.push((State::Critical, 100.0, format!("{mountpoint} does not answer")));
            continue;
        };
        let used = used_percent(space.size_bytes - space.free_bytes, space.avail_bytes);
        let inodes = used_percent(space.files - space.files_free, space.files_free);
        for (label, share, told) in [
            (mountpoint.clone(), used, format!("{} free", readable_bytes(space.avail_bytes))),
            (format!("{mountpoint} inodes"), inodes, format!("{} free", space.files_free)),
        ] {
            // Filesystems without inodes of their own (btrfs, vfat) tell 0 of 0.
            let Some(share) = share else { continue };
            let state = bounds.state(share);
            worst = worst.max(state);
            perfdata.push(bounds.item(&label, rounded(share), "%", "0;100"));
            named.push((state, share, format!("{label} {share:.1}% used, {told}")));
        }
    }
    if named.is_empty() {
        return Err("DISK UNKNOWN - no filesystem with a size".to_owned());
    }
    named.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)));
    let told: Vec<&str> = named.iter().take(NAMED_MAX).map(|(_, _, text)| text.as_str()).collect();
    Ok(Finding {
        state: worst,
        text: format!("DISK {} - {}", word(worst), told.join("; ")),
        perfdata: perfdata.join(" "),
    })
}

/// Room that is reserved for root counts neither as used nor as available.
fn used_percent(used: f64, available: f64) -> Option<f64> {
    let sum = used + available;
    (sum > 0.0).then(|| used / sum * 100.0)
}
