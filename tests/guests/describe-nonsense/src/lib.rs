//! A component with two operators of one name.

skeleton::component!(vec![operator("same"), operator("same")]);
