//! The manifest for a target, made from the hand-written one: comments and order stay, and
//! what the target lacks goes, or is refused with the reason.

mod checks;
mod draft;
mod literals;
mod pace;
mod paths;
mod ringing;
mod sockets;
mod source;
mod token;
mod triggers;
mod unused;

use std::path::PathBuf;
use std::time::Duration;

use watchbell_app::{Finding, Level, LoadOptions, Target, validate, validate_for, validate_text};

use crate::budget::Budget;
use draft::Draft;
use source::Source;

/// What the operator wants written.
#[derive(Clone, Debug)]
pub struct Wish {
    pub target: Target,
    /// How often something calls each entry; the target's `schedule_min` where not given.
    pub every: Option<Duration>,
    /// Try checks that open sockets also where none are promised.
    pub sockets: bool,
    /// The directory that it is for; the hand-written one's where not given.
    pub directory: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct Written {
    pub text: String,
    /// What is otherwise than in the hand-written manifest and may surprise.
    pub notes: Vec<String>,
    pub warnings: Vec<Finding>,
    pub budget: Budget,
}

/// Without which a manifest can be written all the same: values are given where it is deployed.
const LACKS_VALUE: &str = "variable-required";
/// Reported with the value that is missing, or as secret, by [`literals`].
const TEMPLATE: &str = "target-permission-template";
/// What `--sockets` asks for.
const SOCKETS: &str = "target-sockets";

/// The manifest for a target.
///
/// # Errors
/// With every reason why there is none, by file and line of the hand-written one.
pub fn write(options: &LoadOptions, wish: &Wish) -> Result<Written, Vec<Finding>> {
    let mut mistakes = validate(options);
    mistakes.retain(|f| f.id != LACKS_VALUE);
    if mistakes.iter().any(|f| f.level == Level::Error) {
        mistakes.retain(|f| f.level == Level::Error);
        return Err(mistakes);
    }
    let source = Source::read(options)?;
    let mut draft = Draft::new(&source, options, wish.target);
    refuse_written(&mut draft);
    paths::rewrite(&mut draft, wish.directory.as_deref());
    match (wish.target.limits().cron, wish.every) {
        (true, None) => {}
        (true, Some(_)) => draft.refuse_option(
            "manifest-every",
            "--every",
            "a duration",
            "none: its cron triggers say how often checks run",
        ),
        (false, every) => change(&mut draft, wish, every),
    }

    let text = format!("{}\n{}", heading(wish.target, &source), draft.doc);
    let path = source.directory(wish.directory.as_deref());
    let as_written = LoadOptions {
        manifest: path.join("spin.toml"),
        ..options.clone()
    };
    let (demand, mut found) = validate_text(&as_written, text.clone(), wish.target);
    found.retain(|f| f.id != LACKS_VALUE && f.id != TEMPLATE && !(wish.sockets && f.id == SOCKETS));
    // What is wrong around the manifest was found with the hand-written one: a value may be for
    // a variable that only that has.
    found.retain(|f| f.file == as_written.manifest.display().to_string());
    mistakes.retain(|f| f.file != source.name);
    let mut all: Vec<Finding> = found.into_iter().map(|f| source.place(f)).collect();
    all.append(&mut mistakes);
    all.append(&mut draft.refusals);
    all.sort();
    all.dedup();
    if all.iter().any(|f| f.level == Level::Error) {
        return Err(all);
    }
    Ok(Written {
        text,
        notes: draft.notes.texts(),
        warnings: all,
        budget: Budget {
            target: wish.target,
            demand,
        },
    })
}

/// For a target without cron. Each step sees what the ones before it have made.
fn change(draft: &mut Draft<'_>, wish: &Wish, every: Option<Duration>) {
    let limits = wish.target.limits();
    triggers::turn(draft);
    pace::set(draft, every.unwrap_or(limits.schedule_min));
    token::require(draft);
    ringing::choose(draft);
    if !limits.sockets && !wish.sockets {
        sockets::forgo(draft);
    }
    if !limits.lists_keys {
        checks::list(draft);
    }
    if !limits.permission_templates {
        literals::resolve(draft);
    }
    unused::remove(draft);
}

/// What one target lacks is gone from its manifest, and another may have it.
fn refuse_written(draft: &mut Draft<'_>) {
    let Some(other) = draft.source.written_for else {
        return;
    };
    if other != draft.target && other != Target::Spin {
        let got = format!("a manifest written for {}", other.title());
        let want = "the hand-written one that it was made from";
        draft.refuse("manifest-source", String::new(), &got, want);
    }
}

const HEADING: &str = "# Written by `watchbell manifest --target ";

/// The target in a manifest's heading; `None` where none was written there.
pub fn written_for(text: &str) -> Option<Target> {
    let (target, _) = text.strip_prefix(HEADING)?.split_once('`')?;
    target.parse().ok()
}

/// What runs at the target, or, without one, wherever something outside calls: what
/// [`write()`] makes of a hand-written manifest; one that it has made for there already.
///
/// # Errors
/// As those of [`write()`].
pub fn at(options: &LoadOptions, target: Option<Target>) -> Result<String, Vec<Finding>> {
    let source = Source::read(options)?;
    let own = source.written_for.filter(|own| !own.limits().cron);
    let Some(own) = own.filter(|own| target.is_none_or(|target| target == *own)) else {
        let wish = Wish {
            // The one that refuses least.
            target: target.unwrap_or(Target::Spinkube),
            every: None,
            sockets: false,
            directory: None,
        };
        return Ok(write(options, &wish)?.text);
    };
    let mut mistakes = validate_for(options, own);
    mistakes.retain(|f| f.level == Level::Error && f.id != LACKS_VALUE);
    match mistakes.is_empty() {
        true => Ok(source.document.raw().to_owned()),
        false => Err(mistakes),
    }
}

/// Of a file that has one already, the new one takes its place.
fn heading(target: Target, source: &Source) -> String {
    let name = source.file_name();
    format!(
        "{HEADING}{target}` from {name}, and not to be edited: change {name}, and write it anew."
    )
}
