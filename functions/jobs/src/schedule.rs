//! When something is done again and again: by cron, or by an interval. Everything here is pure.
//!
//! | module | what it is about |
//! |---|---|
//! | [`cron`], [`time_zone`], [`recurrence`] | the times |
//! | [`record`] | a schedule |
//! | [`template`] | the job that a schedule makes |
//! | [`rules`] | how schedules are made and edited |
//! | [`step`] | what is next for a schedule at a time |
//! | [`run`] | what came of each time |

pub mod cron;
mod daylight_saving;
pub mod record;
pub mod recurrence;
pub mod rules;
pub mod run;
pub mod step;
pub mod template;
pub mod time_zone;
