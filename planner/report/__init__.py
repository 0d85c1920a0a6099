"""Reports: text, pages and pictures of what the service returns; pure functions."""
