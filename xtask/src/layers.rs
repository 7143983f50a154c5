//! `cargo xtask layers`: checks the dependencies between packages and between the modules of each.

pub(crate) mod modules;
mod rules;
#[cfg(test)]
mod tests;

use crate::metadata::{Dependency, Kind, Metadata, Package};
use crate::{Outcome, workspace};
use modules::{ACCEPTED, Cycle};
use rules::{ALLOWED, Access, AllowedDependencies, EMPTY_NAMES, RESTRICTED, RestrictedPackage};

/// Checks the real workspace.
pub(crate) fn run(args: &[String]) -> Outcome {
    crate::no_arguments(args)?;
    let mut cargo = workspace::cargo(&["metadata", "--format-version", "1", "--all-features"]);
    let metadata = Metadata::parse(&workspace::output(&mut cargo)?)?;
    let mut violations = violations(&metadata);
    for package in &metadata.members {
        let sources = modules::read(&workspace::root().join(&package.folder).join("src"))?;
        violations.extend(cycle_violations(&package.name, &modules::cycles(&sources)?));
    }
    for violation in &violations {
        eprintln!("{violation}");
    }
    if !violations.is_empty() {
        return Err(format!(
            "{} violations of the rules in xtask/src/layers (docs/architecture.md lists the allowed dependencies)",
            violations.len()
        ));
    }
    let (packages, restrictions) = (metadata.members.len(), RESTRICTED.len());
    println!("layers: {packages} packages have only allowed dependencies, and follow {restrictions} restrictions");
    Ok(())
}

/// Returns the cycles among the modules of a package that are not accepted, one line each.
fn cycle_violations(package: &str, cycles: &[Cycle]) -> Vec<String> {
    let is_accepted = |cycle: &&Cycle| {
        ACCEPTED.iter().any(|accepted| accepted.package == package && accepted.members == cycle.members)
    };
    let line = |cycle: &Cycle| {
        let (members, edges) = (cycle.members.join(", "), cycle.edges.join("; "));
        let parent = if cycle.parent.is_empty() { "the crate" } else { &cycle.parent };
        format!("{package}: modules of {parent} depend on each other: {members} ({edges})")
    };
    cycles.iter().filter(|cycle| !is_accepted(cycle)).map(line).collect()
}

/// Returns every violation of the rules in the workspace, one line each.
fn violations(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for package in &metadata.members {
        name_violations(package, &mut found);
        match ALLOWED.iter().find(|allowed| allowed.package == package.name) {
            Some(allowed) => dependency_violations(allowed, package, metadata, &mut found),
            None => found.push(format!("{}: add its allowed dependencies to xtask/src/layers/rules.rs", package.name)),
        }
        for restricted in RESTRICTED {
            restriction_violations(restricted, package, metadata, &mut found);
        }
    }
    for allowed in ALLOWED {
        if !metadata.members.iter().any(|package| package.name == allowed.package) {
            found.push(format!(
                "{}: listed in xtask/src/layers/rules.rs, but not a package of the workspace",
                allowed.package
            ));
        }
    }
    found
}

fn name_violations(package: &Package, found: &mut Vec<String>) {
    if package.name.split(['-', '_']).any(|word| EMPTY_NAMES.contains(&word)) {
        found.push(format!("{}: the name does not describe a purpose", package.name));
    }
    let in_crates = package.folder.strip_prefix("crates/");
    if in_crates.is_some_and(|folder| folder != package.name) {
        found.push(format!(
            "{}: its folder is named {}, but must have the name of the package",
            package.name, package.folder
        ));
    }
}

fn dependency_violations(
    allowed: &AllowedDependencies,
    package: &Package,
    metadata: &Metadata,
    found: &mut Vec<String>,
) {
    if package.folder != allowed.folder {
        found.push(format!("{}: is in {}, but belongs in {}", package.name, package.folder, allowed.folder));
    }
    let is_ours = |dependency: &&Dependency| metadata.members.iter().any(|member| member.name == dependency.name);
    for dependency in package.dependencies.iter().filter(is_ours) {
        let target = dependency.name.as_str();
        let always = allowed.uses.contains(&target);
        let by_feature = allowed.by_feature.contains(&target);
        let verdict = match dependency.kind {
            Kind::Dev if always || by_feature || allowed.tests.contains(&target) || target == package.name => continue,
            Kind::Dev => "not allowed, not even in tests",
            Kind::Normal | Kind::Build if always || by_feature && dependency.optional => continue,
            Kind::Normal | Kind::Build if by_feature => "allowed only as an optional dependency",
            Kind::Normal | Kind::Build => "not an allowed dependency",
        };
        found.push(format!("{} -> {target} ({:?}): {verdict}", package.name, dependency.kind));
    }
}

fn restriction_violations(
    restricted: &RestrictedPackage,
    package: &Package,
    metadata: &Metadata,
    found: &mut Vec<String>,
) {
    let name = package.name.as_str();
    let is_forbidden = match &restricted.access {
        Access::DeclaredBy { always, by_feature } => {
            let declared = package.dependencies.iter().filter(|dependency| dependency.name == restricted.package);
            for dependency in declared.filter(|dependency| dependency.kind != Kind::Dev) {
                let is_allowed = always.contains(&name) || by_feature.contains(&name) && dependency.optional;
                if !is_allowed {
                    found.push(format!("{name} -> {}: must not declare it: {}", restricted.package, restricted.why));
                }
            }
            return;
        }
        Access::ReachableFrom(packages) => !packages.contains(&name),
        Access::NotReachableFrom(packages) => packages.contains(&name),
    };
    if is_forbidden && let Some(path) = metadata.path(package, restricted.package) {
        found.push(format!("{}: must not depend on it: {}", path.join(" -> "), restricted.why));
    }
}
