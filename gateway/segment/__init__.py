"""The Segment-compatible way in: SDKs of Segment and of compatible vendors send here unchanged but for their host."""
