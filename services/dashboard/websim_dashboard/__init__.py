"""The page: watches a run live, keeps its curves, and passes on what a person decides."""
