//! Run files, plugin registry, data and run folders of tenon.
