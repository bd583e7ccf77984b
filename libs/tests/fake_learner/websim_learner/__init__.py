"""A learner that learns nothing, at once: what websim.local needs of a learner, for its tests."""
