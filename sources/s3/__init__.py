"""Objects in S3, or in storage that speaks its protocol."""
