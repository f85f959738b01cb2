//! The local stack's `DynamoDB`, where its answers are not `MiniStack`'s own.

use std::process::Command;

use localstack::template::workspace_root;
use tests::python::python;

#[test]
fn queries_along_ordered_indexes_are_answered_as_without_and_cost_what_they_read() {
    let root = workspace_root();
    let output = Command::new(python())
        .args(["-I", "-B"])
        .args([root.join("tests/ministack/ordered_indexes.py"), root.join("localstack/src/services/ministack")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
