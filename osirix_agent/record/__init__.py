"""The append-only journal, the ledger of what was written into OsiriX, and keyed pseudonyms."""
