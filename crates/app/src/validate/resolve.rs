//! A component with its templates resolved.

use std::collections::{BTreeMap, BTreeSet};

use super::kind::Kind;
use crate::finding::{Place, Report, quoted};
use crate::manifest::ComponentEntry;
use crate::names::suggest;
use crate::permissions::{AllowedHosts, PermissionError};
use crate::template::Template;
use crate::variables::{Declared, Values};

pub(super) struct Resolved<'a> {
    pub entry: &'a ComponentEntry,
    pub kind: Option<Kind>,
    pub variables: BTreeMap<String, String>,
    /// Variables whose value came out of a secret.
    pub secret: BTreeSet<String>,
    /// Where the application's variable stands of which a variable has the whole value:
    /// a mistake in it is made there, once for all components.
    pub given_by: BTreeMap<String, Place>,
    /// Variables without a value, already reported.
    pub unresolved: BTreeSet<String>,
    pub allowed_outbound_hosts: Result<AllowedHosts, PermissionError>,
    /// Whether the permissions lack a value that is reported elsewhere.
    pub permissions_unresolved: bool,
}

impl<'a> Resolved<'a> {
    pub fn of(
        entry: &'a ComponentEntry,
        declared: &[Declared],
        values: &Values,
        report: &mut Report,
    ) -> Self {
        let mut resolved = Self {
            entry,
            kind: Kind::of(entry),
            variables: BTreeMap::new(),
            secret: BTreeSet::new(),
            given_by: BTreeMap::new(),
            unresolved: BTreeSet::new(),
            allowed_outbound_hosts: Ok(AllowedHosts::default()),
            permissions_unresolved: false,
        };
        for (name, text, place) in &entry.variables {
            let Some(template) = template(text, place, declared, report) else {
                resolved.unresolved.insert(name.clone());
                continue;
            };
            if template.names().any(|n| values.secret.contains(n)) {
                resolved.secret.insert(name.clone());
            }
            if let Some(giver) = giver(&template, declared) {
                resolved.given_by.insert(name.clone(), giver.place.clone());
            }
            match template.resolve(&values.values) {
                Ok(value) => {
                    resolved.variables.insert(name.clone(), value);
                }
                Err(_) => {
                    resolved.unresolved.insert(name.clone());
                }
            }
        }
        resolved.read_permissions(declared, values, report);
        resolved
    }

    fn read_permissions(&mut self, declared: &[Declared], values: &Values, report: &mut Report) {
        let (mut bad_template, mut bad_default) = (false, BTreeSet::new());
        for (i, (text, place)) in self.entry.allowed_outbound_hosts.iter().enumerate() {
            let Some(template) = template(text, place, declared, report) else {
                bad_template = true;
                continue;
            };
            self.permissions_unresolved |= template.names().any(|n| values.missing.contains(n));
            if refused_at_start(text, &template, place, declared, report) {
                bad_default.insert(i);
            }
        }
        self.permissions_unresolved |= bad_template;
        let texts: Vec<String> = self
            .entry
            .allowed_outbound_hosts
            .iter()
            .map(|(text, _)| text.clone())
            .collect();
        self.allowed_outbound_hosts = AllowedHosts::parse(&texts, |name| {
            values
                .values
                .get(name)
                .cloned()
                .ok_or_else(|| format!("a value for the variable {name:?}"))
        });
        if let Err(error) = &self.allowed_outbound_hosts
            && !self.permissions_unresolved
            && !bad_default.contains(&error.index)
            && let Some((text, place)) = self.entry.allowed_outbound_hosts.get(error.index)
        {
            let want = format!("{}; until then the component reaches nothing", error.want);
            let (place, got) = match Template::parse(text) {
                Ok(template) if template.names().all(|n| !values.secret.contains(n)) => {
                    let value = template.resolve(&values.values).unwrap_or_default();
                    match giver(&template, declared) {
                        Some(giver) => (&giver.place, quoted(&value)),
                        None => (place, format!("{value:?} from {text:?}")),
                    }
                }
                _ => (place, quoted(text)),
            };
            report.error("permission-resolved", place, &got, &want);
        }
    }

    /// The value of a variable, unless blank.
    pub fn text(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }
}

/// The application's variable whose value is the template's, unchanged.
fn giver<'a>(template: &Template, declared: &'a [Declared]) -> Option<&'a Declared> {
    let name = template.only_name()?;
    declared.iter().find(|d| d.name == name)
}

/// The template, unless it is malformed or names what does not exist: Spin refuses both.
fn template(
    text: &str,
    place: &Place,
    declared: &[Declared],
    report: &mut Report,
) -> Option<Template> {
    let Ok(template) = Template::parse(text) else {
        let want = "a name and }} after each {{";
        report.stop("template-syntax", place, &quoted(text), want);
        return None;
    };
    let names = || declared.iter().map(|d| d.name.as_str());
    let mut fits = true;
    for unknown in template.names().filter(|n| names().all(|d| d != *n)) {
        let got = format!("the undeclared variable {unknown:?}");
        report.stop("template-variable", place, &got, &suggest(unknown, names()));
        fits = false;
    }
    fits.then_some(template)
}

/// Spin reads the permissions once at start, with nothing but the manifest's
/// defaults: a template whose defaults make no permission is refused, whatever
/// value the operator gives.
fn refused_at_start(
    text: &str,
    template: &Template,
    place: &Place,
    declared: &[Declared],
    report: &mut Report,
) -> bool {
    let default = |name: &str| {
        let variable = declared.iter().find(|d| d.name == name);
        variable.and_then(|d| d.default.clone()).ok_or(())
    };
    let Ok(with_defaults) = template.resolve_with(default) else {
        return false;
    };
    let Err(error) =
        AllowedHosts::parse(std::slice::from_ref(&with_defaults), |_| Ok(String::new()))
    else {
        return false;
    };
    if template.is_literal() {
        report.stop("permission", place, &quoted(text), &error.want);
    } else {
        let want = format!(
            "required variables, or defaults that give {} (Spin reads them at start)",
            error.want
        );
        report.stop("permission-default", place, &quoted(text), &want);
    }
    true
}

/// Every application variable that a component names.
pub(super) fn names_in(component: &ComponentEntry) -> Vec<String> {
    let variables = component.variables.iter().map(|(_, text, _)| text);
    let permissions = component
        .allowed_outbound_hosts
        .iter()
        .map(|(text, _)| text);
    variables
        .chain(permissions)
        .filter_map(|text| Template::parse(text).ok())
        .flat_map(|t| t.names().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}
