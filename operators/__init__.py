"""Bytewax steps around the pure logic of ``state/``: one step a file, named after the step.

``decode``, ``stitch``, ``identify`` and ``timers`` lead to ``track``, the fold. ``estimate``, ``choose``, ``compose`` and ``enrich`` follow
it. ``facts``, ``sink_batches`` and ``counters`` collect outputs for the sinks. ``async_map``, ``cancel_calls`` and ``timer_registry``
support steps.
"""
