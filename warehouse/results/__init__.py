"""Results that users get as files: CSV, Parquet and XLSX, each complete or not there."""
