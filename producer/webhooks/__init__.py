"""Webhooks: tells ends outside the fleet, each at least once, by signed HTTP messages."""
