"""Everything that talks to a model or guards it. Empty until the enrichment step lands."""
