//! Merges equal clauses, so that a repeated word is read once.

use std::collections::HashMap;

use super::Plan;

/// Merges equal clauses of one kind into the first of them, and adds up their boosts: a document
/// gets the points of every repetition.
pub(super) fn merged(plans: Vec<Plan>) -> Vec<Plan> {
    if plans.len() < 2 {
        return plans;
    }
    let mut merged: Vec<Plan> = Vec::with_capacity(plans.len());
    // The places of words, phrases and sets in `merged`. Nested groups are kept as they are.
    let (mut words, mut phrases, mut sets) = (HashMap::new(), HashMap::new(), HashMap::new());
    for plan in plans {
        let next = merged.len();
        let known = match &plan {
            Plan::Leaf { leaf, .. } => *words.entry(*leaf).or_insert(next),
            Plan::Phrase { leaves, slop, .. } => *phrases.entry((leaves.clone(), *slop)).or_insert(next),
            Plan::Set(set) => *sets.entry(*set).or_insert(next),
            Plan::Nothing | Plan::All | Plan::Bool { .. } => next,
        };
        match merged.get_mut(known) {
            None => merged.push(plan),
            Some(first) => {
                if let (Some(sum), Some(own)) = (boost_of(first), plan.boost()) {
                    *sum = (*sum + own).min(f32::MAX);
                }
            }
        }
    }
    merged
}

fn boost_of(plan: &mut Plan) -> Option<&mut f32> {
    match plan {
        Plan::Leaf { boost, .. } | Plan::Phrase { boost, .. } => Some(boost),
        _ => None,
    }
}

impl Plan {
    fn boost(&self) -> Option<f32> {
        match self {
            Self::Leaf { boost, .. } | Self::Phrase { boost, .. } => Some(*boost),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_clauses_become_one_with_the_sum_of_their_boosts() {
        let leaf = |leaf, boost| Plan::Leaf { leaf, boost };
        let phrase = |slop, boost| Plan::Phrase { leaves: vec![(0, 0), (1, 1)], slop, boost };
        let cases = [
            (vec![], vec![]),
            (vec![leaf(0, 1.0), leaf(1, 1.0)], vec![leaf(0, 1.0), leaf(1, 1.0)]),
            (vec![leaf(0, 1.0), leaf(1, 1.0), leaf(0, 2.5)], vec![leaf(0, 3.5), leaf(1, 1.0)]),
            (vec![leaf(0, f32::MAX), leaf(0, f32::MAX)], vec![leaf(0, f32::MAX)]),
            (vec![phrase(0, 1.0), phrase(1, 1.0), phrase(0, 1.0)], vec![phrase(0, 2.0), phrase(1, 1.0)]),
            (vec![Plan::Set(3), Plan::Set(3), leaf(3, 1.0)], vec![Plan::Set(3), leaf(3, 1.0)]),
            (vec![Plan::All, Plan::All], vec![Plan::All, Plan::All]),
        ];
        for (plans, expected) in cases {
            assert_eq!(merged(plans.clone()), expected, "{plans:?}");
        }
    }
}
