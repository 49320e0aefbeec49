//! What a host does for a plugin, with the test kit's host in its place.

use std::sync::atomic::{AtomicU64, Ordering};

use tenon_plugin_api::services::{
    Progress, artifact_dir, check_cancelled, derive_seed, parallel_for,
};
use tenon_plugin_api::{Context as _, Result};

/// Sums up a number for each of `count` documents, on all of the host's threads.
fn sum_up(count: usize) -> Result<u64> {
    let progress = Progress::start("summing up", "documents", count as u64);
    let seed = derive_seed("sum-up");
    let sum = AtomicU64::new(0);
    for start in (0..count).step_by(100) {
        check_cancelled()?;
        let documents = 100.min(count - start);
        parallel_for(documents, |index| {
            let drawn = (seed ^ (start + index) as u64) % 10;
            sum.fetch_add(drawn, Ordering::Relaxed);
        });
        progress.advance(documents as u64);
    }
    let sum = sum.into_inner();
    if let Some(folder) = artifact_dir() {
        let file = folder.join("sum.txt");
        std::fs::write(&file, sum.to_string())
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(sum)
}

#[test]
fn the_host_serves() -> Result<()> {
    let host = tenon_testkit::services::record();
    let folder = std::env::temp_dir().join(format!("exact-match-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    host.seed(17);
    host.folder(Some(folder.clone()));

    let sum = sum_up(250)?;
    assert_eq!(sum, sum_up(250)?, "the same seed draws the same");
    assert_eq!(
        std::fs::read_to_string(folder.join("sum.txt"))?,
        sum.to_string()
    );
    assert!(host.take_threads() > 1);
    assert_eq!(
        host.take_progress()[..4],
        [
            "1 start summing up documents 250",
            "1 +100",
            "1 +100",
            "1 +50"
        ]
    );

    host.cancel(true);
    let error = tenon_testkit::error(sum_up(250), "after Ctrl-C");
    assert_eq!(error.to_string(), "stopped at the user's request");
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
