"""The catalog: model, parser, compiled plan, templates."""
