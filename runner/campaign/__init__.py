"""Campaigns: from trials to stored results, whoever dies."""
