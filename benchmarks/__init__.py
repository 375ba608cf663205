"""What lorchestra promises about speed and memory, measured beside a baseline in the same run."""
