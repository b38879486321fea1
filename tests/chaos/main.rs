//! Mirrors, a service and a broker that lose what can be lost, while writers go on; and then each mirror has to be right.
//!
//! `make chaos ROUNDS=n SEED=s` runs more rounds. What happens in a round and when comes from its seed; how the processes
//! then interleave does not, so that a seed replays the round's plan and may need a few tries to replay its failure.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests fail loudly, tell what they measured, and share their harness"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod gap;
mod python;
mod round;
mod world;
mod writers;

use harness::from_environment;
use round::Round;

const ROUNDS: u64 = 20;
const SEED: u64 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn after_quiet_each_mirror_equals_the_list_every_time() {
    let (rounds, seed) = (
        from_environment("CHAOS_ROUNDS", ROUNDS),
        from_environment("CHAOS_SEED", SEED),
    );
    for seed in seed..seed + rounds {
        let told = Round::new(seed).run().await;
        match told {
            Ok(told) => println!("{told}"),
            Err(failure) => panic!("{failure}\nmake chaos ROUNDS=1 SEED={seed}"),
        }
    }
}
