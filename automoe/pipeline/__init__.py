"""Stages, and the run folder that holds their results.

`execute(stages, config, target)` runs a chain of `Stage`s; `RunConfig` is the whole configuration.
"""
