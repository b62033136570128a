"""The doors that the kernel opens for every declared operation."""
