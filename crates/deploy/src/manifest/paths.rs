//! Paths that begin at the manifest, for a manifest that lies elsewhere.

use std::path::{Path, PathBuf};

use toml_edit::Item;

use super::draft::{Draft, put};

/// The wasm files, and where they are built.
pub(super) fn rewrite(draft: &mut Draft<'_>, directory: Option<&Path>) {
    let (from, to) = (
        draft.source.directory(directory),
        draft.source.directory(None),
    );
    let Some(way) = pathdiff::diff_paths(to, from).filter(|way| !way.as_os_str().is_empty()) else {
        return;
    };
    for id in draft.components() {
        let Some(component) = draft.component_mut(&id) else {
            continue;
        };
        if let Some(source) = component.get("source").and_then(Item::as_str) {
            let source = along(&way, source);
            put(component, "source", source.into());
        }
        let build = component.get_mut("build").and_then(Item::as_table_like_mut);
        if let Some(build) = build {
            let workdir = build.get("workdir").and_then(Item::as_str);
            let workdir = along(&way, workdir.unwrap_or_default());
            put(build, "workdir", workdir.into());
        }
    }
}

/// With slashes, as manifests have them on every system. An absolute path stays.
fn along(way: &Path, path: &str) -> String {
    let mut joined = PathBuf::new();
    for part in way.join(path).components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if joined.file_name().is_some() => {
                joined.pop();
            }
            part => joined.push(part),
        }
    }
    match joined.to_string_lossy().replace('\\', "/") {
        here if here.is_empty() => ".".to_owned(),
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_from_another_directory() {
        for (way, path, want) in [
            ("..", "target/a.wasm", "../target/a.wasm"),
            ("app", "target/a.wasm", "app/target/a.wasm"),
            ("app", "../a.wasm", "a.wasm"),
            ("../..", "./a.wasm", "../../a.wasm"),
            ("..", "../a.wasm", "../../a.wasm"),
            ("..", "/opt/a.wasm", "/opt/a.wasm"),
            ("app", "..", "."),
            ("..", "", ".."),
        ] {
            assert_eq!(along(Path::new(way), path), want, "{path:?} by {way:?}");
        }
    }
}
