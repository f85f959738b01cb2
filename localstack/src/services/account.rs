//! Which user `PostgreSQL` runs as: it refuses root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Error;

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// `None`: the current user will do. For root `postgres`, which comes with the server's package, else `nobody`.
    pub(super) fn for_postgres() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let path = "/etc/passwd";
        let passwd = fs::read_to_string(path).map_err(Error::file("cannot read", path))?;
        let found = ["postgres", "nobody"].iter().find_map(|name| Self::named(name, &passwd));
        found.map(Some).ok_or(Error::NoAccount)
    }

    fn named(name: &str, passwd: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (found, _password) = (fields.next()?, fields.next()?);
            let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (found == name && uid != 0).then_some(Self { uid, gid })
        })
    }

    /// Whether this user may pass through the directory and all above it. Access lists are not looked at.
    pub(super) fn reaches(&self, directory: &Path) -> bool {
        directory.ancestors().all(|directory| {
            fs::metadata(directory).is_ok_and(|metadata| {
                let search = if metadata.uid() == self.uid {
                    0o100
                } else if metadata.gid() == self.gid {
                    0o010
                } else {
                    0o001
                };
                metadata.mode() & search != 0
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nshort:x\npostgres:x:101:104:PostgreSQL:/var/lib:/bin/sh\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        assert_eq!(Account::named("postgres", PASSWD), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(Account::named("post", PASSWD), None);
    }

    #[test]
    fn root_under_any_name_is_no_account_for_the_database() {
        assert_eq!(Account::named("root", PASSWD), None);
    }
}
