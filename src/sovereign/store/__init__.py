"""What a workspace keeps: database, content-addressed blobs, ledger, library and its index. Imports layers 0-1 and SQLAlchemy."""
