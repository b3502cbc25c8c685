"""What leaves the engine: facts for analysts, recommendations for apps, dead letters for operators."""
