//! Whole runs by the real binary, with plugins opened at run time: killed, interrupted, refused,
//! read back, and the quick start from end to end.

mod accumulation;
mod answers;
mod desk;
mod files;
mod folders;
mod prompting;
mod quickstart;
mod results;
mod tokenizer;
mod writing;

#[cfg(unix)]
mod damaged;
#[cfg(unix)]
mod interrupted;
#[cfg(unix)]
mod killed;
#[cfg(unix)]
mod refused;
#[cfg(unix)]
mod running;
