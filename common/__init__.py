"""What every wing uses: pictures, jobs, processes, metrics."""
