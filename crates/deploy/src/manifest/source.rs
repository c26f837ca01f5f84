//! The hand-written manifest: its text, and where in it a key stands.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item};
use watchbell_app::{Finding, Level, LoadOptions, Target};

pub(super) struct Source {
    /// As the operator named it.
    pub name: String,
    /// Absolute.
    path: PathBuf,
    pub document: Document<String>,
    /// Lines before the document's first: a heading that was left out.
    skipped: usize,
    /// What it was written for, by [`write`](super::write()) and not by hand.
    pub written_for: Option<Target>,
}

impl Source {
    /// # Errors
    /// When the file cannot be read, or is no TOML.
    pub fn read(options: &LoadOptions) -> Result<Self, Vec<Finding>> {
        let name = options.manifest.display().to_string();
        let path = options.cwd.join(&options.manifest);
        let broken = |got: String| {
            vec![Finding {
                file: name.clone(),
                line: None,
                key: String::new(),
                id: "manifest-unreadable",
                level: Level::Error,
                got,
                want: "a manifest".to_owned(),
                stops_start: true,
            }]
        };
        let text = std::fs::read_to_string(&path).map_err(|error| broken(error.to_string()))?;
        let written_for = super::written_for(&text);
        let (skipped, text) = match written_for.and_then(|_| text.split_once('\n')) {
            Some((_, rest)) => (1, rest.to_owned()),
            None => (0, text),
        };
        let document = Document::parse(text).map_err(|error| broken(error.message().to_owned()))?;
        Ok(Self {
            document,
            skipped,
            written_for,
            path: std::fs::canonicalize(&path).unwrap_or(path),
            name,
        })
    }

    pub fn file_name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The given one, absolute, or the manifest's own.
    pub fn directory(&self, given: Option<&Path>) -> PathBuf {
        let own = || self.path.parent().unwrap_or(Path::new("")).to_path_buf();
        given.map_or_else(own, real)
    }

    /// The finding where the hand-written manifest has its key, or the nearest table around
    /// it: what was written has other lines, and nobody is to mend it.
    pub fn place(&self, finding: Finding) -> Finding {
        Finding {
            line: finding.line.and_then(|_| self.line(&finding.key)),
            file: self.name.clone(),
            ..finding
        }
    }

    /// From 1; `None` where nothing of the key is there.
    pub fn line(&self, key: &str) -> Option<u32> {
        let mut item = self.document.as_item();
        let mut at = None;
        for step in steps(key) {
            let Some((start, next)) = into(item, &step) else {
                break;
            };
            at = start.or(at);
            item = next;
        }
        let before = self.document.raw().get(..at?)?;
        let line = before.matches('\n').count() + 1 + self.skipped;
        u32::try_from(line).ok()
    }
}

/// The real path. Of a directory that is yet to be made, below that of what is there.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let real = path.ancestors().find_map(|above| {
        let below = path.strip_prefix(above).ok()?;
        Some(std::fs::canonicalize(above).ok()?.join(below))
    });
    real.unwrap_or(path)
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// `trigger.http[1].route`: no id or name that a finding is about has a dot in it.
fn steps(key: &str) -> Vec<Step<'_>> {
    let parts = key.split(['.', '[']).filter(|part| !part.is_empty());
    parts
        .map(
            |part| match part.strip_suffix(']').and_then(|n| n.parse().ok()) {
                Some(index) => Step::Index(index),
                None => Step::Key(part),
            },
        )
        .collect()
}

fn into<'a>(item: &'a Item, step: &Step<'_>) -> Option<(Option<usize>, &'a Item)> {
    match step {
        Step::Key(name) => {
            let (key, next) = item.as_table_like()?.get_key_value(name)?;
            let header = next.as_table().and_then(toml_edit::Table::span);
            let span = header.or_else(|| key.span()).or_else(|| next.span());
            Some((span.map(|s| s.start), next))
        }
        Step::Index(index) => {
            let next = item.get(index)?;
            Some((next.span().map(|s| s.start), next))
        }
    }
}
