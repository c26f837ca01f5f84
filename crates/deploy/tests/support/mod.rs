//! What the tests share: an application, and golden files.

use std::fs;
use std::path::{Path, PathBuf};

use watchbell_app::{App, LoadOptions};

/// The application in `tests/app`, with each change made to its manifest.
pub fn app(changes: &[(&str, &str)]) -> App {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/app");
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = fs::read_to_string(folder.join("spin.toml")).unwrap();
    for (from, to) in changes {
        assert!(manifest.contains(from), "{from:?}");
        manifest = manifest.replace(from, to);
    }
    fs::write(dir.path().join("spin.toml"), manifest).unwrap();
    let options = LoadOptions {
        manifest: "spin.toml".into(),
        variables: vec!["host=hs.example.com".to_owned()],
        cwd: dir.path().to_owned(),
        ..LoadOptions::default()
    };
    App::load(&options).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// Compares with `tests/golden/<name>`; `UPDATE_EXPECT=1` writes it anew.
pub fn golden(name: &str, got: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, got).unwrap();
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        got == want,
        "{name} is not as it was; UPDATE_EXPECT=1 writes it anew:\n{got}"
    );
}

/// No mark of a template is left in it.
pub fn assert_filled(name: &str, text: &str) {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_' && c != '@');
    let mark = words.into_iter().find(|word| {
        let inner = word.strip_prefix('@').and_then(|w| w.strip_suffix('@'));
        inner.is_some_and(|inner| !inner.is_empty())
    });
    assert_eq!(mark, None, "{name}");
}
