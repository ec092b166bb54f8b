"""Pictures: arrays or tables in, a chart out, with its description in words."""
