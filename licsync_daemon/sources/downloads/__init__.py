"""Reports that administrators download from GitHub or from an instance, recognized by their columns and read as they are on disk."""
