"""The views: one file a page, in reading order."""
