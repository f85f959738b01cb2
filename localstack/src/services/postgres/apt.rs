//! Installs `PostgreSQL` with apt where that needs no question: as root, or by a sudo that asks no password.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::super::Error;
use super::super::storage::tail;

/// The package would otherwise make a cluster of its own and start it on port 5432, now and at each boot.
const SCRIPT: &str = "
set -e
export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
install() { apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold postgresql; }
install || { apt-get update && install; }
";

/// Installs the package. `Ok(false)`: apt is not there, or would have to ask.
///
/// Not a child of the supervisor: an installation must not be cut off in the middle.
pub(super) async fn install_postgres(log: &Path) -> Result<bool, Error> {
    if !succeeds("apt-get", &["--version"]).await {
        return Ok(false);
    }
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("sh")
    } else if succeeds("sudo", &["-n", "true"]).await {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "sh"]);
        sudo
    } else {
        return Ok(false);
    };
    let output =
        || std::fs::File::options().create(true).append(true).open(log).map_err(Error::file("cannot write", log));
    let status = command
        .args(["-c", SCRIPT])
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?)
        .status()
        .await
        .map_err(Error::system("cannot run apt-get"))?;
    if status.success() {
        Ok(true)
    } else {
        Err(Error::NoPostgres {
            found: format!("and apt-get could not install it ({}):\n{}\n", log.display(), tail(log)),
        })
    }
}

async fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}
