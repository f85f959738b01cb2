//! Finds the server's programs on this machine, or has them installed.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::super::account::Account;
use super::super::{Context, Error, Service, Step};
use super::apt;

/// The oldest version that the project supports.
const OLDEST: u32 = 15;

/// Where packages put each major version beside the others. `*` stands for one folder.
const FOLDERS: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/lib64/pgsql", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// One installed version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Binaries {
    pub(super) major: u32,
    pub(super) directory: PathBuf,
}

impl fmt::Display for Binaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.major, self.directory.display())
    }
}

/// The programs for existing data of version `written`, or the first that will do for new data, in the order PATH, then
/// highest version.
pub(super) async fn find(
    context: &Context<'_>,
    account: Option<&Account>,
    written: Option<&str>,
    data: &Path,
) -> Result<Binaries, Error> {
    let mut found = Vec::new();
    for directory in candidates() {
        // Root's own programs may be where no other user can go.
        if account.is_some_and(|account| !account.reaches(&directory)) {
            continue;
        }
        let Some(major) = major_version(&directory).await else {
            continue;
        };
        let binaries = Binaries { major, directory };
        let fits = written.map_or(major >= OLDEST, |written| written == major.to_string());
        if fits {
            return Ok(binaries);
        }
        found.push(binaries.to_string());
    }
    if let Some(written) = written {
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        return Err(Error::PostgresVersion { data: data.to_owned(), written: written.to_owned(), found });
    }
    let found = if found.is_empty() { "none was found".to_owned() } else { format!("found {}", found.join(", ")) };
    install(context, found).await
}

async fn install(context: &Context<'_>, found: String) -> Result<Binaries, Error> {
    context.working(Step::Service(Service::Postgres), "installing postgresql with apt-get");
    if apt::install_postgres(&context.data.join("logs/apt.log")).await? {
        for directory in candidates() {
            if let Some(major) = major_version(&directory).await.filter(|&major| major >= OLDEST) {
                return Ok(Binaries { major, directory });
            }
        }
        return Err(Error::NoPostgres { found: "and apt-get has only an older one".to_owned() });
    }
    Err(Error::NoPostgres { found })
}

/// Every directory with both programs, each once.
fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut packaged: Vec<_> = FOLDERS
        .iter()
        .filter_map(|(folder, programs)| Some((Path::new(folder).read_dir().ok()?, programs)))
        .flat_map(|(versions, programs)| versions.flatten().map(move |version| version.path().join(programs)))
        .collect();
    packaged.sort_by_key(|directory| std::cmp::Reverse(number_in(directory)));
    let mut seen = BTreeSet::new();
    std::env::split_paths(&path)
        .chain(packaged)
        // A link on PATH leads to the package's own directory, which has all the programs.
        .filter_map(|directory| Some(directory.join("postgres").canonicalize().ok()?.parent()?.to_owned()))
        .filter(|directory| directory.join("initdb").is_file() && seen.insert(directory.clone()))
        .collect()
}

/// The version in a path such as `/usr/lib/postgresql/16/bin` or `/opt/homebrew/opt/postgresql@16/bin`.
fn number_in(directory: &Path) -> u32 {
    let name = directory.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    name.rsplit('@').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

async fn major_version(directory: &Path) -> Option<u32> {
    let mut command = Command::new(directory.join("postgres"));
    let output = command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().await.ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// The major version in a text such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_version(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL)")?.1.trim_start();
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{number_in, parse_version};

    #[test]
    fn the_major_version_is_read_from_what_the_server_says() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(parse_version("no such thing"), None);
    }

    #[test]
    fn packaged_versions_are_ordered_by_number() {
        assert_eq!(number_in(Path::new("/usr/lib/postgresql/9/bin")), 9);
        assert_eq!(number_in(Path::new("/opt/homebrew/opt/postgresql@16/bin")), 16);
        assert_eq!(number_in(Path::new("/opt/homebrew/opt/postgresql/bin")), 0);
    }
}
