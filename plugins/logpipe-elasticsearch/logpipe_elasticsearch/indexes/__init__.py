"""What is set up before documents come."""
