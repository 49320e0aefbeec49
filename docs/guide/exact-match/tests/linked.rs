//! The plugin as a part of this program instead of a file beside it.

use tenon_plugin_api::Result;
use tenon_plugin_api::host::Plugin;
use tenon_plugin_api::values::Values;

#[test]
fn it_can_be_linked() -> Result<()> {
    let plugin = Plugin::linked(exact_match::tenon_plugin());
    let mut metric = plugin.metric("exact-match", "{}")?;
    metric.update(&Values::text(["a tenon"]), &Values::text(["a tenon"]))?;
    assert_eq!(metric.compute()?.get("exact_match"), Some(1.0));
    Ok(())
}
