"""The whole job under faults: killed, stalled, cut off, without disk. What readers see afterwards is what a run without faults leaves."""
