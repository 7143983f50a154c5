//! `cargo xtask layers`: checks the dependencies between packages and between the modules of each.

pub(crate) mod modules;
mod rules;
#[cfg(test)]
mod tests;

use crate::metadata::{Dependency, Kind, Metadata, Package};
use crate::{Outcome, workspace};
use modules::{ACCEPTED, Circle};
use rules::{EMPTY_NAMES, FENCES, Fence, ROOMS, Reach, Room};

/// Checks the real workspace.
pub(crate) fn run(args: &[String]) -> Outcome {
    crate::no_arguments(args)?;
    let mut cargo = workspace::cargo(&["metadata", "--format-version", "1", "--all-features"]);
    let metadata = Metadata::parse(&workspace::output(&mut cargo)?)?;
    let mut offences = offences(&metadata);
    for package in &metadata.members {
        let sources = modules::read(&workspace::root().join(&package.folder).join("src"))?;
        offences.extend(circle_offences(&package.name, &modules::circles(&sources)?));
    }
    for offence in &offences {
        eprintln!("{offence}");
    }
    if !offences.is_empty() {
        return Err(format!("{} against docs/architecture.md, \"Crates and dependencies\"", offences.len()));
    }
    println!("layers: {} packages keep to {} rooms and {} fences", metadata.members.len(), ROOMS.len(), FENCES.len());
    Ok(())
}

/// Returns the cycles among the modules of a package that are not accepted, one line each.
fn circle_offences(package: &str, circles: &[Circle]) -> Vec<String> {
    let is_accepted = |circle: &&Circle| {
        ACCEPTED.iter().any(|accepted| accepted.package == package && accepted.members == circle.members)
    };
    let line = |circle: &Circle| {
        let (members, arrows) = (circle.members.join(", "), circle.arrows.join("; "));
        let parent = if circle.parent.is_empty() { "the crate" } else { &circle.parent };
        format!("{package}: modules of {parent} need each other: {members} ({arrows})")
    };
    circles.iter().filter(|circle| !is_accepted(circle)).map(line).collect()
}

/// Returns every violation of the rules in the workspace, one line each.
fn offences(metadata: &Metadata) -> Vec<String> {
    let mut found = Vec::new();
    for package in &metadata.members {
        name_offences(package, &mut found);
        match ROOMS.iter().find(|room| room.package == package.name) {
            Some(room) => room_offences(room, package, metadata, &mut found),
            None => found.push(format!("{}: has no room; give it one in xtask/src/layers/rules.rs", package.name)),
        }
        for fence in FENCES {
            fence_offences(fence, package, metadata, &mut found);
        }
    }
    for room in ROOMS {
        if !metadata.members.iter().any(|package| package.name == room.package) {
            found.push(format!("{}: the room stands empty; no package of the workspace has that name", room.package));
        }
    }
    found
}

fn name_offences(package: &Package, found: &mut Vec<String>) {
    if package.name.split(['-', '_']).any(|word| EMPTY_NAMES.contains(&word)) {
        found.push(format!("{}: the name says nothing about what it is for", package.name));
    }
    let in_crates = package.folder.strip_prefix("crates/");
    if in_crates.is_some_and(|folder| folder != package.name) {
        found.push(format!("{}: its folder is {}; folder and package have one name", package.name, package.folder));
    }
}

fn room_offences(room: &Room, package: &Package, metadata: &Metadata, found: &mut Vec<String>) {
    if package.folder != room.folder {
        found.push(format!("{}: stands in {}, belongs in {}", package.name, package.folder, room.folder));
    }
    let is_ours = |dependency: &&Dependency| metadata.members.iter().any(|member| member.name == dependency.name);
    for dependency in package.dependencies.iter().filter(is_ours) {
        let target = dependency.name.as_str();
        let always = room.uses.contains(&target);
        let by_feature = room.by_feature.contains(&target);
        let verdict = match dependency.kind {
            Kind::Dev if always || by_feature || room.tests.contains(&target) || target == package.name => continue,
            Kind::Dev => "not even in tests",
            Kind::Normal | Kind::Build if always || by_feature && dependency.optional => continue,
            Kind::Normal | Kind::Build if by_feature => "only as an optional dependency",
            Kind::Normal | Kind::Build => "the arrow is not on the map",
        };
        found.push(format!("{} -> {target} ({:?}): {verdict}", package.name, dependency.kind));
    }
}

fn fence_offences(fence: &Fence, package: &Package, metadata: &Metadata, found: &mut Vec<String>) {
    let name = package.name.as_str();
    let led = match &fence.reach {
        Reach::Named { by, by_feature } => {
            let named = package.dependencies.iter().filter(|dependency| dependency.name == fence.around);
            for dependency in named.filter(|dependency| dependency.kind != Kind::Dev) {
                let lawful = by.contains(&name) || by_feature.contains(&name) && dependency.optional;
                if !lawful {
                    found.push(format!("{name} -> {}: must not name it: {}", fence.around, fence.why));
                }
            }
            return;
        }
        Reach::Led { from } => !from.contains(&name),
        Reach::NotLed { from } => from.contains(&name),
    };
    if led && let Some(path) = metadata.path(package, fence.around) {
        found.push(format!("{}: must not be reached: {}", path.join(" -> "), fence.why));
    }
}
