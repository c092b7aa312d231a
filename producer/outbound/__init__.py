"""Requests to addresses that strangers name: checked, bounded, and to public hosts only."""
