//! One short story in every test run; `.ci/run` plays 10,000 monitor-days.

use watchbell_simulator::play;

#[test]
fn a_story_breaks_no_rule() {
    let (figures, violations) = play(8);
    println!("seed 8: {figures}");
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(
        figures.incidents > 0 && figures.deaths > 0 && figures.overlaps > 0,
        "{figures}"
    );
}

/// The seed is the story: told again, it is the same.
#[test]
fn a_seed_tells_the_same_story_again() {
    let [first, again] = [play(3), play(3)].map(|(figures, _)| figures.to_string());
    assert_eq!(first, again);
}
