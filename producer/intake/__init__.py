"""What is handed in: checked, and made a submission."""
