"""Where speech comes from: data sources, splits and audio."""
