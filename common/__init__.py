"""What all other folders use: command line, pictures, jobs, devices, metrics."""
