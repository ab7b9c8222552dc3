//! A component whose `describe` traps.

skeleton::component!(panic!("nothing to say"));
