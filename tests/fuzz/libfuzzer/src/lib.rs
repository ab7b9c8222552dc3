//! Nothing of its own: building this crate leaves `libfuzzer.a`, which `scripts/fuzz.sh` links with the targets.
