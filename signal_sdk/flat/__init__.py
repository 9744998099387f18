"""What the flat API stands on: its trio thread, its callback threads, its logins and calls."""
