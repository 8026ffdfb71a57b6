"""The old libraries' names over this core: an old project changes its imports. The manual says what else changed."""
