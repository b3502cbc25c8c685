"""One person: state, fold, progress, traits, snapshot."""
