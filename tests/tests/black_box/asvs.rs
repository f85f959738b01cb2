//! docs/security.md answers each requirement of OWASP's ASVS 5.0 about identity, and names tests that exist.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use tests::Instance;

/// The requirements of chapters V6 to V10 at levels 1 and 2.
const REQUIREMENTS: &[&str] = &[
    "6.1.1", "6.1.2", "6.1.3", "6.2.1", "6.2.2", "6.2.3", "6.2.4", "6.2.5", "6.2.6", "6.2.7", "6.2.8", "6.2.9",
    "6.2.10", "6.2.11", "6.2.12", "6.3.1", "6.3.2", "6.3.3", "6.3.4", "6.4.1", "6.4.2", "6.4.3", "6.4.4", "6.5.1",
    "6.5.2", "6.5.3", "6.5.4", "6.5.5", "6.6.1", "6.6.2", "6.6.3", "6.8.1", "6.8.2", "6.8.3", "6.8.4", "7.1.1",
    "7.1.2", "7.1.3", "7.2.1", "7.2.2", "7.2.3", "7.2.4", "7.3.1", "7.3.2", "7.4.1", "7.4.2", "7.4.3", "7.4.4",
    "7.4.5", "7.5.1", "7.5.2", "7.6.1", "7.6.2", "8.1.1", "8.1.2", "8.2.1", "8.2.2", "8.2.3", "8.3.1", "8.4.1",
    "9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3", "9.2.4", "10.1.1", "10.1.2", "10.2.1", "10.2.2", "10.3.1",
    "10.3.2", "10.3.3", "10.3.4", "10.4.1", "10.4.2", "10.4.3", "10.4.4", "10.4.5", "10.4.6", "10.4.7", "10.4.8",
    "10.4.9", "10.4.10", "10.4.11", "10.5.1", "10.5.2", "10.5.3", "10.5.4", "10.5.5", "10.6.1", "10.6.2", "10.7.1",
    "10.7.2", "10.7.3",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn document() -> String {
    read_to_string(root().join("docs/security.md")).unwrap()
}

/// The rows of the mapping: what is said of each requirement.
fn rows(document: &str) -> Vec<(&str, &str)> {
    let (_, mapping) = document.split_once("\n## ASVS 5.0\n").expect("the mapping is the last section");
    let cells = mapping.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = cells.map(|row| row.split(" | ").collect::<Vec<_>>());
    rows.filter(|row| row[0] != "id").map(|row| (row[0], row[2])).collect()
}

/// The tests that a row names: the paths in backticks.
fn named(said: &str) -> impl Iterator<Item = &str> {
    said.split('`').skip(1).step_by(2).filter(|text| text.contains("::"))
}

/// Where a test may stand: the file of its module, or the file of that module's tests.
fn files_of(modules: &[&str]) -> Vec<PathBuf> {
    let (base, modules) = match modules {
        ["auth", modules @ ..] => ("functions/auth/src", modules),
        ["shared", modules @ ..] => ("shared/src", modules),
        modules => ("tests/tests/black_box", modules),
    };
    let modules = modules.strip_suffix(&["tests"]).unwrap_or(modules).join("/");
    let endings = [".rs", "_tests.rs", "/tests.rs"];
    endings.iter().map(|ending| root().join(base).join(format!("{modules}{ending}"))).collect()
}

fn exists(test: &str) -> bool {
    let (modules, name) = test.rsplit_once("::").unwrap();
    let modules: Vec<_> = modules.split("::").collect();
    let head = format!("fn {name}(");
    files_of(&modules).iter().any(|file| read_to_string(file).is_ok_and(|source| source.contains(&head)))
}

#[test]
fn each_requirement_has_one_row() {
    let document = document();
    let ids: Vec<_> = rows(&document).iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, REQUIREMENTS);
}

#[test]
fn a_row_names_tests_that_exist_or_says_why_it_does_not() {
    let document = document();
    let mut wrong = Vec::new();
    for (id, said) in rows(&document) {
        let reasoned = ["waived: ", "not done: ", "documented: "].iter().any(|word| said.starts_with(word));
        if !reasoned && !said.starts_with('`') {
            wrong.push(format!("{id}: {said}"));
        }
        wrong.extend(named(said).filter(|test| !exists(test)).map(|test| format!("{id}: there is no {test}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_section_that_documents_something_is_there() {
    let document = document();
    for link in document.split("](#").skip(1) {
        let section = link.split(')').next().unwrap().replace('-', " ");
        let mut headings = document.lines().filter_map(|line| line.strip_prefix("## "));
        assert!(headings.any(|heading| heading.to_lowercase() == section), "{section}");
    }
}

#[tokio::test]
async fn the_pages_that_ask_for_a_password_mask_it_and_take_what_is_pasted_whole() {
    for (path, kind, inputs) in [("/reset-password", "new-password", 1), ("/auth/authorize", "current-password", 3)] {
        let html = page(path).await;
        let fields: Vec<_> = html.split("<input ").skip(1).map(|field| field.split('>').next().unwrap()).collect();
        assert_eq!(fields.len(), inputs, "{path}");
        let (masked, plain): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|field| field.contains("type=\"password\""));
        assert!(plain.iter().all(|field| !field.contains("password")), "{path}: {plain:?}");
        assert_eq!(masked.len(), 1, "{path}");
        assert!(masked[0].contains(&format!("autocomplete=\"{kind}\"")), "{path}: {}", masked[0]);
        // A browser would cut what is longer in silence, and counts otherwise than the service does.
        assert!(!masked[0].contains("maxlength"), "{path}: {}", masked[0]);
        for word in ["paste", "beforeinput", "keydown", "autocomplete=\"off\""] {
            assert!(!html.contains(word), "{path}: {word}");
        }
    }
}

/// What is said of the time is tested with `auth_oauth::applications::a_user_is_told_how_long_an_application_would_have_access`.
#[tokio::test]
async fn the_page_that_asks_for_consent_shows_who_where_what_and_how_long() {
    let html = page("/auth/authorize").await;
    for (id, shown) in [
        ("application", "body.client.name"),
        ("tenant", "body.tenant.name"),
        ("host", "body.redirect_host"),
        ("access", "body.access.description"),
    ] {
        let place = html.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no place for {id}"));
        assert!(html.contains(&format!("element(\"{id}\").textContent = {shown};")), "{id} is not shown");
        let decides = html.find("id=\"allow\"").unwrap();
        assert!(place < decides, "{id} is shown before it is decided");
    }
    assert!(html.contains("item.textContent = scope.description;"));
}

async fn page(path: &str) -> String {
    let pages = Instance::of(&auth::SERVICE, "auth.pages").await;
    let page = pages.http("GET", path, &[], None).await.expect(200);
    String::from_utf8_lossy(&page.body).into_owned()
}
