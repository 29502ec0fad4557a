"""The rules, a module for each theme; `weft.saturate.rules.themes` has them all."""
