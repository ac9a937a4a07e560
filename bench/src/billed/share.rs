//! A share of a core, as Lambda gives it to functions by their memory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

const ROOT: &str = "/sys/fs/cgroup";
/// The time in which a share can be used up, in µs.
const PERIOD_US: u32 = 20_000;

/// A control group whose processes together get a share of one core. Dropping it removes the group:
/// its processes must have ended.
#[derive(Debug)]
pub struct CpuShare(PathBuf);

impl CpuShare {
    /// `memory_mb` of `vcpu_mb` of a core.
    pub fn of(memory_mb: u32, vcpu_mb: u32) -> io::Result<Self> {
        let quota = PERIOD_US * memory_mb / vcpu_mb;
        let name = format!("weapp-bench-{}", std::process::id());
        let is_unified = Path::new(ROOT).join("cgroup.controllers").exists();
        let parent = if is_unified {
            PathBuf::from(ROOT)
        } else {
            Path::new(ROOT).join("cpu")
        };
        let group = Self(parent.join(name));
        fs::create_dir(&group.0)?;
        if is_unified {
            fs::write(group.0.join("cpu.max"), format!("{quota} {PERIOD_US}"))?;
        } else {
            fs::write(group.0.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
            fs::write(group.0.join("cpu.cfs_quota_us"), quota.to_string())?;
        }
        Ok(group)
    }

    /// The file that a process enters the group with, by writing its id to it.
    pub fn members(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for CpuShare {
    fn drop(&mut self) {
        // What stays, an empty group, harms nobody.
        let _ = fs::remove_dir(&self.0);
    }
}
