"""What users test their bots with."""
