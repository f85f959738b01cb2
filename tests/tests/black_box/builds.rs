//! What the README's two commands build, by what cargo says it would.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The features of each crate, where the dependencies of these `kinds` count. Those of a crate that macros use, too, are put
/// together with those that it has for them.
fn features(kinds: &str) -> BTreeMap<String, BTreeSet<String>> {
    let arguments = ["tree", "--workspace", "--locked", "--offline", "--prefix", "none", "--format", "{p}\t{f}"];
    let listed = Command::new(env!("CARGO")).args(arguments).args(["--edges", kinds]).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut features = BTreeMap::<_, BTreeSet<_>>::new();
    // What was listed before ends with a mark.
    for (name, of_it) in listed.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('\t')) {
        features.entry(name.to_owned()).or_default().extend(of_it.split(',').map(str::to_owned));
    }
    features
}

#[test]
fn no_crate_is_built_anew_for_the_tests_because_they_ask_for_more_of_its_features() {
    let (run, test) = (features("normal,build"), features("normal,build,dev"));
    assert!(run.len() > 400, "{}", run.len());
    let anew: Vec<_> = run.iter().filter(|(name, features)| test.get(*name) != Some(features)).collect();
    assert!(anew.is_empty(), "let the crate `tests` ask for these features too: {anew:?}");
}
